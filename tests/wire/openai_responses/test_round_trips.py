"""What is written is read back the same: conversations, answers and streams, at random."""

from __future__ import annotations

from hypothesis import given, settings

from hypereal.kit.money import Micro
from hypereal.wire.base import Usage
from hypereal.wire.conversation import Conversation, Reply
from hypereal.wire.events import Event, fold, unfold
from hypereal.wire.openai_responses import CODEC
from tests.wire.openai_responses.asking import accepted, events_in, read_back, read_events
from tests.wire.openai_responses.values import conversations, replies, streams

ENVELOPE = accepted(stream=True)
without_deadline = settings(deadline=None)


def written(events: list[Event], usage: Usage) -> bytes:
    writer = CODEC.writer(ENVELOPE)
    return b"".join(map(writer.write, events)) + writer.end(usage, Micro(0))


@without_deadline
@given(conversations)
def test_a_request_says_what_was_asked(conversation: Conversation) -> None:
    assert read_back(conversation) == conversation


@without_deadline
@given(replies)
def test_an_answer_says_what_was_answered(reply: Reply) -> None:
    assert reply.usage is not None
    assert CODEC.read_reply(CODEC.write_reply(reply, ENVELOPE, reply.usage)) == reply


@without_deadline
@given(replies)
def test_a_stream_amounts_to_the_whole_answer(reply: Reply) -> None:
    assert reply.usage is not None
    payload = written(list(unfold(reply)), reply.usage)
    assert fold(read_events(payload)) == reply
    whole = CODEC.write_reply(reply, ENVELOPE, reply.usage)
    assert fold(read_events(payload)) == CODEC.read_reply(whole)


@without_deadline
@given(streams())
def test_a_stream_in_pieces_amounts_to_the_same(stream: tuple[list[Event], Usage]) -> None:
    events, usage = stream
    payload = written(events, usage)
    assert fold(read_events(payload)) == fold(events)
    told = events_in(payload)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
