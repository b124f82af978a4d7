"""One server process's journal as the writer follows it: settlements in order, and the streams that are still open.

A segment goes once everything in it is in the database. What it said of streams that are still open is kept in a small
file beside the segments, so that an hour-long stream does not keep an hour of segments. No database here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from hypereal.billing.journal import JournalReader, Tail
from hypereal.gateway.records import Opened, Progress, Record, Settlement

OPEN_FILE = "open.streams"
CRASHED = "the server died before the answer ended"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """A record that can't be read or applied: where it was, its bytes, and what is wrong with it."""

    instance: str
    segment: int
    payload: bytes
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one read of a journal gave. `offsets` is how far each segment has been read, in bytes."""

    settlements: list[Settlement]
    poison: list[Poison]
    offsets: dict[str, int]


class JournalTail:
    """Follows one journal. `applied` is how far its segments are in the database already (by `segment_name`).

    `is_finished` is true once the process is gone and all it wrote has been read.
    """

    def __init__(self, directory: Path, applied: Mapping[str, int]) -> None:
        self.instance = directory.name
        self.is_finished = False
        self._reader = JournalReader(directory)
        self._applied = applied
        self._decode = msgspec.msgpack.Decoder(Record).decode
        self._open = _load_open(directory / OPEN_FILE)
        self._is_dead = False
        self._segment: int | None = None
        self._offset = 0

    def segment_name(self, number: int) -> str:
        """What a segment is called in the database."""
        return f"{self.instance}/{number:06d}"

    def check_alive(self) -> None:
        """Look whether the process still lives; what is read from now on is final if it does not."""
        self._is_dead = self._is_dead or self._reader.is_dead()

    def read(self, limit: int) -> Batch:
        """Read on, up to about `limit` settlements. Each is given once: keep what could not be applied."""
        batch = Batch(settlements=[], poison=[], offsets={})
        while len(batch.settlements) < limit and not self.is_finished and self._read_chunk(batch):
            pass
        return batch

    def open_settlements(self) -> list[Settlement]:
        """What the streams that were open when the process died are charged: the last that was known of them."""
        return list(self._open.values())

    def drop_applied(self) -> list[str]:
        """Delete the segments that were read to their end and return their names; call it once what was read is in
        the database."""
        done = [number for number in self._reader.segments() if self._segment is not None and number < self._segment]
        if not done:
            return []
        _save_open(self._reader.directory / OPEN_FILE, self._open)
        for number in done:
            self._reader.delete(number)
        return [self.segment_name(number) for number in done]

    def sync(self) -> None:
        """Have the disk hold what the process has appended."""
        self._reader.sync()

    def delete(self) -> None:
        """Remove the journal of a process that is gone and settled."""
        self._reader.delete_all()

    def close(self) -> None:
        """Stop following."""
        self._reader.close()

    def _read_chunk(self, batch: Batch) -> bool:
        """Read one piece of the current segment; False when there is nothing more for now."""
        number = self._segment if self._segment is not None else self._first()
        if number is None:
            return False
        chunk = self._reader.read(number, self._offset)
        if chunk.tail is Tail.TORN and self._successor(number) is not None:
            # Read again: the record may have become whole and the journal rolled over in between.
            chunk = self._reader.read(number, self._offset)
        name = self.segment_name(number)
        done = self._applied.get(name, 0)
        for payload, end in chunk.records:
            self._take(payload, number, batch, is_new=end > done)
        self._offset = chunk.offset
        if chunk.records:
            batch.offsets[name] = max(chunk.offset, done)
        return self._go_on(number, chunk.tail)

    def _go_on(self, number: int, tail: Tail) -> bool:
        if tail is Tail.MORE:
            return True
        following = self._successor(number)
        if tail is Tail.TORN and (self._is_dead or following is not None):
            # The process died while it appended, or the disk is at fault; nothing can be read behind such a record.
            log.error("journal.torn", instance=self.instance, segment=number, offset=self._offset)
        if following is not None and (tail is not Tail.EMPTY or self._is_dead):
            self._segment, self._offset = following, 0
            return True
        self.is_finished = self._is_dead
        return False

    def _take(self, payload: bytes, number: int, batch: Batch, *, is_new: bool) -> None:
        try:
            record = self._decode(payload)
        except (msgspec.DecodeError, msgspec.ValidationError) as exc:
            if is_new:
                poison = Poison(instance=self.instance, segment=number, payload=payload, cause=str(exc))
                batch.poison.append(poison)
            return
        match record:
            case Settlement():
                self._open.pop(record.request_id, None)
                if is_new:
                    batch.settlements.append(record)
            case Opened():
                owed = msgspec.structs.replace(record.provisional, basis="estimated", error=CRASHED)
                self._open[owed.request_id] = owed
            case Progress():
                if known := self._open.get(record.request_id):
                    self._open[record.request_id] = msgspec.structs.replace(
                        known, credits=record.credits, output_tokens=record.output_tokens
                    )

    def _first(self) -> int | None:
        numbers = self._reader.segments()
        if not numbers:
            self.is_finished = self._is_dead
            return None
        self._segment = numbers[0]
        return numbers[0]

    def _successor(self, number: int) -> int | None:
        """The segment after this one, if anything was written into it."""
        later = [other for other in self._reader.segments() if other > number]
        return later[0] if later and self._reader.is_used(later[0]) else None


def _load_open(path: Path) -> dict[str, Settlement]:
    if not path.exists():
        return {}
    kept = msgspec.msgpack.decode(path.read_bytes(), type=list[Settlement])
    return {settlement.request_id: settlement for settlement in kept}


def _save_open(path: Path, streams: Mapping[str, Settlement]) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.msgpack.encode(list(streams.values())))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
