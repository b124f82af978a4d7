"""Models that a local server has and no row describes: rows made from the names that it lists.

Their price is the one that the upstream's `discover` row states aloud (nothing, for a server of one's own as it
ships); a model never gets one by omission.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hypereal.catalog.rows import KindName, ModelRow, UpstreamRow

EMBEDDING_NAMES = ("embed", "bge-", "all-minilm", "e5-", "gte-")
"""What the published names of embedding models contain."""


def _kinds(name: str, upstream: UpstreamRow) -> list[KindName]:
    is_embedding = any(mark in name.lower() for mark in EMBEDDING_NAMES)
    return [kind for kind in upstream.kinds if (kind == "embedding") == is_embedding]


def has_target(target: str, discovered: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether the upstream of `target` has that model, as far as is known. Ollama's `:latest` may be left out."""
    upstream, _, name = target.partition(":")
    names = discovered.get(upstream)
    return names is None or name in names or f"{name}:latest" in names


def discovered_models(
    upstreams: Mapping[str, UpstreamRow], discovered: Mapping[str, tuple[str, ...]], *, taken: frozenset[str]
) -> Iterator[ModelRow]:
    """Rows for the listed models: `ollama/llama3.2:3b`, with the bare name as an alias where it is free.

    `taken` are the ids and aliases that exist already.
    """
    used = set(taken)
    for upstream_id, names in discovered.items():
        row = upstreams.get(upstream_id)
        if row is None or row.discover is None:
            continue
        for name in dict.fromkeys(names):
            model_id = f"{upstream_id}/{name}"
            kinds = _kinds(name, row)
            if model_id in used or not kinds:
                continue
            aliases = [alias for alias in dict.fromkeys((name, name.removesuffix(":latest"))) if alias not in used]
            used.update((model_id, *aliases))
            yield ModelRow(
                id=model_id,
                name=name,
                owner=upstream_id,
                kinds=kinds,
                price=row.discover.price.model_copy(update={"provenance": "operator"}),
                targets=[f"{upstream_id}:{name}"],
                context_tokens=row.discover.context_tokens,
                max_output_tokens=row.discover.max_output_tokens,
                default_output_tokens=row.discover.default_output_tokens,
                capabilities=[] if kinds == ["embedding"] else ["streaming"],
                aliases=aliases,
            )
