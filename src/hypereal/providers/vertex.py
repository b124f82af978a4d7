"""Google Cloud's Vertex AI: Gemini in its own format, and Claude by raw prediction.

`base_url` ends in the project and the location (`…/v1/projects/p/locations/l`); Google's own host is made that of the
location. Requests carry an access token (`google_tokens`), or an API key: with one, `base_url` ends in `/v1`. Options:
`betas`, features of Claude that are new there. References: Google Cloud, "Vertex AI REST reference" and "Use Claude
models".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from hypereal.catalog.types import Target, Upstream
from hypereal.providers.base import Address, Failure, Headers, Prepared
from hypereal.providers.claude_body import betas, invocation, without_own_headers
from hypereal.providers.failures import NO_TOKEN
from hypereal.providers.google_tokens import GoogleTokens
from hypereal.providers.openai import GEMINI_VERBS, OpenAIAdapter
from hypereal.wire.base import Kind

API_VERSION = "vertex-2023-10-16"
GLOBAL_HOST = "aiplatform.googleapis.com"
BETAS = frozenset(
    {
        "compact-2026-01-12",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "interleaved-thinking-2025-05-14",
        "tool-search-tool-2025-10-19",
        "web-search-2025-03-05",
    }
)
"""Features of Claude that Google Cloud has; it refuses a request that names another."""

_LOCATION = re.compile(r"/locations/([^/]+)")


class VertexAdapter(OpenAIAdapter):
    """Signs with what `tokens` has; without a token yet, an attempt fails and the next target is asked."""

    signs = True

    def __init__(self, tokens: GoogleTokens, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._tokens = tokens

    def address(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> Address:
        address = super().address(target, kind, dialect=dialect, stream=stream)
        return replace(address, host=_host(address)) if address.host == GLOBAL_HOST else address

    def suffix(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> str:
        model = quote(target.model, safe="@")
        if dialect == "gemini":
            return f"publishers/google/models/{model}:{GEMINI_VERBS[kind, stream]}"
        if kind is Kind.COUNT:
            return "publishers/anthropic/models/count-tokens:rawPredict"
        return f"publishers/anthropic/models/{model}:{'streamRawPredict' if stream else 'rawPredict'}"

    def signature(self, upstream: Upstream, dialect: str) -> dict[str, str]:
        return {} if upstream.secret is None else {"x-goog-api-key": upstream.secret}

    def prepare(self, target: Target, *, path: str, headers: Headers, body: bytes) -> Prepared | Failure:
        if "/publishers/anthropic/" in path:
            # Counting is the same path for every model, so its body names the model.
            left_out = () if "/count-tokens:" in path else ("model",)
            body = invocation(body, version=API_VERSION, without=left_out)
            wanted = ",".join(betas(headers, BETAS, target.upstream))
            headers = (*without_own_headers(headers), *((("anthropic-beta", wanted),) if wanted else ()))
        file = target.upstream.credential("file")
        if file is None:
            return Prepared(headers=headers, body=body)
        token = self._tokens.get(file)
        if token is None:
            return NO_TOKEN
        return Prepared(headers=(*headers, ("authorization", f"Bearer {token}")), body=body)


def _host(address: Address) -> str:
    """Google's host for the location that the path names."""
    found = _LOCATION.search(address.path)
    match found[1] if found else "global":
        case "global":
            return GLOBAL_HOST
        case "us" | "eu" as region:
            return f"aiplatform.{region}.rep.googleapis.com"
        case location:
            return f"{location}-{GLOBAL_HOST}"
