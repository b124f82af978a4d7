"""The journal: what is appended is read, whatever happens to the appending side."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.billing.journal import (
    HEADER,
    RESERVE_SEGMENTS,
    Journal,
    JournalFull,
    JournalReader,
    Tail,
    list_instances,
    list_segments,
    segment_path,
)
from tests.support.server import wait_for

SEGMENT = 4096


def read_all(reader: JournalReader) -> tuple[list[bytes], Tail]:
    """Every record of every segment, and how the last used segment ends."""
    payloads: list[bytes] = []
    tail = Tail.EMPTY
    for number in reader.segments():
        if not reader.is_used(number):
            break
        offset = 0
        while True:
            chunk = reader.read(number, offset, size=512)
            payloads += [payload for payload, _ in chunk.records]
            offset, tail = chunk.offset, chunk.tail
            if tail is not Tail.MORE:
                break
    return payloads, tail


def is_open(journal: Journal) -> bool:
    """Whether it takes requests again, as the server looks every second."""
    journal.check_space()
    return not journal.is_full


def append_many(journal: Journal) -> None:
    """Two segments' worth."""
    for _ in range(2 * SEGMENT // 1000):
        journal.append(b"x" * 1000)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal", "one", segment_bytes=SEGMENT, limit_bytes=4 * SEGMENT)


def test_records_are_read_in_order_over_many_segments(journal: Journal) -> None:
    payloads = [b"%04d" % number * (number % 90 + 1) for number in range(90)]
    for payload in payloads:
        journal.append(payload)
    reader = JournalReader(journal.directory)
    assert read_all(reader) == (payloads, Tail.EMPTY)
    assert len(reader.segments()) > 2
    journal.close()
    assert read_all(reader) == (payloads, Tail.END)
    reader.close()


@given(sizes=st.lists(st.integers(min_value=1, max_value=SEGMENT - 16), max_size=25))
def test_any_sizes_are_read_as_they_were_appended(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    home = tmp_path_factory.mktemp("journal")
    journal = Journal(home, "one", segment_bytes=SEGMENT, limit_bytes=100 * SEGMENT)
    payloads = [os.urandom(size) for size in sizes]
    for payload in payloads:
        journal.append(payload)
    journal.close()
    reader = JournalReader(home / "one")
    assert read_all(reader)[0] == payloads
    reader.close()


@pytest.mark.parametrize("kept", [1, 4, 6, 8, 20])
def test_a_record_that_was_cut_off_is_torn_and_nothing_before_it_is_lost(journal: Journal, kept: int) -> None:
    journal.append(b"whole")
    start = journal._position
    journal.append(b"x" * 100)
    journal._buffer[start + kept : journal._position] = bytes(journal._position - start - kept)
    reader = JournalReader(journal.directory)
    chunk = reader.read(1)
    assert [payload for payload, _ in chunk.records] == [b"whole"]
    assert (chunk.offset, chunk.tail) == (start, Tail.TORN)
    reader.close()
    journal.close()


@pytest.mark.parametrize("size", [SEGMENT, 2**31])
def test_a_length_that_can_not_be_is_torn(journal: Journal, size: int) -> None:
    start = journal._position
    journal._buffer[start : start + 8] = HEADER.pack(size, 1)
    reader = JournalReader(journal.directory)
    assert reader.read(1).tail is Tail.TORN
    reader.close()
    journal.close()


@pytest.mark.parametrize(("left", "tail"), [(0, Tail.END), (2, Tail.END), (4, Tail.END), (6, Tail.END), (9, Tail.END)])
def test_a_segment_ends_however_little_room_is_left(journal: Journal, left: int, tail: Tail) -> None:
    journal.append(b"x" * (SEGMENT - 8 - 8 - left))
    reader = JournalReader(journal.directory)
    read = reader.read(1)
    assert read.tail in {Tail.MORE, Tail.EMPTY}
    journal.append(b"next")
    assert reader.read(1, read.offset).tail is tail
    assert read_all(reader)[0][-1] == b"next"
    reader.close()
    journal.close()


def test_an_unfinished_segment_with_little_room_is_empty_there(journal: Journal) -> None:
    journal.append(b"x" * (SEGMENT - 8 - 8 - 6))
    reader = JournalReader(journal.directory)
    assert reader.read(1, SEGMENT - 6).tail is Tail.EMPTY
    journal._buffer[SEGMENT - 6] = 1
    assert reader.read(1, SEGMENT - 6).tail is Tail.TORN
    reader.close()
    journal.close()


def test_a_journal_asks_for_a_stop_at_its_limit_and_refuses_beyond_its_reserve(journal: Journal) -> None:
    assert is_open(journal)
    while not journal.is_full:
        journal.append(b"x" * 1000)
    assert journal.size_bytes() == 5 * SEGMENT
    for _ in range(RESERVE_SEGMENTS * (SEGMENT // 1008) - 3):
        journal.append(b"x" * 1000)
    with pytest.raises(JournalFull):
        append_many(journal)
    with pytest.raises(JournalFull):
        journal.append(b"x" * 1000)
    reader = JournalReader(journal.directory)
    for number in reader.segments()[:-1]:
        reader.delete(number)
    journal.check_space()
    assert not journal.is_full
    journal.append(b"x" * 1000)
    reader.close()
    journal.close()


def test_a_full_disk_is_a_full_journal(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(JournalFull):
        append_many(journal)
    assert journal.is_full
    assert list_segments(journal.directory) == [1]
    journal.close()


def test_a_full_disk_stays_a_full_journal_until_there_is_room_and_then_loses_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse)
        appended = 0
        while not journal.is_full:  # past the middle of the segment, where the next one is prepared
            journal.append(b"x" * 100)
            appended += 1
            time.sleep(0.001)
        for _ in range(3):
            journal.check_space()
            time.sleep(0.02)
            assert journal.is_full
    for _ in range(SEGMENT // 108):  # the requests under way end, into the segment that could not be made before
        journal.append(b"x" * 100)
        appended += 1
    wait_for(lambda: is_open(journal), "room")
    reader = JournalReader(journal.directory)
    assert len(read_all(reader)[0]) == appended
    reader.close()
    journal.close()


def test_a_record_larger_than_a_segment_is_refused(journal: Journal) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        journal.append(b"x" * SEGMENT)
    journal.close()


def test_a_closed_journal_takes_nothing_more_and_closing_again_is_harmless(journal: Journal) -> None:
    journal.append(b"x" * 3000)
    journal.close()
    journal.close()
    with pytest.raises((JournalFull, ValueError)):
        journal.append(b"x" * 3000)


def test_an_instance_is_dead_once_nobody_holds_its_journal(journal: Journal) -> None:
    reader = JournalReader(journal.directory)
    assert not reader.is_dead()
    journal.close()
    assert reader.is_dead()
    assert reader.is_dead()
    reader.delete_all()
    assert list_instances(journal.directory.parent) == []


def test_a_journal_is_never_seen_without_its_lock(tmp_path: Path) -> None:
    home = tmp_path / "journal"
    assert list_instances(home) == []
    assert list_segments(home) == []
    (home / ".new-two").mkdir(parents=True)
    assert list_instances(home) == []
    with pytest.raises(FileExistsError):
        Journal(home, "two")


def test_what_was_appended_can_be_forced_to_the_disk(journal: Journal) -> None:
    journal.append(b"x")
    reader = JournalReader(journal.directory)
    assert reader.read(1).records
    reader.sync()
    reader.delete(2)
    assert segment_path(journal.directory, 1).exists()
    reader.close()
    journal.close()
