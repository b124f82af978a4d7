"""Directories for servers of a test's own; nothing may be left running in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypereal.db import keeper
from tests.ops.commands import until, using


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that any account may enter. What still runs there at the end is ended, and is a fault."""
    path = Path(tempfile.mkdtemp(prefix="hypereal-ops-")).resolve()
    path.chmod(0o755)
    yield path
    try:
        until(lambda: not using(path), "the end of every process", timeout_s=15)
    finally:
        for data in path.rglob("data/postmaster.pid"):
            keeper.shut_down(data.parent)
        for process in using(path):
            process.kill()
        shutil.rmtree(path)
