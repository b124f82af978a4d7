"""Sound requests: what is forwarded, what comes back, what it costs (api.md sections 3 to 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.behaviours import LARGE_TEXT
from tests.support.bills import bill, cost_of
from tests.support.catalogue_file import COST_OF_EMBEDDING, COST_OF_OK, MICRO_PER_TOKEN
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.http_client import Answer, chat_body
from tests.support.openai_format import TEXT, USAGE
from tests.support.server import Server

UNKNOWN_FIELDS: dict[str, Any] = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "reasoning_effort": "low",
    "n": 2,
    "stop": ["\n", "§"],
    "seed": 123456789012345678901234567890,
    "logprobs": True,
    "metadata": {"한국어": "값", "emoji": "🦊", "escaped": "\u2028"},
    "temperature": 0.70000000000000001,
    "invented_field": {"deep": [1.0, -0.0, None, {"a": "b"}]},
}


def forwarded(answer: Answer) -> Any:
    """The body as the echoing upstream received it."""
    return json.loads(answer.text)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_completion_is_passed_on_and_billed_by_its_usage(server: Server, path: str, stream: bool) -> None:
    answer = server.client.post(path, chat_body("ok", stream=stream) | {"prompt": "p"})
    assert (answer.status, answer.text, answer.is_done) == (200, TEXT, stream)
    assert answer.usage == USAGE
    row = bill(server, answer)
    assert (row["credits"], row["basis"], row["streamed"]) == (COST_OF_OK, "provider", stream)
    assert (row["input_tokens"], row["cache_read_tokens"]) == (100, 20)
    assert row["cache_savings"] == 20 * (MICRO_PER_TOKEN["input"] - MICRO_PER_TOKEN["cache_read"])
    assert (row["output_tokens"], row["reasoning_tokens"]) == (30, 10)
    assert (row["model"], row["provider"], row["attempts"], row["status"]) == ("ok", "ok", 1, 200)
    assert (row["endpoint"], row["error"]) == (path, None)


def test_embeddings_are_passed_on_and_billed(server: Server) -> None:
    answer = server.client.post("/v1/embeddings", {"model": "ok", "input": ["a", "b"], "encoding_format": "float"})
    assert answer.json["data"][0]["embedding"] == [0.5, -0.5, 0.25]
    assert bill(server, answer)["credits"] == COST_OF_EMBEDDING


def test_an_answer_says_who_gave_it(server: Server) -> None:
    headers = server.client.chat("ok").headers
    assert headers["x-hypereal-provider"] == "ok"
    assert headers["x-hypereal-model"] == "ok"
    assert headers["x-hypereal-attempts"] == "1"
    assert headers["x-hypereal-credits"] == "0.02"
    assert "x-hypereal-cache" in headers
    assert headers["content-type"].startswith("application/json")


def test_a_stream_says_who_gives_it_before_it_begins(server: Server) -> None:
    headers = server.client.chat("ok", stream=True).headers
    assert headers["x-hypereal-provider"] == "ok"
    assert headers["x-hypereal-attempts"] == "1"
    assert headers["content-type"].startswith("text/event-stream")


def test_whole_answers_arrive_byte_for_byte(server: Server) -> None:
    direct = server.client.chat("ok").body
    assert json.loads(direct)["id"] == "chatcmpl-upstream"
    assert direct.startswith(b'{"id":"chatcmpl-upstream","object":"chat.completion","created":1700000000,"model":')


def test_only_the_model_is_changed_on_the_way_up(server: Server, upstream: FaultyUpstream) -> None:
    sent = chat_body("echo", content="nothing else changes", **UNKNOWN_FIELDS)
    raw = json.dumps(sent, separators=(",", ":")).encode()
    server.client.post("/v1/chat/completions", raw)
    (recorded,) = upstream.seen("nothing else changes")[-1:]
    assert recorded.body == raw.replace(b'"model":"echo"', b'"model":"served-echo"')


def test_a_body_whose_model_needs_no_change_is_forwarded_as_it_came(server: Server, upstream: FaultyUpstream) -> None:
    raw = b'{ "messages" : [{"role":"user","content":"as it came"}],\n\t"model":"same-name" , "x": 1.50 }'
    assert server.client.post("/v1/chat/completions", raw).status == 200
    assert upstream.seen("as it came")[-1].body == raw


def test_a_stream_asks_its_upstream_for_usage_and_changes_nothing_else(
    server: Server, upstream: FaultyUpstream
) -> None:
    server.client.chat("ok", stream=True, content="usage, please", stream_options={"include_obfuscation": False})
    body = upstream.seen("usage, please")[-1].json
    assert body["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert body["model"] == "served-ok"


def test_fields_that_an_upstream_refuses_are_dropped(server: Server) -> None:
    body = forwarded(server.client.chat("picky", seed=7, top_p=0.5))
    assert "seed" not in body
    assert body["top_p"] == 0.5


def test_our_own_fields_never_reach_an_upstream(server: Server) -> None:
    body = forwarded(server.client.chat("echo", hypereal={"cache": False}, intent="chat-fast"))
    assert not {"hypereal", "intent"} & set(body)


@pytest.mark.parametrize("name", ["signed", "signed-by-another-name", "vendor/model:free"])
def test_an_alias_is_served_by_its_model(server: Server, name: str) -> None:
    answer = server.client.chat(name)
    assert answer.status == 200
    assert answer.headers["x-hypereal-model"] == "signed"


@pytest.mark.parametrize("options", [None, {}, {"include_usage": True}], ids=str)
@pytest.mark.parametrize("model", ["ok", "no_usage"])
def test_a_streams_final_chunk_has_usage_whether_or_not_asked_for(
    server: Server, model: str, options: dict[str, bool] | None
) -> None:
    more = {} if options is None else {"stream_options": options}
    answer = server.client.chat(model, stream=True, **more)
    assert answer.is_done
    assert answer.events[-1]["choices"] == []
    usage = answer.events[-1]["usage"]
    row = bill(server, answer)
    assert usage["completion_tokens"] == row["output_tokens"] + row["reasoning_tokens"] > 0
    assert usage["prompt_tokens"] == row["input_tokens"] + row["cache_read_tokens"] > 0


def test_usage_is_hidden_only_when_refused_aloud_and_billed_all_the_same(server: Server) -> None:
    answer = server.client.chat("ok", stream=True, stream_options={"include_usage": False})
    assert (answer.text, answer.is_done, answer.usage) == (TEXT, True, None)
    assert bill(server, answer)["credits"] == COST_OF_OK


def test_an_answer_without_usage_is_counted_and_said_to_be_estimated(server: Server) -> None:
    row = bill(server, server.client.chat("no_usage"))
    assert row["basis"] == "estimated"
    assert row["credits"] == cost_of(row) > 0
    assert row["output_tokens"] == -(-len(TEXT) // 4)


def test_a_request_costs_at_least_its_models_base(server: Server) -> None:
    answer = server.client.chat("based")
    assert answer.headers["x-hypereal-credits"] == "2"
    assert bill(server, answer)["credits"] == 2_000_000


def test_native_chat_streams_unless_told_otherwise_and_says_what_it_cost(server: Server) -> None:
    for path in ("/v1/chat", "/v1/spicy-chat"):
        answer = server.client.post(path, {"messages": [{"role": "user", "content": "Hi"}]})
        assert (answer.status, answer.text, answer.is_done) == (200, TEXT, True)
        assert answer.events[-1]["usage"]["completion_tokens"] == 40
        assert answer.events[-1]["creditsUsed"] == 0.02
        assert sum("usage" in event and event["usage"] is not None for event in answer.events) == 1
        assert bill(server, answer)["credits"] == COST_OF_OK


def test_native_chat_answers_whole_in_its_own_shape(server: Server) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": False}
    answer = server.client.post("/v1/chat", body)
    assert set(answer.json) >= {"id", "choices", "creditsUsed"}
    assert answer.json["choices"][0]["message"] == {"role": "assistant", "content": TEXT}
    assert answer.json["creditsUsed"] == 0.02
    assert bill(server, answer)["credits"] == COST_OF_OK


def test_native_chat_fills_in_its_own_defaults(server: Server) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": False, "model": "echo"}
    filled = forwarded(server.client.post("/v1/chat", body))
    assert (filled["temperature"], filled["max_tokens"], filled["stream"]) == (0.8, 4096, False)
    given = forwarded(server.client.post("/v1/chat", body | {"temperature": 0, "max_tokens": 5}))
    assert (given["temperature"], given["max_tokens"]) == (0, 5)


def test_a_large_answer_and_a_large_request_pass_whole(server: Server) -> None:
    assert server.client.chat("large").text == LARGE_TEXT
    assert server.client.chat("large", stream=True).text == LARGE_TEXT
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 2_000_000}}
    answer = server.client.chat("ok", content=[{"type": "text", "text": "What is it?"}, picture])
    assert answer.status == 200


def test_a_tool_call_without_text_is_output(server: Server) -> None:
    answer = server.client.chat("tool_call")
    assert answer.json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":"Paris"}'
    assert bill(server, answer)["credits"] == COST_OF_OK


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
def test_models_are_listed_with_their_prices(server: Server, path: str) -> None:
    listing = server.client.get(path).json
    assert listing["object"] == "list"
    (row,) = [model for model in listing["data"] if model["id"] == "ok"]
    assert (row["object"], row["owned_by"]) == ("model", "tests")
    prices = {"input": 1, "output": 2, "cache_read": 0.5, "cache_write": 1, "cache_write_1h": 1, "reasoning": 3}
    assert row["pricing"]["usd_per_million_tokens"] == prices
    assert row["pricing"]["credits_per_million_tokens"] == {kind: price * 100 for kind, price in prices.items()}


def test_the_listing_of_an_endpoint_holds_only_what_it_serves(server: Server) -> None:
    names = {model["id"] for model in server.client.get("/v1/chat/completions").json["data"]}
    assert "ok" in names
    assert not {"embedder", "messages-only"} & names


def test_one_model_is_found_by_its_id_even_with_a_slash(server: Server) -> None:
    assert server.client.get("/v1/models/ok").json["id"] == "ok"
    assert server.client.get("/v1/models/vendor/model:free").status == 200
    missing = server.client.get("/v1/models/no-such-model")
    assert (missing.status, missing.error["type"]) == (404, "not_found_error")


def test_json_numbers_that_python_cannot_hold_pass_through(server: Server, upstream: FaultyUpstream) -> None:
    raw = b'{"model":"echo","messages":[{"role":"user","content":"big numbers"}],"seed":1e999,"x":0.1000}'
    assert server.client.post("/v1/chat/completions", raw).status == 200
    assert b'"seed":1e999,"x":0.1000' in upstream.seen("big numbers")[-1].body
