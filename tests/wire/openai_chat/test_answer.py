"""Whole answers: what upstreams that nearly speak Chat Completions send, and what clients are shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hypereal.wire import CODECS
from hypereal.wire.base import Garbage, Usage
from hypereal.wire.conversation import Block, Foreign, Media, Opaque, Reply, Text, Thinking, ToolCall
from hypereal.wire.opaque import seal
from tests.wire.openai_chat.asking import ENVELOPE
from tests.wire.test_parsing import nested

CHAT = CODECS["openai_chat"]
USED = {"prompt_tokens": 3, "completion_tokens": 2}


def read(message: Any, finish: Any = "stop", usage: Any = USED, **choice: Any) -> Reply:
    fields = {"message": message, "finish_reason": finish, **choice}
    return CHAT.read_reply(msgspec.json.encode({"id": "c1", "model": "m", "choices": [fields], "usage": usage}))


def written(*blocks: Block, **fields: Any) -> dict[str, Any]:
    reply = Reply(id=fields.pop("id", "c1"), model=fields.pop("model", "up"), blocks=blocks, stop="end", **fields)
    answer: dict[str, Any] = msgspec.json.decode(CHAT.write_reply(reply, ENVELOPE, Usage(input=3, output=2)))
    return answer


@pytest.mark.parametrize(
    ("message", "blocks"),
    [
        ({"content": "Hi"}, (Text("Hi"),)),
        ({"content": [{"type": "text", "text": "Hi"}, {"type": "?"}, 5]}, (Text("Hi"),)),
        (
            {"content": [{"type": "thinking", "thinking": [{"text": "H"}, 5, {"text": "m"}]}, {"text": "Hi"}]},
            (Thinking(text="Hm"), Text("Hi")),
        ),
        ({"content": [{"type": "thinking", "thinking": "Hm"}]}, (Thinking(text="Hm"),)),
        ({"content": 5}, ()),
        ({"content": None}, ()),
        (None, ()),
        (
            {
                "content": "Here",
                "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}, 5],
            },
            (Text("Here"), Media(kind="image", media_type="image/png", data="iVBO")),
        ),
        (
            {"tool_calls": [{"id": "", "function": {"name": "f", "arguments": {"a": 1}}}, {"id": "b"}, 5]},
            (ToolCall(id="call_c1_0", name="f", arguments='{"a":1}'),),
        ),
        (
            {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": None}}]},
            (ToolCall(id="a", name="f", arguments=""),),
        ),
        (
            {"function_call": {"name": "f", "arguments": "{}"}, "tool_calls": "?"},
            (ToolCall(id="call_c1_0", name="f", arguments="{}"),),
        ),
        (
            {"tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "g", "input": "free"}}]},
            (ToolCall(id="a", name="g", arguments="free", is_custom=True),),
        ),
    ],
)
def test_a_message_is_read(message: Any, blocks: tuple[Block, ...]) -> None:
    assert read(message).blocks == blocks


@pytest.mark.parametrize(
    ("message", "finish", "stop"),
    [
        ({"content": "x"}, "stop", "end"),
        ({"content": "x"}, "", "end"),
        ({"content": "x"}, None, "end"),
        ({"content": "x"}, "eos", "end"),
        ({"content": "x"}, "tool_calls", "end"),
        ({"content": "x"}, "length", "length"),
        ({"content": "x"}, "model_length", "length"),
        ({"content": "x"}, "content_filter", "refusal"),
        ({"content": None, "refusal": "No."}, "stop", "refusal"),
        ({"tool_calls": [{"function": {"name": "f"}}]}, "stop", "tool_calls"),
        ({"function_call": {"name": "f"}}, "function_call", "tool_calls"),
    ],
)
def test_why_it_ended(message: Any, finish: Any, stop: str) -> None:
    assert read(message, finish).stop == stop


def test_the_stop_sequence_that_was_met() -> None:
    met = read({"content": "x"}, stop_reason="END")
    assert (met.stop, met.stop_sequence) == ("stop_sequence", "END")
    assert read({"content": "x"}, stop_reason=128009).stop == "end"


def test_a_thought_signature_is_kept_whole_for_its_upstream() -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
    extra = {"google": {"thought_signature": "c2ln"}}
    (block,) = read({"tool_calls": [{**call, "extra_content": extra}]}).blocks
    assert isinstance(block, ToolCall)
    assert block.opaque == Opaque("openai_chat", '{"google":{"thought_signature":"c2ln"}}')
    assert written(block)["choices"][0]["message"]["tool_calls"][0]["extra_content"] == extra


def test_a_seal_in_an_answer_is_only_a_token() -> None:
    """Only what a client sends back is opened: the seal may be that of another server behind this one."""
    sealed = seal(Opaque("anthropic", "EqQB"), "openai_chat")
    (block,) = read({"reasoning_details": [{"type": "reasoning.encrypted", "data": sealed}]}).blocks
    assert isinstance(block, Thinking)
    assert block.opaque is not None
    assert block.opaque.origin == "openai_chat"


@pytest.mark.parametrize("usage", [None, 5, {"prompt_tokens": "many"}, {}])
def test_usage_of_an_unknown_shape_is_no_usage(usage: Any) -> None:
    assert read({"content": "x"}, usage=usage).usage is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [5]}',
        b'{"error": {"message": "overloaded"}}',
        b'{"choices": [{"finish_reason": "error", "error": {"message": "broke"}}]}',
        b'{"choices": [{"finish_reason": "error"}]}',
        b'{"choices": [{"message": ' + nested(200_000) + b"}]}",
    ],
)
def test_what_is_no_answer_is_garbage(body: bytes) -> None:
    with pytest.raises(Garbage):
        CHAT.read_reply(body)


def test_an_answer_is_shown_as_a_chat_completion() -> None:
    answer = written(
        Thinking(text="Hm", opaque=Opaque("anthropic", "EqQB")),
        Thinking(text="Nobody's"),
        Text("One "),
        Text("two"),
        Media(kind="image", media_type="image/png", data="iVBO"),
        Media(kind="audio", data="AAAA"),
        Foreign(origin="anthropic", kind="server_tool_use", raw=b"{}"),
        ToolCall(id="a", name="f", arguments="{}", opaque=Opaque("gemini", "c2ln")),
    )
    sealed = seal(Opaque("anthropic", "EqQB"), "openai_chat")
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "One two",
                "refusal": None,
                "reasoning_content": "HmNobody's",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm", "signature": sealed, "index": 0},
                ],
                "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}],
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                        "extra_content": {"google": {"thought_signature": "c2ln"}},
                    }
                ],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"]["total_tokens"] == 5
    assert (answer["id"], answer["object"], answer["model"]) == ("chatcmpl-c1", "chat.completion", "up")
    assert answer["created"] == ENVELOPE.at


def test_an_answer_keeps_an_id_of_this_format() -> None:
    assert written(id="chatcmpl-1")["id"] == "chatcmpl-1"
    assert written(id="resp_1")["id"] == "chatcmpl-resp_1"


def test_an_answer_without_a_name_is_named_after_its_request() -> None:
    answer = written(id="", model="")
    assert (answer["id"], answer["model"]) == ("chatcmpl-req1", "asked-model")
    assert answer["choices"][0]["message"]["content"] is None
