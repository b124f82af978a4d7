"""Looking around: which servers of one's own answer here, and which models they have."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from hypereal.catalog.files import Rows
from hypereal.catalog.live import Surroundings
from hypereal.catalog.load import probe_urls
from hypereal.kit.outgoing import OutgoingError, get_json
from hypereal.providers import ADAPTERS

PROBE_TIMEOUT_S = 1.0


async def _list_models(url: str, secret: str | None) -> tuple[str, ...] | None:
    """The names that a server lists, or None when it does not answer as one."""
    headers = {"authorization": f"Bearer {secret}"} if secret else None
    try:
        listing = await get_json(url, timeout_s=PROBE_TIMEOUT_S, headers=headers)
    except OutgoingError:
        return None
    data = listing.get("data") if isinstance(listing, dict) else None
    return tuple(str(row["id"]) for row in data or () if isinstance(row, dict) and "id" in row)


async def look_around(
    rows: Rows,
    operator_rows: Rows,
    environment: Mapping[str, str],
    *,
    sandbox_url: str | None = None,
    sandbox: Literal["auto", "on"] = "auto",
) -> Surroundings:
    """The surroundings of a catalogue: asks every server without a key of its own for its models, all at once."""
    around = Surroundings(
        adapters=frozenset(ADAPTERS), environment=environment, sandbox_url=sandbox_url, sandbox=sandbox
    )
    urls = probe_urls(rows, operator_rows, around)
    found = await asyncio.gather(*(_list_models(url, secret) for url, secret in urls.values()))
    listed = {name: names for name, names in zip(urls, found, strict=True) if names is not None}
    return replace(around, reachable=frozenset(listed), discovered=listed)
