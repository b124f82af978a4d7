"""Every format to every other: what is said on one side is what is understood on the other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypereal.kit.money import ZERO
from hypereal.wire import CODECS
from hypereal.wire.base import Usage
from hypereal.wire.conversation import Conversation, Message, Opaque, Reply, Text, Thinking, Tool, ToolCall
from hypereal.wire.events import Event, fold, unfold
from hypereal.wire.opaque import seal
from hypereal.wire.translate import fold_stream, unfold_answer
from tests.wire.translate.meaning import (
    AIM,
    ASKED,
    NAMES,
    PAIRS,
    asking,
    envelope_of,
    meaning,
    raw_fields,
    read_all,
)
from tests.wire.translate.strategies import conversations, replies, streams

EACH = pytest.mark.parametrize("name", NAMES)
EACH_PAIR = pytest.mark.parametrize(("client", "upstream"), PAIRS)
SOME = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
USAGE = Usage(input=7, output=3)


def written(name: str, reply: Reply) -> bytes:
    return CODECS[name].write_reply(reply, envelope_of(name), reply.usage or USAGE)


def streamed(name: str, events: list[Event], usage: Usage) -> bytes:
    writer = CODECS[name].writer(envelope_of(name))
    return b"".join(map(writer.write, events)) + writer.end(usage, ZERO)


@EACH_PAIR
@SOME
@given(data=st.data())
def test_an_answer_means_the_same_to_every_client(client: str, upstream: str, data: st.DataObject) -> None:
    reply = data.draw(replies(upstream))
    understood = CODECS[upstream].read_reply(written(upstream, reply))
    shown = CODECS[client].read_reply(written(client, understood))
    assert meaning(understood) == meaning(reply)
    assert meaning(shown) == meaning(reply)
    assert shown.usage == reply.usage


@EACH_PAIR
@SOME
@given(data=st.data())
def test_a_stream_means_the_same_to_every_client(client: str, upstream: str, data: st.DataObject) -> None:
    reply, events = data.draw(streams(upstream))
    usage = reply.usage or USAGE
    told = read_all(CODECS[upstream].reader(), streamed(upstream, events, usage))
    shown = fold(read_all(CODECS[client].reader(), streamed(client, told, usage)))
    assert meaning(shown) == meaning(reply)
    assert isinstance(shown, Reply)
    assert shown.usage == reply.usage


@EACH
@SOME
@given(data=st.data())
def test_a_stream_folds_into_the_answer_that_would_have_come_whole(name: str, data: st.DataObject) -> None:
    reply, events = data.draw(streams(name, overlaps=False))
    codec, envelope = CODECS[name], envelope_of(name)
    stream = streamed(name, events, reply.usage or USAGE)
    assert fold(read_all(codec.reader(), stream)) == codec.read_reply(written(name, reply))
    assert codec.read_reply(fold_stream(codec, stream, envelope)) == codec.read_reply(written(name, reply))


@EACH
@SOME
@given(data=st.data())
def test_an_answer_unfolds_into_a_stream_and_back(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    whole = written(name, data.draw(replies(name)))
    usage = codec.read_reply(whole).usage or Usage()
    stream = unfold_answer(codec, whole, envelope_of(name), usage)
    assert fold(read_all(codec.reader(), stream)) == codec.read_reply(whole)


@SOME
@given(data=st.data())
def test_unfolding_is_undone_by_folding(data: st.DataObject) -> None:
    reply = data.draw(replies("nobody"))
    assert fold(unfold(reply)) == reply


@EACH_PAIR
@SOME
@given(conversation=conversations())
def test_a_request_asks_the_same_of_every_upstream(client: str, upstream: str, conversation: Conversation) -> None:
    asked = CODECS[client].read_request(envelope_of(client, conversation).fields)
    passed = CODECS[upstream].write_request(asked, AIM)
    assert asking(asked) == asking(conversation)
    assert asking(CODECS[upstream].read_request(raw_fields(passed.fields))) == asking(conversation)
    assert not asked.dropped
    assert not passed.dropped


def with_thoughts(blocks: list[Thinking]) -> Conversation:
    answered = Message("assistant", (*blocks, Text("Four.")))
    return Conversation(messages=(*ASKED.messages, answered, Message("user", (Text("Why?"),))), max_tokens=1000)


@EACH
def test_a_token_reaches_its_origin_as_it_was_and_nobody_else(name: str) -> None:
    tokens = {origin: f"Tok{number}/+abcdefghijklmnop==" for number, origin in enumerate((*CODECS, "elsewhere"))}
    conversation = with_thoughts([Thinking(text="Hm", opaque=Opaque(*pair)) for pair in tokens.items()])
    passed = CODECS[name].write_request(conversation, AIM)
    body = msgspec.json.encode(passed.fields).decode()
    assert [origin for origin, token in tokens.items() if token in body] == [name]
    assert "thinking" in passed.dropped


def echoed(block: Thinking, client: str) -> Thinking:
    """A block as the client keeps it: to it, what is sealed is a token of its own format."""
    assert block.opaque is not None
    return Thinking(text=block.text, opaque=Opaque(client, seal(block.opaque, client)))


@EACH_PAIR
def test_a_token_comes_home_through_a_client_that_cannot_read_it(client: str, upstream: str) -> None:
    token = "EqQBCkYIARgCKkDf/+9w=="
    thought = Thinking(text="Let me see", opaque=Opaque(upstream, token))
    answer = Reply(id="a1", model="m", blocks=(thought, Text("Four.")), stop="end")
    shown = CODECS[client].read_reply(written(client, answer))
    kept = [echoed(block, client) for block in shown.blocks if isinstance(block, Thinking)]
    sent_back = CODECS[client].read_request(envelope_of(client, with_thoughts(kept)).fields)
    found = [block for message in sent_back.messages for block in message.blocks if isinstance(block, Thinking)]
    passed = CODECS[upstream].write_request(sent_back, AIM)
    assert [block.text for block in found] == ["Let me see"]
    assert token in msgspec.json.encode(passed.fields).decode()
    assert not passed.dropped


OPTIONS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.25,
    "verbosity": "low",
    "parallel_tool_calls": False,
    "stop": ("A", "B", "C", "D", "E"),
}


@EACH
@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_passed_on_or_named(name: str, option: str) -> None:
    conversation = msgspec.structs.replace(ASKED, **{option: OPTIONS[option]})
    if option == "parallel_tool_calls":
        conversation.tools = (Tool(name="f", schema={"type": "object"}),)
    passed = CODECS[name].write_request(conversation, AIM)
    back = CODECS[name].read_request(raw_fields(passed.fields))
    assert (getattr(back, option) == OPTIONS[option]) != (option in passed.dropped)


@EACH_PAIR
def test_huge_arguments_pass(client: str, upstream: str) -> None:
    huge = msgspec.json.encode({"text": "x" * 1_000_000}).decode()
    reply = Reply(id="a1", model="m", blocks=(ToolCall(id="call_1", name="f", arguments=huge),), stop="tool_calls")
    told = read_all(CODECS[upstream].reader(), streamed(upstream, list(unfold(reply)), USAGE))
    shown = fold(read_all(CODECS[client].reader(), streamed(client, told, USAGE)))
    assert meaning(shown) == meaning(reply)
