"""OpenCode, which asks for a title of each session beside the turn itself."""

from __future__ import annotations

import pytest

from tests.clients.programs import ECHOED, RUN_ECHO, SAY_HI, Bench, opencode

pytestmark = pytest.mark.usefixtures("programs")
ENDPOINT = "/v1/chat/completions"


def test_a_text_turn_is_answered_and_billed(bench: Bench) -> None:
    done = opencode(bench, SAY_HI)
    assert done.code == 0, done.text
    assert done.out.strip() == "Hi"
    bench.turn(endpoint=ENDPOINT, model="gpt-5", count=2)


@pytest.mark.parametrize("model", ["gpt-5", "claude-sonnet-4-6"])
def test_a_command_is_run_whoever_answers(bench: Bench, model: str) -> None:
    done = opencode(bench, RUN_ECHO, model=model)
    assert done.code == 0, done.text
    assert ECHOED in done.out
    bench.turn(endpoint=ENDPOINT, model=model, count=3)
