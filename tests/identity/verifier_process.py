"""A server process reduced to its verifier: `python -m tests.identity.verifier_process URL`.

Reads commands line by line: `verify SECRET` asks as a request would, `find SECRET` looks into memory only; both answer
with the key's id, or the refusal, or `unknown`.
"""

from __future__ import annotations

import asyncio
import sys

import structlog

from hypereal.db import open_engine
from hypereal.identity.changes import Changes
from hypereal.identity.principal import Principal
from hypereal.identity.verifier import Verifier


async def answer(verifier: Verifier, line: str) -> str:
    verb, secret = line.split()
    if verb == "find":
        found = verifier.find(secret.encode())
        return "unknown" if found is None else found.key_id
    outcome = await verifier.verify(secret.encode())
    return outcome.key_id if isinstance(outcome, Principal) else outcome.message


async def run(url: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    engine = open_engine(url)
    changes = Changes(url)
    verifier = Verifier(engine, changes)
    changes.start()
    while not changes.healthy:
        await asyncio.sleep(0.01)
    while line := await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(await answer(verifier, line) + "\n")
        sys.stdout.flush()
    await changes.stop()
    await verifier.close()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
