"""A process of the invariants suite: serves requests with a real lease book and journal, or is the writer.

Started as `python -m tests.invariants.process <JSON>`. It tells on its standard output, unbuffered, what a client would
have received, so that the test knows it whatever becomes of the process. At the point named by `crash_at` (the `nth`
time) it kills itself with SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from hypereal.billing.journal import Journal
from hypereal.billing.lease import LeaseBook, Short
from hypereal.db.engine import open_engine, open_sync_engine
from hypereal.gateway.records import Opened, Progress
from hypereal.gateway.writer import Writer
from hypereal.kit.money import Micro
from tests.support.settlements import settlement


class Task(msgspec.Struct, kw_only=True, frozen=True):
    """What a process is to do. Amounts in micro-credits."""

    role: str
    url: str
    home: str
    name: str = "p"
    wallet: str = "acct_1"
    key: str = "key_1"
    limit: int | None = None
    minimum: int = 0
    requests: int = 50
    concurrency: int = 10
    hold: int = 500_000
    cost: int = 300_000
    streams: bool = False
    linger: bool = False
    crash_at: str | None = None
    nth: int = 1


def tell(*words: object) -> None:
    """Reach the client: one line, at once."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash_point(task: Task) -> Callable[[str], None]:
    left = task.nth

    def point(name: str) -> None:
        nonlocal left
        if name == task.crash_at:
            left -= 1
            if left == 0:
                die()

    return point


class Client:
    """Sends its requests through the book and the journal, as a server process does."""

    def __init__(self, task: Task, book: LeaseBook, journal: Journal, point: Callable[[str], None]) -> None:
        self.task = task
        self.book = book
        self.journal = journal
        self.point = point
        self.encode = msgspec.msgpack.encode

    async def request(self, number: int) -> None:
        task, book = self.task, self.book
        name = f"req_{task.name}_{number}"
        hold = book.try_hold(task.wallet, task.key, task.limit, name, Micro(task.hold))
        if hold is None:
            found = await book.hold(task.wallet, task.key, task.limit, name, Micro(task.hold))
            if isinstance(found, Short):
                tell("short", name, found.reason)
                return
            hold = found
        self.point("hold.taken")
        record = settlement(
            request_id=name,
            at=time.time(),
            wallet_id=task.wallet,
            key_id=task.key,
            lease_id=hold.lease_id,
            period=hold.period,
            streamed=task.streams,
        )
        if task.streams:
            owed = msgspec.structs.replace(record, credits=min(1000, hold.amount))
            self.journal.append(self.encode(Opened(owed)))
            tell("opened", name)
            self.point("stream.opened")
            progress = Progress(request_id=name, credits=min(2000, hold.amount), output_tokens=7)
            self.journal.append(self.encode(progress))
            self.point("stream.progressed")
        await asyncio.sleep(0.001)
        charge = book.settle(hold, task.cost)
        record = msgspec.structs.replace(record, credits=charge)
        self.point("settle.before_journal")
        self.append(self.encode(record))
        self.point("settle.after_journal")
        tell("delivered", name, charge)

    def append(self, payload: bytes) -> None:
        if self.task.crash_at == "journal.torn":
            self._tear(payload)
        self.journal.append(payload)

    def _tear(self, payload: bytes) -> None:
        """Die in the middle of the copy: half of the record is in the segment."""
        left = getattr(self, "left", self.task.nth) - 1
        self.left = left
        if left == 0:
            journal = self.journal
            start = journal._position
            journal.append(payload)
            end = journal._position
            journal._buffer[start + (end - start) // 2 : end] = bytes(end - start - (end - start) // 2)
            die()


async def serve(task: Task) -> None:
    point = crash_point(task)
    engine = open_engine(task.url)
    journal = Journal(Path(task.home), f"instance_{task.name}", segment_bytes=16_384)
    book = LeaseBook(engine, journal.instance, minimum=Micro(task.minimum), point=point)
    client = Client(task, book, journal, point)
    waiting = iter(range(task.requests))

    async def lane() -> None:
        for number in waiting:
            await client.request(number)

    async with asyncio.TaskGroup() as lanes:
        for _ in range(task.concurrency):
            lanes.create_task(lane())
    if task.linger:
        tell("idle")
        await asyncio.sleep(60)
    await book.close()
    journal.close()
    await engine.dispose()


async def write(task: Task) -> None:
    engine, bulk_engine = open_engine(task.url), open_sync_engine(task.url)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Writer(engine, bulk_engine, Path(task.home), point=crash_point(task)).run(stop)
    await engine.dispose()
    bulk_engine.dispose()


if __name__ == "__main__":
    the_task = msgspec.json.decode(sys.argv[1], type=Task)
    asyncio.run(serve(the_task) if the_task.role == "server" else write(the_task))
