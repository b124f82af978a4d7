"""Claude on Bedrock: what goes into the path, the body and the signature."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hypereal.catalog.types import Target, Upstream
from hypereal.providers.base import Failure, FailureKind, Headers, Prepared
from hypereal.providers.bedrock import BedrockAdapter
from hypereal.wire.base import Kind
from tests.providers.event_stream import chunk

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
MODEL = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
KEYS = (("access_key", "AKIDEXAMPLE"), ("secret_key", "wJalrXUtnFEMI"), ("session_token", "token=="))
BODY = b'{"model":"there","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


def target(**fields: Any) -> Target:
    base_url = "https://bedrock-runtime.eu-central-1.amazonaws.com"
    given = {"id": "bedrock", "name": "Bedrock", "base_url": base_url, "credentials": KEYS, **fields}
    return Target(upstream=Upstream(**given), model=MODEL)


def prepared(target: Target, headers: Headers = (), body: bytes = BODY) -> Prepared:
    adapter = BedrockAdapter(clock=lambda: NOW)
    address = adapter.address(target, Kind.CHAT, dialect="anthropic", stream=True)
    found = adapter.prepare(target, path=address.path, headers=(*address.headers, *headers), body=body)
    assert isinstance(found, Prepared)
    return found


def test_model_and_streaming_are_in_the_path() -> None:
    adapter = BedrockAdapter()
    model = "/model/global.anthropic.claude-haiku-4-5-20251001-v1%3A0"
    assert adapter.signs
    paths = [adapter.address(target(), Kind.CHAT, dialect="anthropic", stream=stream).path for stream in (False, True)]
    assert paths == [f"{model}/invoke", f"{model}/invoke-with-response-stream"]


def test_the_body_says_the_version_and_neither_model_nor_stream() -> None:
    body = json.loads(prepared(target()).body)
    assert body == {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "anthropic_version": "bedrock-2023-05-31",
    }


def test_the_rest_of_the_body_stays_byte_for_byte() -> None:
    odd = b'{"model":"m","messages":[{"role" : "user","content":"\\ud55c\\u0000\xed\x95\x9c"}],"n":1.0e2}'
    assert (
        b'"messages":[{"role" : "user","content":"\\ud55c\\u0000\xed\x95\x9c"}],"n":1.0e2'
        in prepared(target(), body=odd).body
    )


def test_betas_move_from_the_header_into_the_body_as_far_as_bedrock_knows_them() -> None:
    betas = "claude-code-20250219, effort-2025-11-24,advanced-tool-use-2025-11-20,effort-2025-11-24"
    headers = (("anthropic-version", "2023-06-01"), ("anthropic-beta", betas), ("x-title", "kept"))
    found = prepared(target(options=(("betas", "new-2026-01-01 other-2026-02-02"),)), headers)
    assert json.loads(found.body)["anthropic_beta"] == ["effort-2025-11-24", "tool-search-tool-2025-10-19"]
    names = [name for name, _ in found.headers]
    assert "x-title" in names
    assert not {"anthropic-beta", "anthropic-version"} & set(names)
    found = prepared(target(options=(("betas", "new-2026-01-01"),)), (("anthropic-beta", "new-2026-01-01"),))
    assert json.loads(found.body)["anthropic_beta"] == ["new-2026-01-01"]


def test_an_api_key_is_a_bearer_token_and_nothing_is_signed() -> None:
    found = prepared(target(secret="ABSKexample", credentials=()))
    assert found.headers == (("authorization", "Bearer ABSKexample"),)


def test_an_access_key_signs_for_the_region_of_the_host_or_of_the_row() -> None:
    headers = dict(prepared(target()).headers)
    assert headers["x-amz-date"] == "20270115T080000Z"
    assert headers["x-amz-security-token"] == "token=="
    scope = "Credential=AKIDEXAMPLE/20270115/eu-central-1/bedrock/aws4_request"
    assert scope in headers["authorization"]
    proxy = {"base_url": "http://[::1]:8443", "options": (("region", "us-gov-west-1"),)}
    assert "/us-gov-west-1/" in dict(prepared(target(**proxy)).headers)["authorization"]


def test_every_request_has_its_own_signature() -> None:
    signatures = {
        re.sub(".*Signature=", "", dict(prepared(target(), body=body).headers)["authorization"])
        for body in (BODY, BODY.replace(b"hi", b"ho"))
    }
    assert len(signatures) == 2


@pytest.mark.parametrize("credentials", [(), KEYS[:1], KEYS[1:]])
def test_half_a_key_is_a_failure_and_the_next_target_is_asked(credentials: tuple[tuple[str, str], ...]) -> None:
    failure = BedrockAdapter().prepare(target(credentials=credentials), path="/x", headers=(), body=BODY)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.try_next) == (FailureKind.CREDENTIALS, True)


def test_each_answer_has_a_stream_of_its_own() -> None:
    one, other = BedrockAdapter().unframer(), BedrockAdapter().unframer()
    assert one.feed(chunk({"type": "ping"})[:9]) == b""
    assert other.feed(chunk({"type": "ping"})) == b'event: ping\ndata: {"type":"ping"}\n\n'
