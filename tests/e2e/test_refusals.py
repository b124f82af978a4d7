"""Requests that are refused before any upstream hears of them: status, family, and the words that help (api.md 3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.accounts import open_account
from tests.support.bills import settled
from tests.support.gateway_under_test import BODY_LIMIT_BYTES
from tests.support.http_client import chat_body
from tests.support.server import Server

OPENAI_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")


@pytest.mark.parametrize("path", [*OPENAI_PATHS, "/v1/chat"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"model":"ok",}',
        b"\xff\xfe",
        b'{"model":"ok"} x',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
    ids=["empty", "unfinished", "array", "string", "trailing comma", "not UTF-8", "trailing text", "deeply nested"],
)
def test_a_malformed_body_is_a_400(server: Server, path: str, body: bytes) -> None:
    answer = server.client.post(path, body)
    assert answer.status == 400
    assert answer.error


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"stream_options": "all"}, "stream_options"),
    ],
)
def test_a_wrong_field_is_named(server: Server, change: dict[str, Any], param: str) -> None:
    answer = server.client.post("/v1/chat/completions", chat_body("ok") | change)
    assert answer.status == 400
    assert answer.error["param"] == param
    assert param in answer.error["message"]
    assert answer.error["type"] == "invalid_request_error"


def test_a_missing_model_is_named_in_the_documented_words(server: Server) -> None:
    body = chat_body("")
    del body["model"]
    answer = server.client.post("/v1/chat/completions", body)
    assert (answer.status, answer.error["message"]) == (400, "Model is required")


@pytest.mark.parametrize("temperature", [-0.1, 2.1, "hot"])
def test_native_chat_checks_its_temperature(server: Server, temperature: object) -> None:
    answer = server.client.post("/v1/chat", chat_body("ok", temperature=temperature))
    assert answer.status == 400
    assert "temperature" in answer.json["message"]


def test_an_unknown_model_lists_the_nearest_names_first(server: Server) -> None:
    answer = server.client.chat("pacedd")
    assert answer.status == 400
    assert answer.error["code"] == "model_not_found"
    assert answer.error["available_models"][0] == "paced"
    assert "embedder" not in answer.error["available_models"]


def test_a_model_on_the_wrong_endpoint_is_sent_to_the_right_one(server: Server) -> None:
    answer = server.client.chat("embedder")
    assert answer.status == 400
    assert "/v1/embeddings" in answer.error["message"]
    answer = server.client.chat("messages-only")
    assert answer.status == 400
    assert "/v1/messages" in answer.error["message"]


def test_a_model_without_a_provider_is_a_503(server: Server) -> None:
    answer = server.client.chat("nowhere")
    assert (answer.status, answer.error["code"]) == (503, "no_upstream")


@pytest.mark.parametrize("path", [*OPENAI_PATHS, "/v1/chat"])
def test_a_body_over_the_limit_is_a_413(server: Server, path: str) -> None:
    answer = server.client.post(path, b" " * (BODY_LIMIT_BYTES + 1))
    assert answer.status == 413
    assert answer.error


def test_a_body_at_the_limit_is_served(server: Server) -> None:
    body = chat_body("ok", content="x" * (BODY_LIMIT_BYTES - 1000), max_tokens=1)
    assert server.client.post("/v1/chat/completions", body).status == 200


def test_a_refusal_is_logged_and_costs_nothing(server: Server) -> None:
    holder = open_account(server, "1000")
    with server.client.with_key(holder.secret) as client:
        row = settled(server, client.chat("no-such-model").request_id)
        assert (row["status"], row["credits"], row["endpoint"]) == (400, 0, "/v1/chat/completions")
        assert client.get("/api/credits").json["balance"] == 1000


def test_a_client_may_not_choose_its_request_id(server: Server) -> None:
    answer = server.client.post("/v1/chat/completions", chat_body("ok"), **{"x-request-id": "req_mine"})
    assert answer.request_id != "req_mine"
