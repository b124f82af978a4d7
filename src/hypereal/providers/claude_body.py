"""Claude behind another cloud's API: what Anthropic's own API has in headers and the body is said elsewhere there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

import msgspec

from hypereal.catalog.types import Upstream
from hypereal.providers.base import Headers

OWN_HEADERS = ("anthropic-version", "anthropic-beta")

RENAMED: Mapping[str, str] = MappingProxyType({"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"})
"""What Anthropic gathered under a newer name; the clouds know the older one."""

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def invocation(body: bytes, *, version: str, betas: Iterable[str] = (), without: Collection[str] = ("model",)) -> bytes:
    """A Messages body as an invocation of a model that the path names: `version` and `betas` in it, those of its fields
    out of it that the path says."""
    fields = _FIELDS.decode(body)
    for name in without:
        fields.pop(name, None)
    fields["anthropic_version"] = msgspec.Raw(msgspec.json.encode(version))
    wanted = list(dict.fromkeys(betas))
    if wanted:
        fields["anthropic_beta"] = msgspec.Raw(msgspec.json.encode(wanted))
    return msgspec.json.encode(fields)


def betas(headers: Headers, known: Collection[str], upstream: Upstream) -> list[str]:
    """The features that a client asks for in `anthropic-beta`, as far as this cloud has them: it refuses a request that
    names another. The row's option `betas` adds to those that are `known`."""
    has = {*known, *(upstream.option("betas") or "").split()}
    named = (name.strip() for header, value in headers if header == "anthropic-beta" for name in value.split(","))
    return [name for name in (RENAMED.get(name, name) for name in named) if name in has]


def without_own_headers(headers: Headers) -> Headers:
    """The headers that are not Anthropic's."""
    return tuple((name, value) for name, value in headers if name not in OWN_HEADERS)
