"""From rows to a `Catalogue`: every fault found at once, or a catalogue in which every name leads somewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hypereal.catalog.discovery import discovered_models, has_target
from hypereal.catalog.files import Rows, builtin_rows, label, merge, read_rows
from hypereal.catalog.links import Checked, link_faults
from hypereal.catalog.live import SANDBOX, Surroundings, upstream, why_dormant
from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.rows import IntentRow, ModelRow, PriceRow, R, UpstreamRow, read_row
from hypereal.catalog.types import Intent, Model, Price, Target, Upstream
from hypereal.kit.money import Rate, parse_credits, parse_rate
from hypereal.wire.base import Kind

ANTHROPIC = "anthropic"
DEFAULT_OUTPUT_TOKENS = 4096
"""What is held for when neither the client nor the model's row says how long an answer may become."""

__all__ = [
    "CatalogueError",
    "Surroundings",
    "assemble",
    "builtin_rows",
    "check",
    "live_upstreams",
    "probe_urls",
    "read_rows",
]


class CatalogueError(Exception):
    """The rows do not make a catalogue; `faults` says everything that is wrong, a sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def assemble(rows: Rows, operator_rows: Rows, around: Surroundings) -> Catalogue:
    """The catalogue of the shipped rows with the operator's laid over them; raises `CatalogueError`."""
    merged = merge(rows, operator_rows)
    faults = list(merged.faults)
    checked = _read_all(merged, faults)
    faults.extend(link_faults(checked, around.adapters))
    upstreams, dormant = _upstreams(checked, operator_rows, around, faults=faults)
    if faults:
        raise CatalogueError(faults)
    maker = _Maker(upstreams=upstreams, around=around)
    described = [row for row in checked.models.values() if row.enabled]
    models = tuple(map(maker.model, [*described, *maker.found(checked)]))
    offered = {model.id for model in models}
    intents = tuple(
        Intent(id=row.id, description=row.description, models=tuple(name for name in row.models if name in offered))
        for row in checked.intents.values()
        if row.enabled
    )
    return Catalogue.build(
        models,
        intents,
        upstreams=tuple(upstreams.values()),
        dormant=dormant,
        revision=_revision(merged, models, upstreams),
    )


def live_upstreams(rows: Rows, operator_rows: Rows, around: Surroundings) -> frozenset[str]:
    """Ids of the upstreams that can be used here, the sandbox aside: none of them is when to start the sandbox.

    Faulty rows are passed over; `assemble` reports them.
    """
    ignored: list[str] = []
    checked = _read_all(merge(rows, operator_rows), ignored)
    return frozenset(_upstreams(checked, operator_rows, around, faults=ignored)[0]) - {SANDBOX}


def probe_urls(rows: Rows, operator_rows: Rows, around: Surroundings) -> dict[str, tuple[str, str | None]]:
    """Where to ask servers of one's own for their models: address and key by upstream id.

    Faulty rows are passed over; `assemble` reports them.
    """
    urls: dict[str, tuple[str, str | None]] = {}
    for row in _read_all(merge(rows, operator_rows), []).upstreams.values():
        if row.discover is None or not row.enabled:
            continue
        with suppress(ValueError, KeyError):
            probed = upstream(row, around)
            urls[row.id] = (f"{probed.base_url}/models", probed.secret)
    return urls


def check(operator_file: Path | None, around: Surroundings) -> list[str]:
    """Every fault of the shipped rows together with an operator's file; empty when they make a catalogue."""
    try:
        assemble(builtin_rows(), read_rows([operator_file] if operator_file else []), around)
    except CatalogueError as problem:
        return problem.faults
    return []


def _read_section(merged: Rows, section: str, shape: type[R], faults: list[str]) -> dict[str, R]:
    rows = {
        row_id: read_row(shape, raw, label(section, row_id), faults=faults)
        for row_id, raw in merged.section(section).items()
    }
    return {row_id: row for row_id, row in rows.items() if row is not None}


def _read_all(merged: Rows, faults: list[str]) -> Checked:
    return Checked(
        upstreams=_read_section(merged, "upstreams", UpstreamRow, faults),
        models=_read_section(merged, "models", ModelRow, faults),
        intents=_read_section(merged, "intents", IntentRow, faults),
        upstream_ids=merged.upstreams.keys(),
        model_ids=merged.models.keys(),
    )


def _upstreams(
    checked: Checked, operator_rows: Rows, around: Surroundings, *, faults: list[str]
) -> tuple[dict[str, Upstream], dict[str, str]]:
    """The live upstreams by id, and why the others are not."""
    addressed = {row_id for row_id, row in operator_rows.upstreams.items() if "base_url" in row}
    live: dict[str, Upstream] = {}
    dormant: dict[str, str] = {}
    for row in checked.upstreams.values():
        reason = why_dormant(row, around, addressed=addressed)
        if reason is not None:
            dormant[row.id] = reason
            continue
        try:
            live[row.id] = upstream(row, around)
        except ValueError as problem:
            faults.append(f"{label('upstreams', row.id)}: {problem}")
    if around.sandbox == "auto" and SANDBOX in live and len(live) > 1:
        del live[SANDBOX]
        dormant[SANDBOX] = "a real upstream is configured"
    return live, dormant


def _price(row: PriceRow, owner: str = "") -> Price:
    write = parse_rate(row.cache_write or row.input)
    if row.cache_write_1h is not None:
        write_1h = parse_rate(row.cache_write_1h)
    else:
        # Anthropic's documentation, "Prompt caching": to keep a prompt for an hour costs twice the rate of its input.
        write_1h = Rate(2 * parse_rate(row.input)) if owner == ANTHROPIC else write
    return Price(
        input=parse_rate(row.input),
        output=parse_rate(row.output),
        cache_read=parse_rate(row.cache_read or row.input),
        cache_write=write,
        cache_write_1h=write_1h,
        reasoning=parse_rate(row.reasoning or row.output),
        base=parse_credits(row.base),
        overrun=row.overrun,
        provenance=row.provenance,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Makes models, knowing which upstreams are live."""

    upstreams: Mapping[str, Upstream]
    around: Surroundings

    def found(self, checked: Checked) -> list[ModelRow]:
        """Rows for what local servers listed and no row describes."""
        taken = frozenset(checked.model_ids).union(*(row.aliases for row in checked.models.values()))
        local = {name: row for name, row in checked.upstreams.items() if name in self.upstreams}
        return list(discovered_models(local, self.around.discovered, taken=taken))

    def targets(self, row: ModelRow) -> tuple[Target, ...]:
        """The row's targets at live upstreams; the sandbox when there are none and there is a sandbox."""
        live = [
            Target(upstream=self.upstreams[name], model=model)
            for target in row.targets
            for name, _, model in [target.partition(":")]
            if name in self.upstreams and has_target(target, self.around.discovered)
        ]
        if not live and SANDBOX in self.upstreams:
            live = [Target(upstream=self.upstreams[SANDBOX], model=row.id)]
        return tuple(live)

    def model(self, row: ModelRow) -> Model:
        default = min(DEFAULT_OUTPUT_TOKENS, row.max_output_tokens)
        return Model(
            id=row.id,
            owner=row.owner,
            kinds=frozenset(map(Kind, row.kinds)),
            dialects=frozenset(row.dialects),
            price=_price(row.price, row.owner),
            targets=self.targets(row),
            context_tokens=row.context_tokens,
            max_output_tokens=row.max_output_tokens,
            default_output_tokens=default if row.default_output_tokens is None else row.default_output_tokens,
            min_cache_tokens=row.min_cache_tokens,
            name=row.name or row.id,
            capabilities=frozenset(row.capabilities),
            fallbacks=tuple(row.fallbacks),
            disconnect=row.disconnect,
            drain_s=row.drain_s,
            aliases=tuple(row.aliases),
        )


def _revision(merged: Rows, models: tuple[Model, ...], upstreams: Mapping[str, Upstream]) -> str:
    """A short digest that is the same wherever rows and live upstreams are."""
    routes = [[model.id, [[target.upstream.id, target.model] for target in model.targets]] for model in models]
    addresses = [[name, live.base_url] for name, live in upstreams.items()]
    content = [merged.upstreams, merged.models, merged.intents, routes, addresses]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:12]
