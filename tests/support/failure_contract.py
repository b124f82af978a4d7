"""`docs/failure-contract.md` as data: the document is the table that the fault matrix runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

DOCUMENT = Path(__file__).parents[2] / "docs" / "failure-contract.md"

Seen = Literal["answer", "cut", "400", "429", "502", "503", "504"]
Charged = Literal["usage", "estimate", "nothing"]
FormatName = Literal["openai_chat", "anthropic", "openai_responses", "gemini"]
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
        is_unseen = self.next_provider == "before output" and not stream
        return self.promise(stream=stream).client != "answer" and (self.next_provider == "yes" or is_unseen)


def _check(cell: str, allowed: object, row: str) -> str:
    if cell not in get_args(allowed):
        raise ValueError(f"{row}: {cell!r} is not one of {', '.join(get_args(allowed))}")
    return cell


def _promise(client: str, charged: str, row: str) -> Promise:
    _check(client, Seen, row)
    _check(charged, Charged, row)
    return Promise(client=client, charged=charged)  # type: ignore[arg-type]


def _in_every_format() -> tuple[str, ...]:
    """The faults that the document names between "These rows" and the end of that paragraph."""
    paragraph = DOCUMENT.read_text().partition("These rows")[2].partition("\n\n")[0]
    return tuple(re.findall(r"`(\w+)`", paragraph))


def _exceptions() -> dict[tuple[str, str], Fault]:
    """The document's second table: a fault and an upstream's format in which it means something else."""
    found = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[1].strip("`") in get_args(FormatName):
            name = cells[0].strip("`")
            fault = next(fault for fault in read_faults() if fault.id == name)
            stream = _promise(cells[2], cells[3], name)
            following: Next = _check(cells[4], Next, name)  # type: ignore[assignment]
            found[name, cells[1].strip("`")] = replace(fault, stream=stream, next_provider=following)
    return found


def read_disconnects() -> dict[str, dict[tuple[str, str], Charged]]:
    """The document's last table: by when a client leaves, what is charged, by form and rule."""
    columns = (("stream", "cancel"), ("stream", "drain"), ("whole", "cancel"), ("whole", "drain"))
    found: dict[str, dict[tuple[str, str], Charged]] = {}
    section = DOCUMENT.read_text().partition("| client leaves |")[2]
    for line in section.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 6:
            break
        charged = zip(columns, cells[2:], strict=True)
        found[cells[0].strip("`")] = {key: _check(cell, Charged, cells[0]) for key, cell in charged if cell != "-"}  # type: ignore[misc]
    return found


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


FORMAT_FAULTS = _in_every_format()
_EXCEPTIONS = _exceptions()


def fault_in(fault_id: str, upstream_format: str) -> Fault:
    """What is promised of a fault of an upstream that speaks this format."""
    exception = _EXCEPTIONS.get((fault_id, upstream_format))
    return exception or next(fault for fault in read_faults() if fault.id == fault_id)
