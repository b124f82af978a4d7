"""Google's Gemini CLI."""

from __future__ import annotations

import pytest

from tests.clients.programs import ECHOED, RUN_ECHO, SAY_HI, Bench, gemini

pytestmark = pytest.mark.usefixtures("programs")
ENDPOINT = "/v1beta/models/{model}:streamGenerateContent"


def test_a_text_turn_is_answered_and_billed(bench: Bench) -> None:
    done = gemini(bench, SAY_HI)
    assert done.code == 0, done.text
    assert done.out.strip() == "Hi"
    bench.turn(endpoint=ENDPOINT, model="gemini-3.1-pro", count=1)


@pytest.mark.parametrize("model", ["gemini-3.1-pro", "claude-sonnet-4-6", "gpt-5"])
def test_a_command_is_run_whoever_answers(bench: Bench, model: str) -> None:
    done = gemini(bench, RUN_ECHO, model=model)
    assert done.code == 0, done.text
    assert ECHOED in done.out
    bench.turn(endpoint=ENDPOINT, model=model, count=2)
