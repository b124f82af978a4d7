"""Which parts of a heap go into large pages, and that nothing in it changes when they do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hypereal.kit import large_pages
from hypereal.kit.large_pages import LARGE_BYTES, full_ranges

LARGE_KIB = LARGE_BYTES // 1024

_CHILD = """
import re
from hypereal.kit.large_pages import SMAPS, move_heap
kept = [bytes([number % 251]) * 400 for number in range(100_000)]
moved = move_heap()
huge = sum(map(int, re.findall(r"AnonHugePages: +([0-9]+)", SMAPS.read_text()))) * 1024
assert all(one == bytes([number % 251]) * 400 for number, one in enumerate(kept))
assert 0 <= moved <= huge, (moved, huge)
"""


def _mapping(start: int, end: int, *, resident_kib: int, flags: str = "rw-p", name: str = "") -> str:
    return (
        f"{start:x}-{end:x} {flags} 00000000 {'00:00 0' if '/' not in name else 'fe:00 123'}   {name}\n"
        f"Size:           {(end - start) // 1024:>8} kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n"
        f"Rss:            {resident_kib:>8} kB\nPss:                  12 kB\nVmFlags: rd wr mr mw me ac sd\n"
    )


def test_a_full_mapping_gives_the_large_pages_that_lie_in_it() -> None:
    start = 10 * LARGE_BYTES + 4096
    smaps = _mapping(start, start + 4 * LARGE_BYTES, resident_kib=4 * LARGE_KIB)
    assert list(full_ranges(smaps)) == [(11 * LARGE_BYTES, 3 * LARGE_BYTES)]


def test_the_heap_of_the_c_library_is_taken_too() -> None:
    smaps = _mapping(LARGE_BYTES, 3 * LARGE_BYTES, resident_kib=2 * LARGE_KIB, name="[heap]")
    assert list(full_ranges(smaps)) == [(LARGE_BYTES, 2 * LARGE_BYTES)]


def test_what_is_mostly_unused_shared_read_only_or_a_file_stays_as_it_is() -> None:
    end = 9 * LARGE_BYTES
    smaps = (
        _mapping(LARGE_BYTES, end, resident_kib=LARGE_KIB)
        + _mapping(LARGE_BYTES, end, resident_kib=8 * LARGE_KIB, flags="rw-s")
        + _mapping(LARGE_BYTES, end, resident_kib=8 * LARGE_KIB, flags="r--p")
        + _mapping(LARGE_BYTES, end, resident_kib=8 * LARGE_KIB, name="/usr/lib/libc.so.6")
        + _mapping(LARGE_BYTES, end, resident_kib=8 * LARGE_KIB, name="[stack]")
        + _mapping(LARGE_BYTES + 4096, 2 * LARGE_BYTES + 4096, resident_kib=LARGE_KIB)
    )
    assert list(full_ranges(smaps)) == []


def test_moving_the_heap_changes_nothing_in_it() -> None:
    subprocess.run([sys.executable, "-c", _CHILD], check=True)


def test_a_system_that_tells_nothing_of_its_mappings_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(large_pages, "SMAPS", tmp_path / "smaps")
    assert large_pages.move_heap() == 0
