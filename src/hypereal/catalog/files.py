"""Catalogue files: TOML text to raw rows by id, and an operator's rows laid over the ones that ship.

Nothing here knows what a row means; `rows` does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Table = dict[str, Any]

SECTIONS = ("upstreams", "models", "intents")
FOREIGN = ("server",)
"""Sections of `hypereal.toml` that are somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Raw rows by id, in the order of their files, and what was wrong with the files."""

    upstreams: Mapping[str, Table] = field(default_factory=dict)
    models: Mapping[str, Table] = field(default_factory=dict)
    intents: Mapping[str, Table] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def section(self, name: str) -> Mapping[str, Table]:
        """The rows of one of `SECTIONS`."""
        found: Mapping[str, Table] = getattr(self, name)
        return found


def label(section: str, row_id: str) -> str:
    """How a fault names a row: `model 'gpt-5'`."""
    return f"{section.removesuffix('s')} {row_id!r}"


def _read_file(path: Path, faults: list[str]) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        faults.append(f"{path.name}: cannot be read: {problem.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        faults.append(f"{path.name}: is not TOML: {problem}")
    return {}


def _collect(raw: object, section: str, *, source: str, into: dict[str, Table], faults: list[str]) -> None:
    if not isinstance(raw, list):
        faults.append(f"{source}: write each row of {section} under [[{section}]]")
        return
    for number, row in enumerate(raw, start=1):
        row_id = row.get("id") if isinstance(row, dict) else None
        if not isinstance(row_id, str) or not row_id:
            faults.append(f"{source}: row {number} of {section} has no id")
        elif row_id in into:
            faults.append(f"{source}: {label(section, row_id)} is there twice")
        else:
            into[row_id] = row


def read_rows(paths: Iterable[Path]) -> Rows:
    """Read catalogue files; what is wrong with them is in the result's `faults`, all of it at once."""
    found: dict[str, dict[str, Table]] = {section: {} for section in SECTIONS}
    faults: list[str] = []
    for path in paths:
        for key, raw in _read_file(path, faults).items():
            if key in SECTIONS:
                _collect(raw, key, source=path.name, into=found[key], faults=faults)
            elif key not in FOREIGN:
                faults.append(f"{path.name}: unknown section [{key}]")
    return Rows(**found, faults=tuple(faults))


def builtin_rows() -> Rows:
    """The rows that ship with the package."""
    return read_rows(sorted((Path(__file__).parent / "data").glob("*.toml")))


def _overlay(base: Table, over: Table) -> Table:
    """`base` with the fields of `over`; tables are merged field by field, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        mine = merged.get(key)
        merged[key] = _overlay(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return merged


def _operator_price(row: Table) -> Table:
    """A price that the operator touched is the operator's, unless the row says otherwise."""
    price = row.get("price")
    if not isinstance(price, dict) or "provenance" in price:
        return row
    return {**row, "price": {**price, "provenance": "operator"}}


def merge(base: Rows, operator: Rows) -> Rows:
    """The operator's rows over the ones that ship: by id, field by field; new ids are added at the end."""
    merged: dict[str, dict[str, Table]] = {}
    for section in SECTIONS:
        rows = dict(base.section(section))
        for row_id, row in operator.section(section).items():
            rows[row_id] = _overlay(rows.get(row_id, {}), _operator_price(row))
        merged[section] = rows
    return Rows(**merged, faults=(*base.faults, *operator.faults))
