"""Claude on Amazon Bedrock: InvokeModel, signed with an API key or with an AWS access key.

`base_url` is the runtime's endpoint (`https://bedrock-runtime.eu-west-1.amazonaws.com`). Options of a row: `region`,
where the host does not name it; `betas`, features of Claude that are new there. Reference: Amazon Bedrock user guide,
"Anthropic Claude Messages API".
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from hypereal.catalog.types import Target, Upstream
from hypereal.providers.aws_event_stream import EventStream
from hypereal.providers.aws_signature import AccessKey, sign
from hypereal.providers.base import Failure, Headers, Prepared
from hypereal.providers.claude_body import betas, invocation, without_own_headers
from hypereal.providers.failures import ACCOUNT
from hypereal.providers.openai import OpenAIAdapter, host_field
from hypereal.wire.base import Kind

API_VERSION = "bedrock-2023-05-31"
BETAS = frozenset(
    {
        "compact-2026-01-12",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "effort-2025-11-24",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "output-128k-2025-02-19",
        "token-efficient-tools-2025-02-19",
        "tool-examples-2025-10-29",
        "tool-search-tool-2025-10-19",
    }
)
"""What the user guide lists under `anthropic_beta`."""

_REGION = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


class BedrockAdapter(OpenAIAdapter):
    """The model and whether to stream are in the path; version and betas in the body."""

    signs = True

    def suffix(self, target: Target, kind: Kind, *, dialect: str, stream: bool) -> str:
        verb = "invoke-with-response-stream" if stream else "invoke"
        return f"model/{quote(target.model, safe='')}/{verb}"

    def prepare(self, target: Target, *, path: str, headers: Headers, body: bytes) -> Prepared | Failure:
        upstream = target.upstream
        wanted = betas(headers, BETAS, upstream)
        body = invocation(body, version=API_VERSION, betas=wanted, without=("model", "stream"))
        headers = without_own_headers(headers)
        if upstream.secret is not None:
            return Prepared(headers=headers, body=body)
        key_id, secret = upstream.credential("access_key"), upstream.credential("secret_key")
        if key_id is None or secret is None:
            return ACCOUNT
        signed = sign(
            AccessKey(key_id=key_id, secret=secret, token=upstream.credential("session_token")),
            region=_region(upstream),
            service="bedrock",
            host=host_field(upstream.base_url),
            path=path,
            headers=(),
            body=body,
            now=self._clock(),
        )
        return Prepared(headers=(*headers, *signed), body=body)

    def unframer(self) -> EventStream:
        return EventStream()


def _region(upstream: Upstream) -> str:
    named = _REGION.match(urlsplit(upstream.base_url).hostname or "")
    return upstream.option("region") or (named[1] if named else "us-east-1")
