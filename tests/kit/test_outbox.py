"""The outbox: what is written at once, what at the end of the turn, and in which order."""

from __future__ import annotations

import asyncio

from hypereal.kit.outbox import Outbox


class Sink:
    """A transport that remembers."""

    def __init__(self, seen: list[tuple[str, bytes]], name: str) -> None:
        self._seen = seen
        self._name = name
        self.is_closed = False

    def is_closing(self) -> bool:
        return self.is_closed

    def write(self, data: bytes) -> None:
        self._seen.append((self._name, data))


async def test_the_first_write_of_a_turn_goes_at_once_and_the_others_at_its_end() -> None:
    seen: list[tuple[str, bytes]] = []
    a, b = Sink(seen, "a"), Sink(seen, "b")
    outbox = Outbox(asyncio.get_running_loop())
    for data in (b"1", b"2"):
        outbox.write(a, data)
        outbox.write(b, data)
    assert seen == [("a", b"1")]
    await asyncio.sleep(0)
    assert seen == [("a", b"1"), ("b", b"1"), ("a", b"2"), ("b", b"2")]
    outbox.write(b, b"3")
    assert seen[-1] == ("b", b"3")


async def test_a_flush_writes_what_waits_and_a_closed_transport_gets_nothing() -> None:
    seen: list[tuple[str, bytes]] = []
    a, b = Sink(seen, "a"), Sink(seen, "b")
    outbox = Outbox(asyncio.get_running_loop())
    outbox.write(a, b"1")
    outbox.write(a, b"2")
    outbox.write(b, b"1")
    b.is_closed = True
    outbox.flush()
    assert seen == [("a", b"1"), ("a", b"2")]
    await asyncio.sleep(0)
    assert seen == [("a", b"1"), ("a", b"2")]
