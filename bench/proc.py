"""What Linux says about processes: who belongs to a tree, what they used, which one serves a port; and pinning them."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MARK = "BENCH_TREE"
"""Environment variable that marks a contender's processes, so that those which left their parent are found too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident memory of a process in MiB; `private` leaves out files it has mapped."""

    resident: float
    private: float


def parse_stat(text: str) -> tuple[int, float]:
    """Parent and CPU seconds from the text of /proc/PID/stat; the name in parentheses may contain anything."""
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def parse_status(text: str) -> Memory:
    """Memory from the text of /proc/PID/status, which counts in KiB."""
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def mebibytes(name: str) -> float:
        return int(values.get(name, "0 kB").split()[0]) / 1024

    return Memory(resident=mebibytes("VmRSS"), private=mebibytes("RssAnon"))


def _read(pid: int, name: str) -> str:
    """A file of /proc/PID, empty when the process is gone or is not ours to read."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _works_below(pid: int, directory: Path) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(directory)
    return False


def tree(root: int, mark: str, directory: Path) -> frozenset[int]:
    """`root`, every process whose environment carries `mark` or that works below `directory`, and the descendants of
    all these: some leave their parent, and some (PostgreSQL) are started with an environment of their own."""
    needle = f"{MARK}={mark}\0"
    children: dict[int, list[int]] = defaultdict(list)
    found = [root]
    for pid in _all_pids():
        stat = _read(pid, "stat")
        if not stat:
            continue
        children[parse_stat(stat)[0]].append(pid)
        if needle in _read(pid, "environ") or _works_below(pid, directory):
            found.append(pid)
    members: set[int] = set()
    while found:
        pid = found.pop()
        if pid not in members:
            members.add(pid)
            found.extend(children[pid])
    return frozenset(members)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that the processes have used so far, all threads."""
    return sum(parse_stat(stat)[1] for pid in pids if (stat := _read(pid, "stat")))


def memory(pid: int) -> Memory:
    return parse_status(_read(pid, "status"))


def pin(pids: Iterable[int], core: int, *, niceness: int | None = None) -> None:
    """Keep all threads of the processes on `core`; raising a priority needs rights and is left out without them."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})
                if niceness is not None:
                    with contextlib.suppress(PermissionError):
                        os.setpriority(os.PRIO_PROCESS, int(thread.name), niceness)


def set_group_niceness(pid: int, niceness: int) -> None:
    """Where the kernel groups processes by session (autogroup), niceness counts only among those of one session, and
    each session has one of its own: set that of the session of `pid`, when the kernel has such a thing and allows it.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


def session(pid: int) -> int:
    """The session a process belongs to, 0 when it is gone."""
    stat = _read(pid, "stat")
    return int(stat.rpartition(")")[2].split()[3]) if stat else 0


def _inode_of(port: int, peer_port: int) -> str | None:
    """The kernel's number of the accepted end of a loopback connection."""
    local, remote = f":{port:04X}", f":{peer_port:04X}"
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(local) and fields[2].endswith(remote):
                return fields[9]
    return None


def holder(port: int, connection: socket.socket, candidates: Iterable[int]) -> int | None:
    """Which of the processes holds the accepted end of `connection` to `port`: the one that serves."""
    inode = _inode_of(port, connection.getsockname()[1])
    for pid in candidates:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                if descriptor.readlink().name == f"socket:[{inode}]":
                    return pid
    return None


def parse_machine(text: str) -> float:
    """CPU seconds that all cores together were busy since the start, from /proc/stat."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, text.splitlines()[0].split()[1:])
    return (user + nice + system + irq + softirq) / TICKS_PER_S


def machine_seconds() -> float:
    return parse_machine(Path("/proc/stat").read_text())
