"""A server process's local, append-only file of what is not yet in the database, and how to read it.

A journal is a directory of preallocated, memory-mapped segments `NNNNNN.seg`. An append is a copy into the mapping: the
bytes belong to the kernel from then on and survive the death of the process at any instant. Only a power failure can
lose what was not yet written to the disk; the reading side calls `JournalReader.sync` about once a second, so that
much is at stake and only while the database is away (what is applied is the database's to keep).

    segment   magic (8 bytes), records, zeros
    record    length (u32, little-endian), CRC-32 of the payload (u32), payload
    length 0  nothing yet        length 0xFFFFFFFF  the segment ends here

Knows nothing of what the payloads mean.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

MAGIC = b"hyjrnl01"
HEADER = Struct("<II")
SEGMENT_BYTES = 4 * 1024 * 1024
LIMIT_BYTES = 4 * 1024**3
ENDED = 0xFFFFFFFF
END_MARK = b"\xff\xff\xff\xff"
RESERVE_SEGMENTS = 4
"""Segments beyond the limit for what is already under way once `is_full` turns new requests away."""
READ_BYTES = 1024 * 1024

_pack = HEADER.pack
_unpack_from = HEADER.unpack_from


class JournalFull(Exception):
    """The directory has passed its limit, or the disk is full: nothing can be appended."""


class _Segment(NamedTuple):
    number: int
    buffer: mmap.mmap


def segment_path(directory: Path, number: int) -> Path:
    """Where segment `number` of a journal is."""
    return directory / f"{number:06d}.seg"


def list_segments(directory: Path) -> list[int]:
    """The numbers of the segments that exist, in the order in which they were filled."""
    with suppress(FileNotFoundError):
        return sorted(int(path.stem) for path in directory.iterdir() if path.suffix == ".seg")
    return []


class Journal:
    """The appending side: one per server process, used from one thread.

    `is_full` asks the server to refuse new requests; a little room is kept for those under way. Raises `JournalFull`
    from the constructor and from `append`, `ValueError` for a payload larger than a segment.
    """

    def __init__(
        self, home: Path, instance: str, *, segment_bytes: int = SEGMENT_BYTES, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self.instance = instance
        self.directory = home / instance
        self.is_full = False
        self._segment_bytes = segment_bytes
        self._limit_bytes = limit_bytes
        self._lock = _create_locked(home, instance)
        self._preparer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._segment = self._make_segment(1)
        self._buffer = self._segment.buffer
        self._position = len(MAGIC)
        self._next: Future[_Segment] | None = None
        self._prepare_at = segment_bytes // 2
        self._is_closed = False

    def append(self, payload: bytes) -> None:
        """Note one record; when this returns the record survives the process."""
        size = len(payload)
        end = self._position + 8 + size
        if end > self._prepare_at:
            end = self._make_room(size)
        self._buffer[self._position : end] = _pack(size, crc32(payload)) + payload
        self._position = end

    def check_space(self) -> None:
        """Look at the directory again, so that `is_full` ends when the reading side has deleted segments, and the disk
        has room for the next one where it had none."""
        if not self.is_full:
            return
        if self._next is not None and self._next.done() and self._next.exception() is not None:
            self._next = self._prepare()
        elif self._next is None or self._next.done():
            self.is_full = self.size_bytes() > self._limit_bytes

    def size_bytes(self) -> int:
        """The size of all segments on the disk."""
        return len(list_segments(self.directory)) * self._segment_bytes

    def close(self) -> None:
        """Mark the end and give up the lock; the reading side then finishes the journal and deletes it."""
        if self._is_closed:
            return
        self._is_closed = True
        self._mark_end()
        self._preparer.shutdown(wait=True)
        self._buffer.close()
        if self._next is not None and self._next.exception() is None:
            self._next.result().buffer.close()
        os.close(self._lock)

    def _make_room(self, size: int) -> int:
        """The rare part of `append`: get the next segment ready past the middle, and roll over at the end."""
        if self._is_closed:
            raise JournalFull("the journal is closed")
        if 8 + size > self._segment_bytes - len(MAGIC):
            raise ValueError(f"a record of {size} bytes does not fit into a segment")
        if self._next is None:
            self._next = self._prepare()
            self._prepare_at = self._segment_bytes
        if self._position + 8 + size > self._segment_bytes:
            self._roll(self._next)
        return self._position + 8 + size

    def _prepare(self) -> Future[_Segment]:
        return self._preparer.submit(self._make_segment, self._segment.number + 1)

    def _roll(self, prepared: Future[_Segment]) -> None:
        self._next = None
        try:
            # What failed a while ago may well succeed now.
            segment = (prepared if prepared.exception() is None else self._prepare()).result()
        except OSError as exc:
            self.is_full = True
            raise JournalFull("no further journal segment can be made") from exc
        self._mark_end()
        self._buffer.close()
        self._segment, self._buffer = segment, segment.buffer
        self._position = len(MAGIC)
        self._prepare_at = self._segment_bytes // 2

    def _mark_end(self) -> None:
        if self._position + 4 <= self._segment_bytes:
            self._buffer[self._position : self._position + 4] = END_MARK

    def _make_segment(self, number: int) -> _Segment:
        """A preallocated and mapped segment. Allocating first turns a full disk into an error here, not a SIGBUS."""
        after = self.size_bytes() + self._segment_bytes
        if after > self._limit_bytes:
            self.is_full = True
        if after > self._limit_bytes + RESERVE_SEGMENTS * self._segment_bytes:
            raise JournalFull("the journal has reached its limit")
        path = segment_path(self.directory, number)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._segment_bytes)
            buffer = mmap.mmap(descriptor, self._segment_bytes)
        except OSError:
            self.is_full = True
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        buffer[: len(MAGIC)] = MAGIC
        return _Segment(number, buffer)


def _create_locked(home: Path, instance: str) -> int:
    """Make the instance's directory and lock it; it gets its name only then, so nobody sees it unlocked and alive."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    unnamed = home / f".new-{instance}"
    unnamed.mkdir(mode=0o700)
    lock = os.open(unnamed, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unnamed.rename(home / instance)
    return lock


def list_instances(home: Path) -> list[str]:
    """The instances that have a journal below `home`."""
    with suppress(FileNotFoundError):
        return sorted(entry.name for entry in os.scandir(home) if entry.is_dir() and not entry.name.startswith("."))
    return []


class Tail(StrEnum):
    """What stands after the records that a read returned."""

    MORE = "more"
    EMPTY = "empty"
    TORN = "torn"
    END = "end"


class Chunk(NamedTuple):
    """Whole records of a segment, each payload with the offset behind it, and what follows them."""

    records: list[tuple[bytes, int]]
    offset: int
    tail: Tail


class JournalReader:
    """The reading side of one instance's journal: follows its segments while the instance may still append.

    A torn record is one whose checksum does not fit: in a live instance it is still being written, in a dead one it is
    where the instance died. The caller decides; `is_dead` says which.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.instance = directory.name
        self._lock: int | None = None
        self._files: dict[int, int] = {}

    def is_dead(self) -> bool:
        """Whether no process holds the journal any more. Once true it stays so: the lock is taken over."""
        if self._lock is not None:
            return True
        lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def segments(self) -> list[int]:
        """The numbers of the segments that exist, oldest first; the last may be prepared and still unused."""
        return list_segments(self.directory)

    def read(self, number: int, offset: int = 0, *, size: int = READ_BYTES) -> Chunk:
        """The whole records of a segment from `offset` on, as far as about `size` bytes reach."""
        start = max(offset, len(MAGIC))
        data = os.pread(self._file(number), size, start)
        chunk = _parse(data, start)
        if chunk.tail is Tail.MORE and not chunk.records:
            needed = 8 + int.from_bytes(data[:4], "little")
            if needed > size:
                return self.read(number, start, size=needed) if needed <= self._size(number) else _torn(chunk)
            at_end = start + len(data) >= self._size(number)
            return Chunk([], start, Tail.TORN if at_end and len(data) >= 4 else Tail.END if at_end else Tail.MORE)
        return chunk

    def is_used(self, number: int) -> bool:
        """Whether anything was ever written into the segment."""
        return os.pread(self._file(number), 4, len(MAGIC)) != b"\0\0\0\0"

    def sync(self) -> None:
        """Have the disk hold what was appended so far."""
        for descriptor in self._files.values():
            os.fdatasync(descriptor)

    def delete(self, number: int) -> None:
        """Remove a segment whose records are all in the database."""
        descriptor = self._files.pop(number, None)
        if descriptor is not None:
            os.close(descriptor)
        segment_path(self.directory, number).unlink(missing_ok=True)

    def delete_all(self) -> None:
        """Remove the journal of a dead instance. Segments go from the first on, so that a crash leaves a rest."""
        for number in self.segments():
            self.delete(number)
        for path in self.directory.iterdir():
            path.unlink()
        self.directory.rmdir()
        self.close()

    def close(self) -> None:
        """Let go of all files and of the lock, if it was taken over."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _file(self, number: int) -> int:
        if number not in self._files:
            self._files[number] = os.open(segment_path(self.directory, number), os.O_RDONLY | os.O_CLOEXEC)
        return self._files[number]

    def _size(self, number: int) -> int:
        return os.fstat(self._file(number)).st_size


def _torn(chunk: Chunk) -> Chunk:
    return Chunk(chunk.records, chunk.offset, Tail.TORN)


def _parse(data: bytes, start: int) -> Chunk:
    records: list[tuple[bytes, int]] = []
    position, limit = 0, len(data)
    while position + 4 <= limit:
        if position + 8 > limit:
            mark = int.from_bytes(data[position : position + 4], "little")
            tail = Tail.END if mark == ENDED else Tail.EMPTY if mark == 0 else Tail.MORE
            return Chunk(records, start + position, tail)
        size, checksum = _unpack_from(data, position)
        if size in {0, ENDED}:
            return Chunk(records, start + position, Tail.END if size else Tail.EMPTY)
        end = position + 8 + size
        if end > limit:
            break
        payload = data[position + 8 : end]
        if crc32(payload) != checksum:
            return Chunk(records, start + position, Tail.TORN)
        records.append((payload, start + end))
        position = end
    return Chunk(records, start + position, Tail.MORE)
