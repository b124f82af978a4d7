"""Anthropic's Claude Code."""

from __future__ import annotations

import json

import pytest

from tests.clients.programs import ECHOED, RUN_ECHO, SAY_HI, Bench, claude

pytestmark = pytest.mark.usefixtures("programs")
ENDPOINT = "/v1/messages"
MODEL = "claude-sonnet-4-6"
MAY_ECHO = ("--allowedTools", "Bash(echo:*)")


def test_a_text_turn_is_answered_with_thinking_and_billed(bench: Bench) -> None:
    done = claude(bench, SAY_HI)
    assert done.code == 0, done.text
    said = json.loads(done.out)
    assert said["result"] == "Hi"
    (row,) = bench.turn(endpoint=ENDPOINT, model=MODEL, count=1)
    usage = said["usage"]
    assert usage["output_tokens_details"]["thinking_tokens"] == row["reasoning_tokens"] > 0
    assert usage["output_tokens"] == row["output_tokens"] + row["reasoning_tokens"]
    assert usage["cache_creation_input_tokens"] == row["cache_write_tokens"] > 0
    assert usage["input_tokens"] == row["input_tokens"]


def test_a_command_is_run_and_a_later_turn_of_the_session_reads_the_cache(bench: Bench) -> None:
    first = claude(bench, RUN_ECHO, *MAY_ECHO)
    assert first.code == 0, first.text
    assert ECHOED in json.loads(first.out)["result"]
    later = claude(bench, SAY_HI, "--continue")
    assert later.code == 0, later.text
    rows = bench.turn(endpoint=ENDPOINT, model=MODEL, count=3)
    assert [row["cache_read_tokens"] > 10_000 for row in rows] == [False, True, True]
    assert json.loads(later.out)["usage"]["cache_read_input_tokens"] == rows[2]["cache_read_tokens"]
    assert rows[0]["credits"] > 3 * rows[1]["credits"]


@pytest.mark.parametrize("model", ["gpt-5", "gpt-5-codex", "deepseek-v3.2", "gemini-3.1-pro"])
def test_a_model_of_another_provider_uses_tools_too(bench: Bench, model: str) -> None:
    done = claude(bench, RUN_ECHO, *MAY_ECHO, model=model)
    assert done.code == 0, done.text
    assert ECHOED in json.loads(done.out)["result"]
    bench.turn(endpoint=ENDPOINT, model=model, count=2)
