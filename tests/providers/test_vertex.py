"""Gemini and Claude on Vertex AI: hosts, paths, bodies and the token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hypereal.catalog.types import Target, Upstream
from hypereal.providers.base import Address, Failure, FailureKind, Headers, Prepared
from hypereal.providers.google_tokens import GoogleTokens
from hypereal.providers.vertex import VertexAdapter
from hypereal.wire.base import Kind

PROJECT = "/v1/projects/acme/locations/global"
FILE = (("file", "/etc/key.json"),)
BODY = b'{"model":"claude-haiku-4-5@20251001","stream":true,"messages":[]}'


class OneToken(GoogleTokens):
    """Holds a token for every file, or none."""

    def __init__(self, token: str | None) -> None:
        super().__init__()
        self._one = token

    def get(self, file: str) -> str | None:
        return self._one


def target(model: str = "gemini-3.1-pro-preview", location: str = "global", **fields: Any) -> Target:
    base_url = f"https://aiplatform.googleapis.com/v1/projects/acme/locations/{location}"
    given = {"id": "vertex", "name": "Vertex", "base_url": base_url, "credentials": FILE, **fields}
    return Target(upstream=Upstream(**given), model=model)


def address(target: Target, kind: Kind = Kind.CHAT, dialect: str = "gemini", *, stream: bool = False) -> Address:
    return VertexAdapter(OneToken("t")).address(target, kind, dialect=dialect, stream=stream)


def prepared(
    target: Target, dialect: str, *, kind: Kind = Kind.CHAT, headers: Headers = (), body: bytes = BODY
) -> Prepared | Failure:
    adapter = VertexAdapter(OneToken("ya29.token"))
    found = adapter.address(target, kind, dialect=dialect, stream=True)
    return adapter.prepare(target, path=found.path, headers=(*found.headers, *headers), body=body)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_googles_host_is_that_of_the_location(location: str, host: str) -> None:
    assert address(target(location=location)).host == host


def test_a_host_of_ones_own_stays() -> None:
    assert address(target(base_url="http://127.0.0.1:99/v1/projects/p/locations/us")).host == "127.0.0.1"


def test_gemini_and_claude_have_paths_of_their_own() -> None:
    gemini = f"{PROJECT}/publishers/google/models/gemini-3.1-pro-preview"
    assert address(target()).path == f"{gemini}:generateContent"
    assert address(target(), stream=True).path == f"{gemini}:streamGenerateContent?alt=sse"
    assert address(target(), Kind.COUNT).path == f"{gemini}:countTokens"
    claude = target("claude-haiku-4-5@20251001")
    publisher = f"{PROJECT}/publishers/anthropic/models"
    assert address(claude, dialect="anthropic").path == f"{publisher}/claude-haiku-4-5@20251001:rawPredict"
    path = address(claude, dialect="anthropic", stream=True).path
    assert path == f"{publisher}/claude-haiku-4-5@20251001:streamRawPredict"
    assert address(claude, Kind.COUNT, "anthropic").path == f"{publisher}/count-tokens:rawPredict"


def test_the_token_is_sent_with_each_request() -> None:
    found = prepared(target(), "gemini", body=b'{"contents":[]}')
    assert found == Prepared(headers=(("authorization", "Bearer ya29.token"),), body=b'{"contents":[]}')


def test_without_a_token_the_next_target_is_asked() -> None:
    failure = VertexAdapter(OneToken(None)).prepare(target(), path="/x", headers=(), body=b"{}")
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.try_next, failure.retry_same) == (FailureKind.CREDENTIALS, True, False)


def test_an_api_key_needs_neither_token_nor_project() -> None:
    keyed = target(base_url="https://aiplatform.googleapis.com/v1", secret="AIzaKey", credentials=())
    assert address(keyed).path == "/v1/publishers/google/models/gemini-3.1-pro-preview:generateContent"
    assert address(keyed).host == "aiplatform.googleapis.com"
    found = prepared(keyed, "gemini", body=b"{}")
    assert found == Prepared(headers=(("x-goog-api-key", "AIzaKey"),), body=b"{}")


def test_claude_is_told_the_version_in_the_body_and_its_model_by_the_path() -> None:
    betas = (("anthropic-version", "2023-06-01"), ("anthropic-beta", "claude-code-20250219,context-1m-2025-08-07"))
    found = prepared(target("claude-opus-4-6"), "anthropic", headers=betas)
    assert isinstance(found, Prepared)
    assert json.loads(found.body) == {"stream": True, "messages": [], "anthropic_version": "vertex-2023-10-16"}
    assert found.headers == (("anthropic-beta", "context-1m-2025-08-07"), ("authorization", "Bearer ya29.token"))


def test_betas_that_google_does_not_have_leave_no_header() -> None:
    found = prepared(target("claude-opus-4-6"), "anthropic", headers=(("anthropic-beta", "claude-code-20250219"),))
    assert isinstance(found, Prepared)
    assert found.headers == (("authorization", "Bearer ya29.token"),)


def test_counting_names_the_model_in_the_body() -> None:
    found = prepared(target("claude-haiku-4-5@20251001"), "anthropic", kind=Kind.COUNT)
    assert isinstance(found, Prepared)
    assert json.loads(found.body)["model"] == "claude-haiku-4-5@20251001"
