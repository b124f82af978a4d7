"""One server that speaks several formats below one address: the sandbox, or another server like this one."""

from __future__ import annotations

from urllib.parse import quote

from hypereal.catalog.types import Target
from hypereal.providers.anthropic import API_VERSION
from hypereal.providers.base import Headers
from hypereal.providers.google import VERBS
from hypereal.providers.openai import OpenAIAdapter
from hypereal.wire.base import Kind


class MultiAdapter(OpenAIAdapter):
    """Every format at the path below `/v1` that its first provider gave it."""

    def suffix(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> str:
        if dialect != "gemini":
            return super().suffix(target, kind, dialect=dialect, stream=stream)
        return f"models/{quote(target.model, safe='')}:{VERBS[kind, stream]}"

    def defaults(self, dialect: str) -> Headers:
        return (("anthropic-version", API_VERSION),) if dialect == "anthropic" else ()
