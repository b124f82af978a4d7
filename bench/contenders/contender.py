"""What a contender is: how it is started and how it is spoken to. Nothing about measuring."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.place import STATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server that takes chat completions on `port`.

    `headers` are what its clients send. `install` is the command that is missing before it can run, None when nothing
    is. `start_s` is how long it may take until it answers. `is_upstream` marks the mock itself, which shares the load
    generator's core; everything else runs on the tested core. `does_accounts` says that each request leaves a usage
    row, so that its memory is worth watching; `audit` is a command that proves the books right by ending with 0.
    `translates` says that it takes requests in other formats than its upstream's.
    """

    name: str
    title: str
    port: int
    command: tuple[str, ...]
    directory: Path
    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    install: str | None = None
    start_s: float = 60.0
    is_upstream: bool = False
    does_accounts: bool = False
    translates: bool = False
    audit: tuple[str, ...] = ()


def fresh_directory(name: str) -> Path:
    """An empty directory for one contender's files."""
    directory = STATE / "run" / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
