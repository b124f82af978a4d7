"""A contender while it runs: started, checked, pinned, asked about its CPU and memory, stopped."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from uuid import uuid4

from bench import place, proc
from bench.contenders import Contender
from bench.load import on_core
from bench.requests import Shape, body

_QUIET_SHARE = 0.2
"""A tree that uses less of a core than this is done with what the last measurement left it. An idle gateway uses about
0.1 on a slow machine, most of it for looking whether there is anything in its journals."""


class Broken(Exception):
    """A contender does not start or does not answer as it must; it is left out of the tables."""


@dataclass(slots=True, kw_only=True)
class Running:
    """A started contender. `serving` is the process that answers; the rest of its tree is `side`."""

    contender: Contender
    mark: str
    process: subprocess.Popen[bytes]
    serving: int = 0
    side: frozenset[int] = field(default_factory=frozenset)

    def members(self) -> frozenset[int]:
        """All processes of its tree, as of now."""
        return proc.tree(self.process.pid, self.mark, self.contender.directory)

    def serving_cpu(self) -> float:
        return proc.cpu_seconds([self.serving])

    def side_cpu(self) -> float:
        return proc.cpu_seconds(self.side)

    def memory(self) -> proc.Memory:
        return proc.memory(self.serving)

    def refresh(self) -> None:
        """Find the tree anew: database servers start processes as they like."""
        self.side = self.members() - {self.serving}

    def settle(self, limit_s: float = 120.0) -> float:
        """Wait until the tree has nothing left to do; how long that took, in seconds."""
        started = time.monotonic()
        used = proc.cpu_seconds(self.members())
        while time.monotonic() - started < limit_s:
            time.sleep(0.5)
            before, used = used, proc.cpu_seconds(self.members())
            if used - before < _QUIET_SHARE * 0.5:
                break
        self.refresh()
        return time.monotonic() - started - 0.5

    def audit(self) -> str:
        """What the contender's own audit says about its books after all that load."""
        command, contender = list(self.contender.audit), self.contender
        self.settle()
        done = subprocess.run(
            command,
            cwd=contender.directory,
            env=dict(contender.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        said = (done.stdout or done.stderr).strip().splitlines()
        return f"{'right' if done.returncode == 0 else 'WRONG'}: {said[-1] if said else 'no word'}"


def _post(connection: http.client.HTTPConnection, contender: Contender, shape: Shape) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json", **contender.headers}
    connection.request("POST", shape.path, body=body(shape), headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def check_answers(contender: Contender) -> None:
    """Raise `Broken` unless the contender gives whole answers: a completion with its usage, a stream of every event."""
    connection = http.client.HTTPConnection(place.HOST, contender.port, timeout=30)
    for shape in (Shape.JSON, Shape.SSE, Shape.BIG):
        status, answer = _post(connection, contender, shape)
        if status != 200 or b'"usage"' not in answer:
            raise Broken(f"{contender.name} answered {status} to {shape}: {answer[:300]!r}")
        if shape is Shape.SSE and not (b"[DONE]" in answer and answer.count(b"data:") >= place.EVENTS - 1):
            raise Broken(f"{contender.name} cut a stream: {answer.count(b'data:')} events, ending {answer[-120:]!r}")
    for shape in (one for one in Shape if one.is_translated and contender.translates):
        status, answer = _post(connection, contender, shape)
        if status != 200 or answer.count(b"data:") < place.EVENTS - 3:
            raise Broken(f"{contender.name} answered {status} to {shape}: {answer[:300]!r}")
    connection.close()


def _await_answer(running: Running) -> socket.socket:
    """The connection over which the first good answer came; it tells which process serves."""
    contender = running.contender
    limit = time.monotonic() + contender.start_s
    problem = "nothing listens"
    while time.monotonic() < limit:
        if running.process.poll() is not None:
            raise Broken(f"{contender.name} exited with {running.process.returncode}; see {contender.directory}/log")
        try:
            connection = http.client.HTTPConnection(place.HOST, contender.port, timeout=10)
            status, answer = _post(connection, contender, Shape.JSON)
            if status == 200 and connection.sock is not None:
                return connection.sock
            problem = f"{status} {answer[:200]!r}"
        except (OSError, http.client.HTTPException) as exc:
            problem = repr(exc)
        time.sleep(0.2)
    raise Broken(f"{contender.name} did not answer within {contender.start_s:g} s: {problem}")


def _place(running: Running) -> None:
    """The serving process on its core at normal priority, the rest of its tree beside the load at a low one.

    Normal is this program's own priority: `nice -n -10 python -m bench` measures on a machine that is in use.
    """
    connection = _await_answer(running)
    serving = proc.holder(running.contender.port, connection, running.members())
    if serving is None:
        raise Broken(f"cannot tell which process serves port {running.contender.port}")
    connection.close()
    running.serving = serving
    if running.contender.is_upstream:
        return
    own = os.getpriority(os.PRIO_PROCESS, 0)
    running.refresh()
    proc.pin(running.side, place.LOAD_CORE, niceness=own + place.SIDE_NICENESS)
    proc.pin([serving], place.TESTED_CORE, niceness=own)
    for pid in (*running.side, serving):  # the serving process last: its session may have others in it
        if proc.session(pid) != proc.session(os.getpid()):
            proc.set_group_niceness(pid, own if pid == serving else own + place.SIDE_NICENESS)


def start(contender: Contender) -> Running:
    """Start it on the load core at a low priority, which all its processes inherit; then move the one that serves."""
    command = [*on_core(place.LOAD_CORE), *contender.command]
    if not contender.is_upstream:
        command = ["nice", "-n", str(place.SIDE_NICENESS), *command]
    mark = uuid4().hex
    with (contender.directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=contender.directory,
            env={**(contender.environment or os.environ), proc.MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,  # of its own, so that Ctrl-C is ours to hand on
        )
    running = Running(contender=contender, mark=mark, process=process)
    try:
        _place(running)
        check_answers(contender)
    except BaseException:
        stop(running)
        raise
    return running


def stop(running: Running) -> None:
    """End the tree: politely first, then whatever is left of it."""
    members = running.members()
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
        try:
            running.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
    for pid in members & running.members() - {running.process.pid}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def started(contenders: list[Contender]) -> Iterator[tuple[list[Running], list[str]]]:
    """Those of the contenders that run, and why the others do not; all stopped in the end. The upstream comes first."""
    with ExitStack() as stack:
        running: list[Running] = []
        left_out: list[str] = []
        for contender in sorted(contenders, key=lambda each: not each.is_upstream):
            try:
                if contender.install is not None:
                    raise Broken(f"{contender.name} is not installed: {contender.install}")
                one = start(contender)
            except Broken as problem:
                left_out.append(str(problem))
                continue
            stack.callback(stop, one)
            running.append(one)
        yield running, left_out
