"""Whole answers: what an upstream's says, and what a client is told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hypereal.errors import UpstreamFailed
from hypereal.wire.base import Garbage, Usage
from hypereal.wire.conversation import Foreign, Media, Opaque, Reply, Text, Thinking, ToolCall
from hypereal.wire.opaque import seal
from hypereal.wire.openai_responses import CODEC
from hypereal.wire.openai_responses.history import input_items, without_sealed
from hypereal.wire.openai_responses.items import kind_of
from hypereal.wire.openai_responses.response import error_object
from tests.wire.openai_responses.asking import COUNTED, accepted, message, response

NAME = "openai_responses"
USAGE = Usage(input=13, cache_read=4, cache_write=3, output=8, reasoning=5)
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}

REQUIRED = frozenset(
    {
        "background",
        "completed_at",
        "created_at",
        "error",
        "frequency_penalty",
        "id",
        "incomplete_details",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "object",
        "output",
        "parallel_tool_calls",
        "presence_penalty",
        "previous_response_id",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "status",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "usage",
    }
)
"""What the Open Responses specification requires of a response object."""


def reply_of(*output: dict[str, Any], **fields: Any) -> Reply:
    return CODEC.read_reply(msgspec.json.encode(response(*output, **fields)))


def answer_to(reply: Reply, **fields: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(CODEC.write_reply(reply, accepted(**fields), USAGE))
    return told


def said(*blocks: Any, **fields: Any) -> Reply:
    return Reply(id="resp_abc", model="up", blocks=blocks, stop="end", **fields)


def test_every_kind_of_output_is_read() -> None:
    web = {"type": "web_search_call", "id": "ws_1"}
    image = {"type": "image_generation_call", "id": "ig_1", "result": "QUJD", "output_format": "webp"}
    unfinished = {"type": "image_generation_call", "id": "ig_2", "result": None}
    reply = reply_of(message("a", "b"), {"type": "message", "content": "c"}, CALL, web, image, unfinished)
    assert reply == Reply(
        id="resp_1",
        model="up",
        blocks=(
            Text("a"),
            Text("b"),
            Text("c"),
            ToolCall(id="c", name="f", arguments="{}"),
            Foreign(origin=NAME, kind="web_search_call", raw=msgspec.json.encode(web)),
            Media(kind="image", media_type="image/webp", data="QUJD"),
            Foreign(origin=NAME, kind="image_generation_call", raw=msgspec.json.encode(unfinished)),
        ),
        stop="tool_calls",
        usage=USAGE,
    )


@pytest.mark.parametrize(
    ("output", "fields", "stop"),
    [
        ([message("x")], {}, "end"),
        ([CALL], {}, "tool_calls"),
        ([{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}], {}, "refusal"),
        ([message('"refusal"')], {}, "end"),
        ([CALL], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ([], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refusal"),
        ([], {"status": "incomplete", "incomplete_details": {"reason": "max_messages"}}, "length"),
        ([], {"status": "incomplete"}, "length"),
    ],
)
def test_why_it_ended_is_read(output: list[Any], fields: dict[str, Any], stop: str) -> None:
    assert reply_of(*output, **fields).stop == stop


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"output":[{"type":"message","content":5}]}',
        b'{"output":[],"error":{"message":"broke"}}',
        b'{"output":[' + b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_garbage(body: bytes) -> None:
    with pytest.raises(Garbage):
        CODEC.read_reply(body)


def test_an_answer_has_everything_that_clients_require() -> None:
    told = answer_to(said(Text("Hi")))
    assert told.keys() >= REQUIRED
    assert told["object"] == "response"
    assert (told["id"], told["model"], told["created_at"]) == ("resp_abc", "up", 1_700_000_000)
    assert (told["status"], told["incomplete_details"], told["error"]) == ("completed", None, None)
    assert told["usage"] == COUNTED
    assert (told["tools"], told["tool_choice"], told["text"]) == ([], "auto", {"format": {"type": "text"}})
    assert told["reasoning"] == {"effort": None, "summary": None}
    assert told["output"] == [
        {
            "id": "msg_abc_0",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hi"}],
        }
    ]


def test_an_answer_repeats_the_request() -> None:
    custom = {"type": "custom", "name": "patch"}
    asked: dict[str, Any] = {
        "instructions": "Be kind",
        "temperature": 0.25,
        "metadata": {"a": "b"},
        "store": False,
        "tool_choice": {"type": "function", "name": "f"},
        "previous_response_id": "resp_0",
        "max_output_tokens": 50,
        "truncation": None,
    }
    tools = [{"type": "function", "name": "f"}, custom, 5]
    told = answer_to(said(), tools=tools, text={"verbosity": "low"}, reasoning={"effort": "low"}, **asked)
    assert {name: told[name] for name in asked} == {**asked, "truncation": "disabled"}
    assert told["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None},
        custom,
        5,
    ]
    assert told["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert told["reasoning"] == {"effort": "low", "summary": None}


def test_an_odd_request_does_not_spoil_its_answer() -> None:
    envelope = accepted()
    envelope.fields["tools"] = msgspec.Raw(b"[" * 100_000 + b"]" * 100_000)
    envelope.fields["text"] = msgspec.Raw(b'"odd"')
    told = json.loads(CODEC.write_reply(said(), envelope, USAGE))
    assert (told["tools"], told["text"]) == ([], {"format": {"type": "text"}})


@pytest.mark.parametrize(("given", "told"), [("resp_1", "resp_1"), ("chatcmpl-1", "resp_req_1"), ("", "resp_req_1")])
def test_an_answer_has_an_id_of_this_format(given: str, told: str) -> None:
    answer = answer_to(Reply(id=given, model="", blocks=(), stop="end"))
    assert (answer["id"], answer["model"]) == (told, "m")


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        ("end", "completed", None),
        ("tool_calls", "completed", None),
        ("stop_sequence", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_why_it_ended_is_told(stop: Any, status: str, reason: Any) -> None:
    told = answer_to(Reply(id="x", model="m", blocks=(), stop=stop))
    assert (told["status"], told["incomplete_details"]) == (status, reason)


def test_tokens_of_other_formats_travel_sealed() -> None:
    thinking, signature = Opaque("anthropic", "signature"), Opaque("gemini", "thought")
    own = Opaque(NAME, "gAAA", "rs_9")
    call = ToolCall(id="c", name="f", arguments="{}", opaque=signature)
    blocks = (
        Thinking(text="hm", opaque=thinking),
        Thinking(opaque=own),
        call,
        msgspec.structs.replace(call, opaque=own),
        Text("x"),
    )
    output = answer_to(said(*blocks))["output"]
    assert [item.get("encrypted_content") for item in output] == [
        seal(thinking, NAME),
        "gAAA",
        None,
        seal(signature, NAME) + ".c",
        None,
        None,
    ]
    assert [item["id"] for item in output] == ["rs_abc_0", "rs_abc_1", "fc_abc_2", "rs_abc_3", "fc_abc_4", "msg_abc_5"]
    # The client sends its answer back, and each token is its origin's again.
    history = CODEC.read_request({"input": msgspec.Raw(msgspec.json.encode(output))}).messages[0].blocks
    assert history[0] == Thinking(text="hm", opaque=thinking)
    assert history[2] == call


def test_reasoning_without_a_token_is_known_for_ours_when_it_comes_back() -> None:
    output = msgspec.json.encode(answer_to(said(Thinking(text="hm"), Text("x")))["output"])
    items = input_items({"input": msgspec.Raw(output)})
    assert [kind_of(item) for item in without_sealed(items)] == ["message"]
    history = CODEC.read_request({"input": msgspec.Raw(output)}).messages[0].blocks
    assert history == (Thinking(text="hm"), Text("x"))


def test_only_what_can_be_shown_is_shown() -> None:
    web = Foreign(origin=NAME, kind="x", raw=b'{"type":"x"}')
    other = Foreign(origin="anthropic", kind="server_tool_use", raw=b"{}")
    shown = answer_to(said(other, web, Media(kind="audio", data="QUJD"), Media(kind="image", url="https://x")))
    assert shown["output"] == [{"type": "x"}]
    image = answer_to(said(Media(kind="image", data="QUJD")))["output"]
    assert image == [
        {
            "id": "ig_abc_0",
            "type": "image_generation_call",
            "status": "completed",
            "result": "QUJD",
            "output_format": "png",
        }
    ]


def test_a_call_has_the_name_that_the_client_gave_its_tool() -> None:
    space = {"type": "namespace", "name": "mcp__memory", "tools": [{"type": "function", "name": "recall"}]}
    calls = (ToolCall(id="c", name="mcp__memory__recall", arguments="{}"), ToolCall(id="d", name="f", arguments="{}"))
    lite = [{"type": "additional_tools", "role": "developer", "tools": [space, {"type": "web_search"}]}]
    for fields in ({"tools": [space]}, {"input": lite}):
        first, second = answer_to(said(*calls), **fields)["output"]
        assert (first["namespace"], first["name"]) == ("mcp__memory", "recall")
        assert (second.get("namespace"), second["name"]) == (None, "f")


def test_names_are_left_as_they_are_where_the_tools_cannot_be_read() -> None:
    call = ToolCall(id="c", name="a__b", arguments="{}")
    (item,) = answer_to(said(call), tools=[{"type": "namespace", "name": "a", "tools": 5}])["output"]
    assert item["name"] == "a__b"


def test_an_error_has_a_code_that_clients_know() -> None:
    assert error_object("x") == {"code": "server_error", "message": "x"}
    assert error_object("x", UpstreamFailed())["code"] == "server_error"
