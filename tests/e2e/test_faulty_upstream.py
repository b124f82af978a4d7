"""The faulty upstream itself: a fault matrix is worth no more than the faults in it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.support.behaviours import BEHAVIOURS
from tests.support.faulty_upstream import DeadPort, FaultyUpstream, SilentPort
from tests.support.openai_format import TEXT, USAGE

Post = Callable[..., http.client.HTTPResponse]
CHAT = "/v1/chat/completions"
SOUND = (
    "ok", "slow_first_byte", "no_done", "spaced_usage", "byte_by_byte", "one_chunk", "small_chunks", "crlf",
    "comments_first", "until_close", "continue_first", "lingering",
)  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultyUpstream]:
    with FaultyUpstream(BEHAVIOURS) as running:
        yield running


@pytest.fixture
def post(upstream: FaultyUpstream) -> Iterator[Post]:
    connections = []

    def send(lane: str, *, stream: bool = False) -> http.client.HTTPResponse:
        connections.append(http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5))
        body = json.dumps({"model": "m", "messages": [], "stream": stream})
        connections[-1].request("POST", f"/{lane}{CHAT}", body, {"content-type": "application/json"})
        return connections[-1].getresponse()

    yield send
    for connection in connections:
        connection.close()


def text_of_stream(payload: bytes) -> tuple[str, object]:
    chunks = [
        json.loads(line.removeprefix(b"data:"))
        for line in payload.replace(b"\r", b"").split(b"\n")
        if line.startswith(b"data:") and b"[DONE]" not in line
    ]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    return text, chunks[-1].get("usage")


def test_a_whole_answer_has_the_known_text_and_usage(post: Post) -> None:
    answer = json.loads(post("ok").read())
    assert answer["choices"][0]["message"]["content"] == TEXT
    assert answer["usage"] == USAGE


@pytest.mark.parametrize("lane", SOUND)
def test_every_sound_stream_says_the_same(post: Post, lane: str) -> None:
    assert text_of_stream(post(lane, stream=True).read()) == (TEXT, USAGE)


@pytest.mark.parametrize("lane", ["reset", "closed"])
def test_a_dropped_connection_gives_no_answer(post: Post, lane: str) -> None:
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        post(lane)


def test_a_cut_answer_is_shorter_than_it_claims(post: Post) -> None:
    with pytest.raises(http.client.IncompleteRead):
        post("cut").read()


@pytest.mark.parametrize("lane", ["cut", "cut_in_chunk"])
def test_a_cut_stream_never_ends_properly(post: Post, lane: str) -> None:
    with pytest.raises(http.client.IncompleteRead):
        post(lane, stream=True).read()


def test_a_lane_counts_its_own_requests(post: Post) -> None:
    assert [post("error_once~a").status for _ in range(2)] == [500, 200]
    assert post("error_once~b").status == 500


def test_requests_are_remembered_with_their_headers_and_body(upstream: FaultyUpstream, post: Post) -> None:
    post("ok~remember").read()
    (recorded,) = upstream.seen("~remember")
    assert (recorded.path, recorded.headers["content-type"], recorded.json["model"]) == (CHAT, "application/json", "m")
    assert recorded.over.wait(5)
    assert not recorded.hung_up


def test_a_client_that_leaves_is_noticed(upstream: FaultyUpstream) -> None:
    with socket.create_connection(("127.0.0.1", upstream.port), timeout=5) as client:
        client.sendall(b'POST /paced~leave/v1/chat/completions HTTP/1.1\r\ncontent-length: 15\r\n\r\n{"stream":true}')
        assert client.recv(10)
    (recorded,) = upstream.seen("~leave")
    assert recorded.over.wait(5)
    assert recorded.hung_up


def test_two_requests_can_share_a_connection(upstream: FaultyUpstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=5)
    for _ in range(2):
        connection.request("POST", f"/ok~shared{CHAT}", "{}")
        connection.getresponse().read()
    connection.close()
    first, second = upstream.seen("~shared", count=2)
    assert first.connection == second.connection


def test_a_dead_port_refuses() -> None:
    with DeadPort() as dead, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", dead.port), timeout=2)


def test_a_silent_port_never_connects() -> None:
    with SilentPort() as silent, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", silent.port), timeout=0.3)
