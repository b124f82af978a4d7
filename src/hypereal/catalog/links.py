"""What rows say about one another: every name that a row mentions exists, and no fallback leads back to itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hypereal.catalog.rows import IntentRow, ModelRow, UpstreamRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Rows that are well-formed on their own, and the ids of all rows, well-formed or not."""

    upstreams: Mapping[str, UpstreamRow]
    models: Mapping[str, ModelRow]
    intents: Mapping[str, IntentRow]
    upstream_ids: Collection[str]
    model_ids: Collection[str]


def link_faults(rows: Checked, adapters: Collection[str]) -> list[str]:
    """Every fault between rows, each naming the row and the name that is wrong."""
    faults = [
        f"upstream {row.id!r}: unknown adapter {row.adapter!r} (there are: {', '.join(sorted(adapters))})"
        for row in rows.upstreams.values()
        if row.adapter not in adapters
    ]
    faults.extend(_alias_faults(rows))
    for model in rows.models.values():
        faults.extend(f"model {model.id!r}: {text}" for text in _model_faults(model, rows))
    for intent in rows.intents.values():
        faults.extend(
            f"intent {intent.id!r}: unknown model {name!r}" for name in intent.models if name not in rows.model_ids
        )
    faults.extend(_cycle_faults(rows.models))
    return faults


def _alias_faults(rows: Checked) -> Iterator[str]:
    uses = Counter(alias for model in rows.models.values() for alias in model.aliases)
    for alias, count in uses.items():
        if count > 1:
            yield f"alias {alias!r} is given {count} times"
        if alias in rows.model_ids:
            yield f"alias {alias!r} is the id of a model"


def _model_faults(model: ModelRow, rows: Checked) -> Iterator[str]:
    for target in model.targets:
        yield from _target_faults(target, model, rows)
    for name in model.fallbacks:
        if name not in rows.model_ids:
            yield f"unknown fallback {name!r}"
        elif name in rows.models and set(rows.models[name].kinds).isdisjoint(model.kinds):
            yield f"fallback {name!r} is of another kind"
    if model.max_output_tokens > model.context_tokens:
        yield "max_output_tokens is larger than context_tokens"
    if (model.default_output_tokens or 0) > model.max_output_tokens:
        yield "default_output_tokens is larger than max_output_tokens"


def _target_faults(target: str, model: ModelRow, rows: Checked) -> Iterator[str]:
    name = target.partition(":")[0]
    if name not in rows.upstream_ids:
        yield f"target {target!r} names an unknown upstream"
    elif name in rows.upstreams and set(rows.upstreams[name].kinds).isdisjoint(model.kinds):
        yield f"target {target!r}: that upstream serves no {' or '.join(model.kinds)}"


def _cycle_faults(models: Mapping[str, ModelRow]) -> Iterator[str]:
    settled: set[str] = set()
    for start in models:
        path = _cycle_from(start, models, settled=settled, path=[])
        if path:
            yield f"fallbacks run in a circle: {' → '.join(path)}"


def _cycle_from(name: str, models: Mapping[str, ModelRow], *, settled: set[str], path: list[str]) -> list[str] | None:
    """The circle that is met by following fallbacks from `name`, or None; each model is followed once in all."""
    if name in path:
        return [*path[path.index(name) :], name]
    if name in settled or name not in models:
        return None
    settled.add(name)
    for fallback in models[name].fallbacks:
        found = _cycle_from(fallback, models, settled=settled, path=[*path, name])
        if found:
            return found
    return None
