"""Answers as history: a response that goes on from another, and one JSON answer from a stream."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hypereal.errors import InvalidRequest
from hypereal.wire.base import Garbage
from hypereal.wire.openai_responses.history import expand, input_items, output_items, response_id, whole_answer
from tests.wire.openai_responses.asking import accepted, begun, event, message, response


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def test_a_string_is_one_message_of_the_user() -> None:
    (item,) = input_items(accepted(input="Hé").fields)
    assert json.loads(bytes(item)) == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hé"}],
    }
    assert input_items(accepted(input=..., prompt={"id": "p"}).fields) == []
    assert input_items(accepted(input=None, prompt={"id": "p"}).fields) == []


def test_input_that_is_no_list_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        input_items({"input": msgspec.Raw(b"5")})
    assert refusal.value.param == "input"


def test_a_response_goes_on_from_what_was_stored() -> None:
    asked = {"role": "user", "content": "first"}
    call = {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "c", "name": "f"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    kept = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    lost = {"type": "reasoning", "id": "rs_2", "summary": []}
    answered = [raw(item) for item in (kept, lost, message("second"), call, search)]
    envelope = accepted(input="third", previous_response_id="resp_1", store=True)
    body = json.loads(expand(envelope.fields, [raw(asked)], answered))
    assert body["model"] == "m"
    assert body["store"] is True
    assert body.keys() == {"model", "store", "input"}
    assert body["input"] == [
        asked,
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "content": message("second")["content"]},
        {"type": "function_call", "call_id": "c", "name": "f"},
        search,
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "third"}]},
    ]


def test_the_output_and_the_id_are_read_of_an_answer_and_of_its_last_event() -> None:
    whole = json.dumps(response(message("x"))).encode()
    last = event("response.completed", response=response(message("x")))
    for told in (whole, last, last.removeprefix(b"event: response.completed\ndata: ")):
        assert [json.loads(bytes(item)) for item in output_items(told)] == [message("x")]
        assert response_id(told) == "resp_1"
    assert output_items(b"{}") == []
    assert response_id(b"{}") == ""
    for read in (output_items, response_id):
        with pytest.raises(Garbage):
            read(b"<html>")


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_a_stream_amounts_to_one_answer(kind: str) -> None:
    told = response(message("x"), status=kind)
    payload = begun() + event(f"response.{kind}", response=told) + b"data: [DONE]\n\n"
    assert json.loads(whole_answer(payload)) == told


def test_output_that_the_last_event_leaves_out_is_that_of_the_items_done() -> None:
    items = event("response.output_item.done", item=message("a")) + event(
        "response.output_item.done", item=message("b")
    )
    payload = begun() + items + event("response.completed", response=response())
    assert json.loads(whole_answer(payload)) == response(message("a"), message("b"))


@pytest.mark.parametrize("payload", [b"", begun(), b"data: [DONE]\n\n", b"data: <html>\n\n", b"data: [1]\n\n"])
def test_a_stream_without_an_end_is_no_answer(payload: bytes) -> None:
    with pytest.raises(Garbage):
        whole_answer(payload)
