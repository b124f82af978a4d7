"""A server process reduced to its windows: `python -m tests.limits.window_process URL INSTANCE LIMIT`.

Reads commands line by line: `admit N` answers how many of N requests were let in; `exchange` answers whether it worked.
"""

from __future__ import annotations

import asyncio
import sys

from hypereal.db import open_engine
from hypereal.limits.counters import Subject
from hypereal.limits.sync import WindowSync
from hypereal.limits.windows import Admission, Windows


async def run(url: str, instance: str, limit: int) -> None:
    engine = open_engine(url)
    windows = Windows()
    sync = WindowSync(windows, engine, instance=instance)
    subject = Subject(id="acct_shared", requests_per_hour=limit)
    while command := (await asyncio.to_thread(sys.stdin.readline)).split():
        match command:
            case ["admit", number]:
                outcomes = [windows.admit([subject]) for _ in range(int(number))]
                answer = str(sum(isinstance(outcome, Admission) for outcome in outcomes))
            case _:
                answer = str(await sync.exchange())
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
