"""OpenAI's Codex CLI, over HTTP and over its WebSocket."""

from __future__ import annotations

import pytest

from tests.clients.programs import ECHOED, RUN_ECHO, SAY_HI, Bench, codex

pytestmark = pytest.mark.usefixtures("programs")
ENDPOINT = "/v1/responses"
transports = pytest.mark.parametrize("sockets", [False, True], ids=["http", "websocket"])


def upgraded(bench: Bench) -> bool:
    """Whether the server took a WebSocket from this client, and nothing was asked beside it."""
    return bench.tap.upgrades == 1 and f"POST {ENDPOINT}" not in bench.tap.requests


@transports
def test_a_text_turn_is_answered_and_billed(bench: Bench, sockets: bool) -> None:
    done = codex(bench, SAY_HI, sockets=sockets)
    assert done.code == 0, done.text
    assert done.out.strip() == "Hi"
    assert upgraded(bench) is sockets
    bench.turn(endpoint=ENDPOINT, model="gpt-5", count=1)


@transports
def test_a_command_is_run_and_its_output_is_used(bench: Bench, sockets: bool) -> None:
    done = codex(bench, RUN_ECHO, sockets=sockets)
    assert done.code == 0, done.text
    assert ECHOED in done.out
    assert upgraded(bench) is sockets
    _first, second = bench.turn(endpoint=ENDPOINT, model="gpt-5", count=2)
    assert second["cache_read_tokens"] > 0


@transports
@pytest.mark.parametrize("model", ["deepseek-v3.2", "claude-sonnet-4-6", "gemini-3.1-pro"])
def test_a_model_of_another_provider_uses_tools_too(bench: Bench, model: str, sockets: bool) -> None:
    done = codex(bench, RUN_ECHO, model=model, sockets=sockets)
    assert done.code == 0, done.text
    assert ECHOED in done.out
    assert upgraded(bench) is sockets
    bench.turn(endpoint=ENDPOINT, model=model, count=2)


def test_codexs_own_models_speak_the_form_that_only_they_have(bench: Bench) -> None:
    done = codex(bench, RUN_ECHO, model="gpt-5-codex")
    assert done.code == 0, done.text
    assert ECHOED in done.out
    bench.turn(endpoint=ENDPOINT, model="gpt-5-codex", count=2)
