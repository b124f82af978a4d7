"""What programs do when the server says no: they stop, rather than hammer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.clients.programs import SAY_HI, Bench, Finished, claude, codex
from tests.support.accounts import open_account

pytestmark = pytest.mark.usefixtures("programs")
PROGRAMS: dict[str, tuple[Callable[..., Finished], str]] = {
    "claude": (claude, "/v1/messages"),
}
WATCHED_S = 20.0
CODEX_TRIES = 6
"""Codex asks again five times whatever a refusal says, in about seven seconds."""
every_program = pytest.mark.parametrize("name", PROGRAMS)


def asked(bench: Bench, name: str, prompt: str = SAY_HI) -> tuple[int, Finished]:
    """How many requests the program sent before it gave up, within the time that we watch it."""
    run, path = PROGRAMS[name]
    done = run(bench, prompt, timeout_s=WATCHED_S)
    return bench.tap.asked(path), done


@every_program
def test_a_poor_account(bench: Bench, name: str) -> None:
    count, done = asked(replace(bench, holder=open_account(bench.server, "1")), name)
    assert count <= 2, done.text


@every_program
def test_a_wrong_key(bench: Bench, name: str) -> None:
    count, done = asked(replace(bench, holder=replace(bench.holder, secret="ck_" + "w" * 48)), name)
    assert count <= 2, done.text


@every_program
def test_a_limit(bench: Bench, name: str) -> None:
    limited = open_account(bench.server, "1000", key={"requests_per_hour": 1})
    with bench.server.client.with_key(limited.secret) as client:
        assert client.chat("gpt-5").status == 200
    count, done = asked(replace(bench, holder=limited), name)
    assert count <= 2, done.text


@every_program
def test_providers_that_are_down(bench: Bench, name: str) -> None:
    count, done = asked(bench, name, f"{SAY_HI} [[sandbox:status=503]]")
    assert count > 1, done.text
    assert all(row["credits"] == 0 for row in bench.requests(count))


def test_codex_shows_what_is_wrong_once_its_own_retries_are_over(bench: Bench) -> None:
    poor = replace(bench, holder=open_account(bench.server, "1"))
    done = codex(poor, SAY_HI, timeout_s=3 * WATCHED_S)
    assert 1 <= bench.tap.asked("/v1/responses") <= CODEX_TRIES, done.text
    assert "credits" in done.text.lower()
