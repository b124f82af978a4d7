"""Which paths answer, with which keys, and what the others are told (api.md sections 1 to 3)."""

from __future__ import annotations

import pytest

from tests.support.faulty_upstream import FaultyUpstream
from tests.support.gateway_under_test import UPSTREAM_SECRET
from tests.support.http_client import Client, chat_body
from tests.support.openai_format import TEXT
from tests.support.server import BOOTSTRAP_KEY, Server

PREFIXES = ("/v1", "/api/v1", "/v1/v1", "/api/v1/v1")
UNKNOWN_KEY = "ck_" + "z" * 48
KEY_FORMS = ("bearer", "lower-case bearer", "x-api-key", "x-goog-api-key", "query")


@pytest.fixture
def keyless(server: Server) -> Client:
    return server.client.with_key(None)


def signed(form: str, key: str) -> tuple[str, dict[str, str]]:
    """The query and the headers that carry `key` in one of its forms."""
    match form:
        case "bearer":
            return "", {"authorization": f"Bearer {key}"}
        case "lower-case bearer":
            return "", {"authorization": f"bearer {key}"}
        case "query":
            return f"?key={key}", {}
        case _:
            return "", {form: key}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings", "/chat", "/spicy-chat"])
def test_every_route_answers_under_every_prefix(server: Server, prefix: str, path: str) -> None:
    body = {"model": "ok", "prompt": "p", "input": "i", "messages": [{"role": "user", "content": "c"}], "stream": False}
    answer = server.client.post(prefix + path, body)
    assert answer.status == 200, answer.body
    assert answer.request_id


@pytest.mark.parametrize("form", KEY_FORMS)
def test_every_form_of_key_opens_inference_and_management(keyless: Client, form: str) -> None:
    query, headers = signed(form, BOOTSTRAP_KEY)
    with keyless:
        answer = keyless.request("POST", "/v1/chat/completions" + query, body=chat_body("ok"), headers=headers)
        assert (answer.status, answer.text) == (200, TEXT)
        assert keyless.request("GET", "/v1/models" + query, headers=headers).status == 200
        assert keyless.request("GET", "/api/credits" + query, headers=headers).status == 200


@pytest.mark.parametrize("form", KEY_FORMS)
def test_an_unknown_key_is_refused_in_every_form_and_never_repeated(server: Server, keyless: Client, form: str) -> None:
    query, headers = signed(form, UNKNOWN_KEY)
    with keyless:
        answer = keyless.request("POST", "/v1/chat/completions" + query, body=chat_body("ok"), headers=headers)
    assert answer.status == 401
    assert UNKNOWN_KEY.encode() not in answer.body
    assert UNKNOWN_KEY not in server.log


def test_each_kind_of_bad_key_has_its_own_message(keyless: Client) -> None:
    headers = [{}, {"authorization": "Bearer sk-somebody-elses"}, {"authorization": f"Bearer {UNKNOWN_KEY}"}]
    with keyless:
        answers = [keyless.request("POST", "/v1/chat", body=chat_body("ok"), headers=h) for h in headers]
    assert [answer.status for answer in answers] == [401, 401, 401]
    messages = [answer.json["message"] for answer in answers]
    assert messages[0] == "Unauthorized. Please log in..."
    assert len(set(messages)) == 3


def test_a_refusal_has_the_shape_of_its_family(keyless: Client) -> None:
    with keyless:
        native = keyless.post("/v1/chat", chat_body("ok")).json
        openai = keyless.post("/v1/chat/completions", chat_body("ok")).json
    assert native["error"] == native["message"] == "Unauthorized. Please log in..."
    assert native["code"] == "unauthorized"
    assert set(openai["error"]) >= {"type", "message", "code", "param"}


@pytest.mark.parametrize("path", ["/v1/nothing", "/api/v1/nothing", "/nothing", "/v1/chat/completions/more", "/api/no"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_a_json_404(server: Server, method: str, path: str) -> None:
    answer = server.client.request(method, path, body=b"{}" if method == "POST" else None)
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.request_id
    assert "error" in answer.json


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_a_known_path_with_the_wrong_method_is_a_json_405(server: Server, method: str) -> None:
    answer = server.client.request(method, "/v1/chat/completions", body=b"{}")
    assert answer.status == 405
    assert answer.error["message"]


def test_a_path_keeps_its_query(server: Server) -> None:
    answer = server.client.post("/v1/chat/completions?beta=true&x=%20", chat_body("ok"))
    assert (answer.status, answer.text) == (200, TEXT)


def test_no_key_is_needed_to_ask_whether_the_server_lives(keyless: Client) -> None:
    with keyless:
        assert keyless.get("/healthz").status == 200
        assert keyless.get("/readyz").status == 200


def test_the_upstream_sees_its_own_key_and_not_the_clients(server: Server, upstream: FaultyUpstream) -> None:
    answer = server.client.chat("signed", content="whose key is it?")
    assert answer.status == 200
    recorded = upstream.seen("whose key is it?")[-1]
    assert recorded.headers["authorization"] == f"Bearer {UPSTREAM_SECRET}"
    assert recorded.headers["x-extra"] == "yes"
    assert BOOTSTRAP_KEY not in str(recorded.headers) + recorded.path
    assert UPSTREAM_SECRET.encode() not in answer.body
    assert UPSTREAM_SECRET not in str(answer.headers) + server.log


def test_a_key_in_the_query_reaches_neither_the_upstream_nor_the_log(
    server: Server, keyless: Client, upstream: FaultyUpstream
) -> None:
    with keyless:
        answer = keyless.post(f"/v1/chat/completions?key={BOOTSTRAP_KEY}", chat_body("ok", content="quietly"))
    assert answer.status == 200
    assert BOOTSTRAP_KEY not in str(upstream.seen("quietly")[-1])
    assert f"key={BOOTSTRAP_KEY}" not in server.log
