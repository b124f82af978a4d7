"""The WebSocket form of the Responses API: messages in, events out, a bill for each (api.md section 7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.support.accounts import open_account
from tests.support.bills import query, settled
from tests.support.catalogue_file import COST_OF_OK
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.gateway_under_test import BODY_LIMIT_BYTES
from tests.support.openai_format import TEXT
from tests.support.server import BOOTSTRAP_KEY, Server, wait_for

PATH = "/v1/responses"
MODEL = "speaks-openai_responses"
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")
CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}


class Session:
    """A connection as Codex uses it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": "response.create", "model": MODEL, "input": "Hi", **fields}))

    def read(self) -> list[dict[str, Any]]:
        """The events of one answer."""
        events: list[dict[str, Any]] = []
        while not events or events[-1]["type"] not in TERMINAL:
            events.append(json.loads(self.connection.recv(timeout=10)))
        return events

    def ask(self, **fields: Any) -> list[dict[str, Any]]:
        self.send(**fields)
        return self.read()


@contextmanager
def opened(server: Server, *, path: str = PATH, key: str = BOOTSTRAP_KEY) -> Iterator[Session]:
    url = f"ws://127.0.0.1:{server.port}{path}"
    with connect(url, additional_headers={"authorization": f"Bearer {key}"}) as connection:
        yield Session(connection)


@pytest.fixture
def session(server: Server) -> Iterator[Session]:
    with opened(server) as found:
        yield found


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def inputs(upstream: FaultyUpstream, marker: str) -> Any:
    """The input of the newest request that speaks of `marker`, as the upstream was sent it."""
    return upstream.seen(marker)[-1].json["input"]


@pytest.mark.parametrize("model", [MODEL, "speaks-anthropic"])
def test_a_message_is_answered_with_the_events_of_a_stream(session: Session, model: str) -> None:
    events = session.ask(model=model)
    assert text_of(events) == TEXT
    assert [events[0]["type"], events[-1]["type"]] == ["response.created", "response.completed"]
    assert events[-1]["response"]["usage"]["output_tokens"] == 40


def test_an_answer_is_billed_like_any_other(server: Server, upstream: FaultyUpstream, session: Session) -> None:
    marker = f"billed over a socket {server.port}"
    session.ask(input=marker)
    (recorded,) = upstream.seen(marker)
    row = settled(server, recorded.headers["x-request-id"])
    assert (row["credits"], row["basis"], row["streamed"]) == (COST_OF_OK, "provider", True)
    assert row["endpoint"] == PATH


def test_a_turn_goes_on_from_the_last_with_what_is_new_alone(
    server: Server, upstream: FaultyUpstream, session: Session
) -> None:
    marker = f"a tool's turn {server.port}"
    first = session.ask(input=[{"role": "user", "content": marker}, CALL], store=False)[-1]["response"]["id"]
    second = session.ask(input=[RESULT], previous_response_id=first, store=False)
    assert text_of(second) == TEXT
    sent = inputs(upstream, marker)
    assert [item.get("type", "message") for item in sent] == [
        "message",
        "function_call",
        "message",
        "function_call_output",
    ]
    assert TEXT in json.dumps(sent[2])
    assert "previous_response_id" not in upstream.seen(marker)[-1].json


def test_a_warm_up_costs_nothing_and_is_gone_on_from(server: Server, upstream: FaultyUpstream) -> None:
    holder = open_account(server, "1000")
    marker = f"warmed up {server.port}"
    with opened(server, key=holder.secret) as session:
        events = session.ask(input=[{"role": "user", "content": marker}], generate=False)
        assert [event["type"] for event in events] == ["response.created", "response.completed"]
        assert events[-1]["response"]["output"] == []
        name = events[-1]["response"]["id"]
        assert text_of(session.ask(input=[{"role": "user", "content": "Go on"}], previous_response_id=name)) == TEXT
    assert [item["content"] for item in inputs(upstream, marker)] == [marker, "Go on"]
    assert len(upstream.seen(marker)) == 1

    def logged() -> list[dict[str, Any]] | None:
        found = query(server.database_url, "SELECT * FROM usage_records WHERE key_id = %(k)s", k=holder.key_id)
        return found or None

    assert [row["credits"] for row in wait_for(logged, "a row of the log", timeout_s=10)] == [COST_OF_OK]


def test_a_warm_up_may_itself_go_on_from_a_stored_response(
    server: Server, upstream: FaultyUpstream, session: Session
) -> None:
    marker = f"stored before the warm-up {server.port}"
    stored = server.client.post(PATH, {"model": MODEL, "input": marker}).json["id"]
    named = session.ask(input="Second", previous_response_id=stored, generate=False)[-1]["response"]["id"]
    assert text_of(session.ask(input="Third", previous_response_id=named)) == TEXT
    sent = json.dumps(inputs(upstream, marker))
    assert [said for said in (marker, TEXT, "Second", "Third") if said not in sent] == []
    (event,) = session.ask(input="Second", previous_response_id="resp_nowhere", generate=False)
    assert event["error"]["code"] == "previous_response_not_found"


def test_warm_ups_are_not_remembered_for_ever(session: Session) -> None:
    names = [session.ask(generate=False)[-1]["response"]["id"] for _ in range(9)]
    assert session.ask(previous_response_id=names[0])[-1]["status"] == 400
    assert text_of(session.ask(previous_response_id=names[-1])) == TEXT


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('"text"', "object"),
        ("", "JSON"),
        ('{"type":"response.cancel"}', "response.create"),
        ('{"input":"Hi"}', "response.create"),
        ('{"type":"response.create","input":"Hi"}', "Model is required"),
        ('{"type":"response.create","model":"speaks-openai_responses"}', "input"),
        ('{"type":"response.create","model":"speaks-openai_responses","generate":false}', "input"),
        ('{"type":"response.create","model":7,"input":"Hi"}', "model"),
        ('{"type":"response.create","model":"speaks-openai_responses","input":"Hi","background":true}', "background"),
        ('{"type":"response.create","model":"no-such-model","input":"Hi"}', "no-such-model"),
        ('{"type":"response.create","model":"m","input":"Hi","previous_response_id":7}', "previous_response_id"),
        ('{"type":"response.create","model":"speaks-openai_responses","input":"Hi","generate":"no"}', "generate"),
        ('{"type":"response.create","model":"no-such-model","input":"Hi","generate":false}', "no-such-model"),
        ('{"a":' * 3000 + "1" + "}" * 3000, ""),
    ],
)
def test_a_bad_message_is_an_error_event_and_the_connection_goes_on(session: Session, message: str, says: str) -> None:
    session.connection.send(message)
    (event,) = session.read()
    assert (event["type"], event["status"]) == ("error", 400)
    assert says in event["error"]["message"]
    assert text_of(session.ask()) == TEXT


def test_a_warm_up_is_refused_like_the_request_it_prepares(server: Server) -> None:
    holder = open_account(server, "1000", key={"allowed_models": ["speaks-anthropic"]})
    with opened(server, key=holder.secret) as session:
        (event,) = session.ask(generate=False)
        assert (event["status"], event["error"]["type"]) == (403, "permission_error")
        assert session.ask(generate=False, model="speaks-anthropic")[-1]["type"] == "response.completed"


@pytest.mark.parametrize("lane", ["cut~openai_responses-openai_responses-stream-alone"])
def test_a_stream_that_breaks_ends_in_one_message(session: Session, lane: str) -> None:
    events = session.ask(model=lane)
    assert [event["type"] for event in events if event["type"] in TERMINAL] == ["response.failed"]
    assert text_of(session.ask()) == TEXT


def test_bytes_are_read_as_text(session: Session) -> None:
    session.connection.send(json.dumps({"type": "response.create", "model": MODEL, "input": "Hi"}).encode())
    assert text_of(session.read()) == TEXT
    session.connection.send(b"\xff\xfe")
    assert session.read()[-1]["status"] == 400


def test_an_unknown_response_is_an_error_event(session: Session) -> None:
    (event,) = session.ask(previous_response_id="resp_nowhere")
    assert (event["status"], event["error"]["code"]) == (400, "previous_response_not_found")
    assert text_of(session.ask()) == TEXT


def test_a_failing_provider_is_an_error_event(session: Session) -> None:
    event = session.ask(model="rejected~openai_responses-openai_responses-stream-alone")[-1]
    assert (event["type"], event["status"]) == ("error", 400)
    assert "max_tokens is too large" in event["error"]["message"]


def test_a_message_over_the_limit_ends_the_connection(server: Server, session: Session) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        session.ask(input="x" * (BODY_LIMIT_BYTES + 1000))
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    with opened(server) as another:
        assert text_of(another.ask()) == TEXT


def test_two_requests_at_once_are_answered_in_their_order(
    server: Server, upstream: FaultyUpstream, session: Session
) -> None:
    marker = f"queued {server.port}"
    session.send(input=f"{marker} 1")
    session.send(input=f"{marker} 2", model="speaks-gemini")
    first, second = session.read(), session.read()
    assert text_of(first) == text_of(second) == TEXT
    assert [recorded.lane for recorded in upstream.seen(marker)] == ["ok~speaks-openai_responses", "ok~speaks-gemini"]


def test_more_requests_than_may_wait_are_refused(session: Session) -> None:
    for _ in range(12):
        session.send(model="hesitant~openai_responses-openai_responses-cancel")
    answers = [session.connection.recv(timeout=10) for _ in range(3)]
    assert any(json.loads(answer).get("status") == 429 for answer in answers)


def test_a_client_that_leaves_pays_for_what_came_and_for_nothing_that_waited(
    server: Server, upstream: FaultyUpstream
) -> None:
    marker = f"left a socket {server.port}"
    with opened(server) as session:
        session.send(model="hesitant~openai_responses-openai_responses-cancel", input=f"{marker} 1")
        session.send(input=f"{marker} 2")
        while json.loads(session.connection.recv(timeout=10))["type"] != "response.output_text.delta":
            pass
    (recorded,) = upstream.seen(f"{marker} 1")
    assert recorded.over.wait(10)
    assert recorded.hung_up
    row = settled(server, recorded.headers["x-request-id"])
    assert (row["status"], row["basis"]) == (499, "estimated")
    assert 0 < row["credits"] < COST_OF_OK
    assert len(upstream.seen(marker)) == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/nothing", "/", "/v1/messages"])
def test_a_path_that_speaks_no_websocket_is_a_404(server: Server, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(server, path=path):
        pass
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body or b"")["error"]["message"]


@pytest.mark.parametrize("key", ["ck_" + "z" * 48, "sk-somebody-elses", ""])
def test_a_bad_key_is_a_401_at_the_handshake(server: Server, key: str) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(server, key=key):
        pass
    assert refused.value.response.status_code == 401
    body = refused.value.response.body or b""
    assert json.loads(body)["error"]["type"] == "authentication_error"
    assert not key or key.encode() not in body


def test_every_spelling_of_the_path_is_served(server: Server) -> None:
    for path in ("/api/v1/responses", "/v1/codex/responses", "/v1/v1/responses"):
        with opened(server, path=path) as session:
            assert text_of(session.ask()) == TEXT
