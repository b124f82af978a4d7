"""The canonical values themselves: seals, folding, order, and the names of efforts."""

from __future__ import annotations

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypereal.wire.conversation import BUDGETS, Foreign, Media, Opaque, Reply, Text, Thinking, budget_of, effort_of
from hypereal.wire.events import (
    BlockStarted,
    BlockStopped,
    Delta,
    Event,
    Failed,
    Finished,
    Serial,
    Started,
    fold,
    unfold,
)
from hypereal.wire.opaque import SEAL, SEAL_IN_JSON, seal, unseal
from tests.wire.translate.meaning import meaning
from tests.wire.translate.strategies import streams

A, B, C = Text("a"), Text("b"), Text("c")


@given(origin=st.text(), data=st.text(), name=st.none() | st.text())
def test_a_seal_opens_to_what_was_sealed(origin: str, data: str, name: str | None) -> None:
    opaque = Opaque(origin, data, name)
    if origin != "here":
        sealed = seal(opaque, "here")
        assert sealed.isascii()
        assert (b'"' + sealed.encode()).startswith(SEAL_IN_JSON)
        assert unseal(sealed, "here") == opaque


def test_a_formats_own_token_needs_no_seal() -> None:
    assert seal(Opaque("here", "token"), "here") == "token"
    assert unseal("token", "here", id="block") == Opaque("here", "token", "block")


@pytest.mark.parametrize(
    "text", [SEAL, SEAL + "!!", SEAL + base64.b64encode(b"[1, 2]").decode(), SEAL + base64.b64encode(b"\xff").decode()]
)
def test_a_broken_seal_is_only_a_token(text: str) -> None:
    assert unseal(text, "here") == Opaque("here", text)


def test_files_and_foreign_blocks_pass_whole() -> None:
    blocks = (Media(kind="image", url="https://a.test/i"), Foreign(origin="anthropic", kind="x", raw=b"{}"))
    reply = Reply(id="a", model="m", blocks=(*blocks, Thinking(opaque=Opaque("gemini", "t"))), stop="end")
    assert fold(unfold(reply)) == reply
    assert fold([*list(unfold(reply))[:2], Delta(0, "?"), *list(unfold(reply))[2:]]) == reply


def test_a_stream_that_fails_or_never_ends_is_no_answer() -> None:
    assert fold([Started("a", "m"), Failed("overloaded"), Finished("end")]) == Failed("overloaded")
    assert isinstance(fold([Started("a", "m")]), Failed)


def arranged(*events: Event) -> list[Event]:
    serial = Serial()
    return [told for event in events for told in serial.arrange(event)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_overlaps_is_put_in_order_and_nothing_is_lost(data: st.DataObject) -> None:
    reply, events = data.draw(streams("anthropic"))
    told = arranged(*events)
    assert meaning(fold(told)) == meaning(reply)
    assert len(told) == len(events)
    open_now: int | None = None
    for event in told:
        if isinstance(event, BlockStarted):
            assert open_now is None
            open_now = event.index
        elif isinstance(event, Delta | BlockStopped):
            assert event.index == open_now
            open_now = None if isinstance(event, BlockStopped) else open_now


def test_blocks_that_were_never_closed_are_closed_at_the_end() -> None:
    told = arranged(
        BlockStarted(0, A),
        BlockStarted(1, B),
        Delta(1, "1"),
        BlockStarted(2, C),
        BlockStopped(2),
        Finished("end"),
    )
    assert told == [
        BlockStarted(0, A),
        BlockStopped(0),
        BlockStarted(1, B),
        Delta(1, "1"),
        BlockStopped(1),
        BlockStarted(2, C),
        BlockStopped(2),
        Finished("end"),
    ]


def test_a_block_that_waited_and_is_still_open_goes_on() -> None:
    assert arranged(BlockStarted(0, A), BlockStarted(1, B), BlockStopped(0), Delta(1, "1"), BlockStopped(1)) == [
        BlockStarted(0, A),
        BlockStopped(0),
        BlockStarted(1, B),
        Delta(1, "1"),
        BlockStopped(1),
    ]


def test_efforts_and_budgets_are_two_words_for_one_thing() -> None:
    for effort, budget in BUDGETS.items():
        assert effort_of(budget) == effort
        assert budget_of(effort) == budget
    assert effort_of(10**9) == "max"
    assert budget_of("extraordinary") == BUDGETS["medium"]
