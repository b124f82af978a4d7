"""Which upstreams can be used here, and how they are reached: rows of `[[upstreams]]` to `Upstream` values."""

from __future__ import annotations

import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from hypereal.catalog.rows import UpstreamRow, check_url, variables
from hypereal.catalog.types import Upstream
from hypereal.wire.base import Kind

SANDBOX = "sandbox"
SANDBOX_VARIABLE = "HYPEREAL_SANDBOX_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a catalogue depends on besides its rows.

    `adapters` are the names of `providers.ADAPTERS`. `environment` holds the providers' keys. `reachable` are ids of
    upstreams without a key that answered when probed, `discovered` the names of the models they listed.
    `sandbox_url` is where the sandbox answers, None when there is none; "auto" uses it only while no other upstream is
    live, "on" for every model that has no live target of its own.
    """

    adapters: frozenset[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    reachable: frozenset[str] = frozenset()
    discovered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sandbox_url: str | None = None
    sandbox: Literal["auto", "on"] = "auto"


def _environment(around: Surroundings) -> dict[str, str]:
    """The environment, with the sandbox's address in the variable that its row mentions and empty values left out."""
    known = {name: value.strip() for name, value in around.environment.items() if value.strip()}
    known.pop(SANDBOX_VARIABLE, None)
    if around.sandbox_url:
        known[SANDBOX_VARIABLE] = around.sandbox_url.rstrip("/").removesuffix("/v1")
    return known


def _credentials(row: UpstreamRow, environment: Mapping[str, str]) -> dict[str, str]:
    """What stands in for a key here: the first of the row's choices whose variables are all set, by name."""
    return next((names for names in row.credentials if names.keys() and environment.keys() >= set(names.values())), {})


def why_dormant(row: UpstreamRow, around: Surroundings, *, addressed: Collection[str]) -> str | None:
    """Why this upstream cannot be used here, or None when it is live.

    `addressed` are the ids of the upstreams whose address the operator gave.
    """
    environment = _environment(around)
    if not row.enabled:
        return "switched off"
    unset = [name for name in variables(row.base_url) if name not in environment]
    if unset:
        return f"{unset[0]} is not set"
    if (row.key_env and row.key_env in environment) or _credentials(row, environment):
        return None
    if row.key_env and row.key_required:
        choices = [row.key_env, *(" with ".join(names.values()) for names in row.credentials)]
        return f"{' or '.join(choices)} is not set"
    is_addressed = row.id in addressed or row.id in around.reachable or bool(variables(row.base_url))
    return None if is_addressed else f"nothing answers at {row.base_url}"


def upstream(row: UpstreamRow, around: Surroundings) -> Upstream:
    """The value of a live upstream's row; ValueError when the environment's address or key cannot be used."""
    environment = _environment(around)
    secret = environment.get(row.key_env) if row.key_env else None
    used = {} if secret else _credentials(row, environment)
    # A file is not sent, and its path may have any characters.
    for variable in (row.key_env if secret else None, *(variable for name, variable in used.items() if name != "file")):
        if variable and not (environment[variable].isascii() and environment[variable].isprintable()):
            raise ValueError(f"{variable} holds characters that no header can carry")
    return Upstream(
        id=row.id,
        name=row.name or row.id,
        base_url=check_url(string.Template(row.base_url).substitute(environment)),
        adapter=row.adapter,
        key_env=" and ".join(used.values()) or row.key_env,
        secret=secret,
        credentials=tuple((name, environment[variable]) for name, variable in used.items()),
        headers=tuple((name.lower(), value) for name, value in row.headers.items()),
        kinds=frozenset(map(Kind, row.kinds)),
        dialects=tuple(dict.fromkeys(row.dialects)),
        counts=frozenset(row.counts),
        compacts=row.compacts,
        drop=frozenset(row.drop),
        rename=tuple(row.rename.items()),
        paths=tuple(row.paths.items()),
        connect_timeout_s=row.connect_timeout_s,
        first_byte_timeout_s=row.first_byte_timeout_s,
        silence_timeout_s=row.silence_timeout_s,
        max_connections=row.max_connections,
        options=tuple(row.options.items()),
    )
