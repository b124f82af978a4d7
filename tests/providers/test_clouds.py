"""Requests and streams of the clouds over a real socket, judged from what arrives."""

from __future__ import annotations

import json
from typing import Any

from hypereal.catalog.types import Target, Upstream
from hypereal.providers import GoogleTokens, make_adapters
from tests.providers.clouds import ask, cloud
from tests.providers.event_stream import chunk, exception

ADAPTERS = make_adapters(GoogleTokens())
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b'{"model":"m","stream":true,"max_tokens":5,"messages":[]}'
PING = {"type": "ping"}


def target(base_url: str, model: str, **fields: Any) -> Target:
    return Target(upstream=Upstream(id="up", name="Up", base_url=base_url, **fields), model=model)


async def test_bedrock_can_verify_the_signature_of_what_it_gets_and_its_frames_become_events() -> None:
    frames = chunk(PING) + chunk({"type": "message_stop"}) + exception("throttlingException", "slow down")
    keys = (("access_key", "AKIDEXAMPLE"), ("secret_key", SECRET), ("session_token", "a+b/c=="))
    async with cloud([frames[:20], frames[20:21], frames[21:]]) as (url, arrived):
        bedrock = target(url, "global.anthropic.claude-haiku-4-5-20251001-v1:0", credentials=keys)
        answer = await ask(ADAPTERS["bedrock"], bedrock, BODY, dialect="anthropic")
    assert arrived.path == "/model/global.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke-with-response-stream"
    assert arrived.headers["authorization"].endswith(f"Signature={arrived.aws_signature(SECRET)}")
    assert not arrived.headers["authorization"].endswith(arrived.aws_signature("another"))
    assert json.loads(arrived.body) == {"max_tokens": 5, "messages": [], "anthropic_version": "bedrock-2023-05-31"}
    assert answer == (
        b'event: ping\ndata: {"type":"ping"}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}\n\n'
    )


async def test_the_others_stream_events_that_need_no_change() -> None:
    events = b'data: {"candidates":[]}\n\n'
    for name, dialect in (
        ("google", "gemini"),
        ("vertex", "gemini"),
        ("anthropic", "anthropic"),
        ("openai", "anthropic"),
    ):
        async with cloud([events]) as (url, arrived):
            up = target(f"{url}/v1", "gemini-3.1-pro-preview", secret="s3cret")
            assert await ask(ADAPTERS[name], up, BODY, dialect=dialect) == events
        assert [value for value in arrived.headers.values() if "s3cret" in value]
        assert arrived.body == BODY
