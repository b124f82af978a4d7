"""`docs/failure-contract.md` as data: the document is the table that the fault matrix runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

DOCUMENT = Path(__file__).parents[2] / "docs" / "failure-contract.md"

Seen = Literal["answer", "cut", "400", "429", "502", "503", "504"]
Charged = Literal["usage", "estimate", "nothing"]
Next = Literal["yes", "before output", "again", "not needed", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What one form of request, streaming or whole, experiences of a fault."""

    client: Seen
    charged: Charged


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row. `id` is a behaviour of the faulty upstream, or an address that does not answer."""

    id: str
    stream: Promise
    whole: Promise
    next_provider: Next

    def promise(self, *, stream: bool) -> Promise:
        return self.stream if stream else self.whole

    def falls_back(self, *, stream: bool) -> bool:
        """Whether the next target answers instead."""
        return self.next_provider == "yes" or (self.next_provider == "before output" and not stream)


def _check(cell: str, allowed: object, row: str) -> str:
    if cell not in get_args(allowed):
        raise ValueError(f"{row}: {cell!r} is not one of {', '.join(get_args(allowed))}")
    return cell


def _promise(client: str, charged: str, row: str) -> Promise:
    _check(client, Seen, row)
    _check(charged, Charged, row)
    return Promise(client=client, charged=charged)  # type: ignore[arg-type]


def read_faults() -> tuple[Fault, ...]:
    """The rows of the document's first table; ValueError for a word that the document does not explain."""
    faults = []
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 7 or not cells[0].startswith("`"):
            continue
        name = cells[0].strip("`")
        faults.append(
            Fault(
                id=name,
                stream=_promise(cells[2], cells[3], name),
                whole=_promise(cells[4], cells[5], name),
                next_provider=_check(cells[6], Next, name),  # type: ignore[arg-type]
            )
        )
    return tuple(faults)
