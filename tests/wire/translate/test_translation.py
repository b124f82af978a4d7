"""Translation as the gateway uses it: a client's dialect over an upstream's, for every pair."""

from __future__ import annotations

import gc
import json
from typing import Any

import msgspec
import pytest

from hypereal.errors import HyperealError, UpstreamFailed
from hypereal.kit.money import ZERO, Micro
from hypereal.kit.sse import event_data, split_events
from hypereal.wire import CODECS, DIALECTS
from hypereal.wire.base import Answer, Envelope, Garbage, StreamDialect, Usage
from hypereal.wire.conversation import Conversation, Message, Reply, Text, Thinking, Tool, ToolCall
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Failed, Finished, Started, fold, unfold
from hypereal.wire.translate import TranslatedStream, Translation, fold_stream
from tests.wire.asking import CHAT, NATIVE, accepted, body_of, endpoint_of
from tests.wire.translate.meaning import NAMES, PAIRS, envelope_of, meaning, read_all

EACH_PAIR = pytest.mark.parametrize(("client", "upstream"), PAIRS)
USAGE = Usage(input=7, output=3)
REPLY = Reply(
    id="a1",
    model="m",
    blocks=(Text("Four."), ToolCall(id="call_1", name="f", arguments='{"x":1}')),
    stop="tool_calls",
    usage=USAGE,
)
PATCH = Tool(name="patch", description="Edits", is_custom=True)
ASKED = Conversation(messages=(Message("user", (Text("Hi"),)),), stream=True, max_tokens=1000)


def translation(client: str, upstream: str, **options: Any) -> Translation:
    return Translation(
        client=DIALECTS[client],
        client_codec=CODECS["openai_chat" if client == "native_chat" else client],
        upstream=DIALECTS[upstream],
        upstream_codec=CODECS[upstream],
        max_output_tokens=8192,
        default_output_tokens=4096,
        **options,
    )


def upstream_events(name: str, reply: Reply = REPLY) -> list[bytes]:
    """The stream of an upstream, event by event."""
    writer = CODECS[name].writer(envelope_of(name))
    stream = b"".join(map(writer.write, unfold(reply))) + writer.end(USAGE, ZERO)
    return split_events(stream)[0]


def run(stream: StreamDialect, events: list[bytes], charged: Micro = ZERO) -> bytes:
    """What the client gets when the relay keeps the last event back."""
    *most, last = events
    shown = b"".join(map(stream.edit, most))
    return shown + stream.close(last, stream.read(b"".join(events), sum(map(len, events))), USAGE, charged)


@EACH_PAIR
def test_an_answer_is_read_as_the_upstreams_and_shown_as_the_clients(client: str, upstream: str) -> None:
    pair = translation(client, upstream)
    body = CODECS[upstream].write_reply(REPLY, envelope_of(upstream), USAGE)
    assert pair.read_answer(body).usage == USAGE
    shown = CODECS[client].read_reply(pair.render_answer(envelope_of(client), body, USAGE, ZERO))
    assert meaning(shown) == meaning(REPLY)
    assert shown.usage == USAGE


def edited_at_once(stream: StreamDialect, payload: bytes) -> bytes:
    """As the relay does it: runs where there are any, and single events between them."""
    shown, position = b"", 0
    while position < len(payload):
        end = payload.index(b"\n\n", position) + 2
        shown += stream.edit(payload[position:end])
        position = end
        if stream.edit_run is not None:
            edited, position = stream.edit_run(payload, position)
            shown += edited
    return shown


def in_words(*blocks: Text | Thinking) -> list[Event]:
    """A stream whose blocks come word by word, some of them odd."""
    words = ["An", "other", "", "word", ' "quoted"', " 日本語", "\n", " Hello", " Hello", "[DONE]"]
    told: list[Event] = [Started("a1", "m")]
    for index, block in enumerate(blocks):
        told += [BlockStarted(index, block), *(Delta(index, word) for word in words), BlockStopped(index)]
    return [*told, Finished("end")]


@EACH_PAIR
def test_a_request_leaves_nothing_to_the_garbage_collector(client: str, upstream: str) -> None:
    """What is in a cycle keeps its request's body until a collection, which then stops every stream for a while."""
    pair = translation(client, upstream)
    events = upstream_events(upstream)
    body = CODECS[upstream].write_reply(REPLY, envelope_of(upstream), USAGE)
    asked = msgspec.structs.replace(ASKED, tools=(PATCH,))

    def serve() -> None:
        envelope = envelope_of(client, asked)
        pair.build(envelope, "m", drop=frozenset(), rename=())
        edited_at_once(pair.stream(envelope), b"".join(events[:-1]))
        run(pair.stream(envelope), events)
        pair.read_answer(body)
        pair.render_answer(envelope, body, USAGE, ZERO)

    serve()
    gc.collect()
    gc.disable()
    try:
        serve()
        assert gc.collect() == 0
    finally:
        gc.enable()


@EACH_PAIR
def test_events_edited_at_once_are_what_they_are_one_by_one(client: str, upstream: str) -> None:
    writer = CODECS[upstream].writer(envelope_of(upstream))
    told = in_words(Thinking(), Text("")) if upstream != "openai_responses" else in_words(Text(""), Text(""))
    events = split_events(b"".join(map(writer.write, told)) + writer.end(USAGE, ZERO))[0]
    pair, envelope = translation(client, upstream), envelope_of(client, ASKED)
    one_by_one = pair.stream(envelope)
    expected = b"".join(map(one_by_one.edit, events))
    assert edited_at_once(pair.stream(envelope), b"".join(events)) == expected


@pytest.mark.parametrize("client", NAMES)
def test_texts_of_a_block_that_waits_for_another_wait_with_it(client: str) -> None:
    call = ToolCall(id="call_1", name="f", arguments="")
    before: list[Event] = [Started("a1", "m"), BlockStarted(0, call), BlockStarted(1, Text("")), Delta(0, "{}")]
    after: list[Event] = [BlockStopped(0), Delta(1, " end"), BlockStopped(1), Finished("end")]
    at_once, one_by_one = (CODECS[client].writer(envelope_of(client, ASKED)) for _ in range(2))
    shown = b"".join(map(at_once.write, before)) + at_once.write_texts(1, [b"one", b"", b" two"])
    deltas: list[Event] = [Delta(1, "one"), Delta(1, " two")]
    expected = b"".join(map(one_by_one.write, [*before, *deltas, *after]))
    assert shown + b"".join(map(at_once.write, after)) == expected


@pytest.mark.parametrize("client", [name for name in NAMES if name != "openai_chat"])
def test_a_run_of_like_events_is_edited_at_once(client: str) -> None:
    events = upstream_events("openai_chat", REPLY)
    word = next(event for event in events if b"Four." in event)
    run_of_words = [*events[: events.index(word)], *[word] * 5, *events[events.index(word) + 1 :]]
    stream = translation(client, "openai_chat").stream(envelope_of(client, ASKED))
    position = run_of_words.index(word) + 2  # the first begins the block, the second is learned from
    for event in run_of_words[:position]:
        stream.edit(event)
    assert stream.edit_run is not None
    begin, end = (len(b"".join(run_of_words[:number])) for number in (position, position + 3))
    shown, after = stream.edit_run(b"".join(run_of_words), begin)
    assert (shown.count(b"Four."), after) == (3, end)
    assert stream.edit_run(b"".join(run_of_words), after) == (b"", after)


@EACH_PAIR
def test_a_stream_is_read_as_the_upstreams_and_shown_as_the_clients(client: str, upstream: str) -> None:
    stream = translation(client, upstream).stream(envelope_of(client, ASKED))
    events = upstream_events(upstream)
    assert stream.rewrites_events
    assert stream.terminal == DIALECTS[upstream].stream(envelope_of(upstream)).terminal
    assert stream.opening(b"".join(events)) == ""
    reply = fold(read_all(CODECS[client].reader(), run(stream, events)))
    assert meaning(reply) == meaning(REPLY)
    assert isinstance(reply, Reply)
    assert reply.usage == USAGE


@EACH_PAIR
def test_a_stream_cut_anywhere_ends_with_one_error(client: str, upstream: str) -> None:
    events = upstream_events(upstream)
    envelope = envelope_of(client, ASKED)
    native = DIALECTS[client].stream(envelope)
    error = native.break_off(UpstreamFailed("The provider broke off; the answer is incomplete"), "r1")
    for at in range(1, len(events) - 3):
        stream = translation(client, upstream).stream(envelope)
        shown = run(stream, events[:at])
        assert shown.endswith(error)
        assert shown.count(error) == 1
        before = split_events(shown.removesuffix(error))[0]
        assert not any(
            native.terminal and native.terminal in event and native.is_terminal(event_data(event) or b"")
            for event in before
        )


@EACH_PAIR
def test_an_upstream_that_gives_up_in_the_middle_ends_with_one_error(client: str, upstream: str) -> None:
    stream = translation(client, upstream).stream(envelope_of(client, ASKED))
    events = upstream_events(upstream)
    native = DIALECTS[upstream].stream(envelope_of(upstream))
    failure = split_events(native.break_off(UpstreamFailed("overloaded"), "up1"))[0]
    shown = run(stream, [*events[:3], *failure, *events[3:]])
    assert not stream.read(b"".join(events), sum(map(len, events))).is_complete
    assert shown.endswith(stream.break_off(UpstreamFailed("The provider broke off; the answer is incomplete"), "r1"))
    assert b"overloaded" not in shown


@pytest.mark.parametrize("client", [name for name in NAMES if name in ("openai_chat", "openai_responses")])
@pytest.mark.parametrize("upstream", NAMES)
def test_a_custom_tool_works_where_there_are_only_functions(client: str, upstream: str) -> None:
    envelope = envelope_of(client, msgspec.structs.replace(ASKED, tools=(PATCH,)))
    pair = translation(client, upstream)
    body = pair.build(envelope, "up", drop=frozenset(), rename=())
    assert b'"custom"' not in body
    assert b'"input"' in body
    call = ToolCall(id="call_1", name="patch", arguments='{"input":"*** Begin"}')
    reply = Reply(id="a1", model="m", blocks=(call,), stop="tool_calls", usage=USAGE)
    streamed = fold(read_all(CODECS[client].reader(), run(pair.stream(envelope), upstream_events(upstream, reply))))
    whole = CODECS[upstream].write_reply(reply, envelope_of(upstream), USAGE)
    for shown in (streamed, CODECS[client].read_reply(pair.render_answer(envelope, whole, USAGE, ZERO))):
        assert isinstance(shown, Reply)
        (block,) = shown.blocks
        assert isinstance(block, ToolCall)
        assert (block.name, block.arguments, block.is_custom) == ("patch", "*** Begin", True)


def test_an_upstream_that_knows_custom_tools_is_given_them() -> None:
    envelope = envelope_of("openai_chat", msgspec.structs.replace(ASKED, tools=(PATCH,)))
    pair = translation("openai_chat", "openai_chat", takes_custom_tools=True)
    assert b'"custom"' in pair.build(envelope, "up", drop=frozenset(), rename=())


def chat_envelope(**fields: Any) -> Envelope:
    return accepted(CHAT, body_of(CHAT, **fields))


def test_a_body_is_built_for_the_upstream_and_what_it_lacks_is_named() -> None:
    envelope = chat_envelope(max_tokens=5, top_k=4, logit_bias={"5": 1}, seed=1, n=2, stream=True)
    pair = translation("openai_chat", "openai_chat")
    rename = (("max_tokens", "max_completion_tokens"), ("absent", "other"))
    body = json.loads(pair.build(envelope, "up", drop=frozenset({"seed", "absent"}), rename=rename))
    assert body["model"] == "up"
    assert body["stream"] is True
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body
    assert "seed" not in body
    assert envelope.dropped == ("logit_bias", "n", "top_k")


def test_a_field_that_is_there_is_not_overwritten_by_a_renamed_one() -> None:
    pair = translation("openai_chat", "openai_chat")
    body = json.loads(
        pair.build(chat_envelope(max_tokens=5), "up", drop=frozenset(), rename=(("max_tokens", "model"),))
    )
    assert body["model"] == "up"
    assert "max_tokens" not in body


def test_an_event_that_cannot_be_read_fails_the_stream() -> None:
    stream = translation("openai_chat", "anthropic").stream(chat_envelope(stream=True))
    assert not stream.has_failed
    assert stream.edit(b'event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n') == b""
    assert stream.has_failed


def test_a_request_is_parsed_as_the_clients() -> None:
    pair = translation("openai_chat", "openai_chat")
    assert isinstance(pair.parse(endpoint_of(CHAT), body_of(CHAT)), Envelope)
    assert isinstance(pair.parse(endpoint_of(CHAT), b"{}"), HyperealError)


def test_an_answer_that_cannot_be_translated_fails_while_another_target_may_answer() -> None:
    body = b'{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}'
    with pytest.raises(Garbage):
        translation("openai_chat", "openai_chat").read_answer(body)
    error = translation("openai_chat", "openai_chat").read_answer(b'{"error":{"message":"overloaded"}}')
    assert error == Answer(error="overloaded")


def test_the_products_own_chat_shows_what_was_charged() -> None:
    envelope = accepted(NATIVE, body_of(NATIVE, model="m"))
    pair = translation("native_chat", "openai_chat")
    charged = Micro(2_000_000)
    shown = run(pair.stream(envelope), upstream_events("openai_chat"), charged)
    *_, usage, done = split_events(shown)[0]
    assert done == b"data: [DONE]\n\n"
    assert json.loads(event_data(usage) or b"")["creditsUsed"] == 2
    assert shown.count(b'"usage"') == 1
    whole = CODECS["openai_chat"].write_reply(REPLY, envelope, USAGE)
    assert json.loads(pair.render_answer(envelope, whole, USAGE, charged))["creditsUsed"] == 2


def test_a_stream_whose_last_blank_line_is_missing_is_whole() -> None:
    *most, last = upstream_events("openai_chat")
    body = b"".join(most) + last.rstrip()
    codec = CODECS["openai_chat"]
    assert meaning(codec.read_reply(fold_stream(codec, body, envelope_of("openai_chat")))) == meaning(REPLY)


def test_a_stream_that_is_not_whole_is_no_answer() -> None:
    with pytest.raises(Garbage):
        fold_stream(CODECS["openai_chat"], b"".join(upstream_events("openai_chat")[:3]), envelope_of("openai_chat"))


class Chatterbox:
    """A reader that goes on after the end."""

    repeats = None

    def read(self, event: bytes) -> list[Event]:
        return [*unfold(REPLY), *unfold(REPLY)]

    def end(self) -> list[Event]:
        return [Failed("too late")]


def test_nothing_follows_the_end() -> None:
    envelope, native = envelope_of("openai_chat", ASKED), DIALECTS["openai_chat"]
    stream = TranslatedStream(
        request_id="r1",
        client=native.stream(envelope),
        upstream=native.stream(envelope),
        reader=Chatterbox(),
        writer=CODECS["openai_chat"].writer(envelope),
        custom=frozenset(),
    )
    shown = stream.edit(b"data: {}\n\n") + stream.close(b"", Answer(usage=USAGE), USAGE, ZERO)
    assert meaning(fold(read_all(CODECS["openai_chat"].reader(), shown))) == meaning(REPLY)
    assert shown.count(b"Four.") == 1
    assert shown.endswith(b"data: [DONE]\n\n")
