"""A stream that is slow to begin: its client hears a ping, and then an answer, another provider's, or one clean error.

All that is slow is asked for at once, because each takes a quarter of a minute.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.support.bills import bill
from tests.support.catalogue_file import COST_OF_OK
from tests.support.formats import FORMATS
from tests.support.http_client import Answer, RawConnection, raw_chat
from tests.support.openai_format import TEXT
from tests.support.server import BOOTSTRAP_KEY, Server
from tests.support.speakers import SPEAKERS, is_stream

PINGS: Mapping[str, bytes] = MappingProxyType(
    {
        "openai_chat": b": ping\n\n",
        "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
        "openai_responses": b": ping\n\n",
        "gemini": b"\n",
    }
)
NEXT = dict(zip(FORMATS, [*list(FORMATS)[1:], next(iter(FORMATS))], strict=True))
"""For each upstream's format another one, whose client asks for a translation."""
PATIENCE_S = 60.0


class Slow:
    """Everything slow that this module asks a server, under way from the start."""

    def __init__(self, server: Server, threads: ThreadPoolExecutor) -> None:
        self._server = server
        self._threads = threads
        self._asked: dict[tuple[str, ...], Future[Any]] = {}
        for name in FORMATS:
            for client in (name, NEXT[name]):
                self._ask("thoughtful", client, name, model=f"thoughtful-{name}")
            self._ask("thoughtless", name, name, model=f"thoughtless-{name}-same")
            self._ask("thoughtless", NEXT[name], name, model=f"thoughtless-{name}-translated")
            self._ask("chained", name, name, model=f"thoughtless-{name}-chained")
        self._start(("buffered",), self._buffered)
        self._start(("socket",), self._socket)

    def _start(self, case: tuple[str, ...], ask: Callable[[], Any]) -> None:
        self._asked[case] = self._threads.submit(ask)

    def _ask(self, what: str, client: str, upstream: str, *, model: str) -> None:
        def ask() -> Answer:
            with self._server.client.with_key(BOOTSTRAP_KEY) as own:
                return SPEAKERS[client].ask(own, model, stream=True)

        self._start((what, client, upstream), ask)

    def _buffered(self) -> Answer:
        asked = raw_chat("thoughtless-openai_chat-buffered", BOOTSTRAP_KEY, stream=True)
        with RawConnection(self._server.port, timeout_s=PATIENCE_S) as connection:
            connection.send(asked.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            return connection.read()

    def _socket(self) -> Any:
        asked = {"type": "response.create", "model": "thoughtless-openai_responses-socket", "input": "Hi"}
        headers = {"authorization": f"Bearer {BOOTSTRAP_KEY}"}
        with connect(f"ws://127.0.0.1:{self._server.port}/v1/responses", additional_headers=headers) as connection:
            connection.send(json.dumps(asked))
            return json.loads(connection.recv(timeout=PATIENCE_S))

    def answer(self, *case: str) -> Any:
        return self._asked[case].result(timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def slow(server: Server) -> Iterator[Slow]:
    with ThreadPoolExecutor(max_workers=32) as threads:
        yield Slow(server, threads)


PAIRS = [(client, name) for name in FORMATS for client in (name, NEXT[name])]


@pytest.mark.parametrize(("client", "upstream_format"), PAIRS)
def test_an_answer_comes_after_a_ping(server: Server, slow: Slow, client: str, upstream_format: str) -> None:
    answer = slow.answer("thoughtful", client, upstream_format)
    speaker = SPEAKERS[client]
    assert (answer.status, is_stream(answer)) == (200, True)
    assert answer.body.startswith(PINGS[client]), answer.body[:200]
    assert (speaker.read(answer), speaker.is_ended(answer)) == (TEXT, True)
    assert answer.headers["x-hypereal-provider"] == f"thoughtful-{upstream_format}"
    assert bill(server, answer)["credits"] == COST_OF_OK


@pytest.mark.parametrize(("client", "upstream_format"), PAIRS)
def test_no_answer_is_one_clean_error_in_the_stream(
    server: Server, slow: Slow, client: str, upstream_format: str
) -> None:
    answer = slow.answer("thoughtless", client, upstream_format)
    speaker = SPEAKERS[client]
    assert (answer.status, is_stream(answer), answer.truncated) == (200, True, False)
    assert answer.body.startswith(PINGS[client]), answer.body[:200]
    assert speaker.last_error(answer)
    assert not speaker.is_ended(answer)
    row = bill(server, answer)
    assert (row["status"], row["credits"]) == (502, 0)


@pytest.mark.parametrize("client", FORMATS)
def test_another_provider_may_still_answer(server: Server, slow: Slow, client: str) -> None:
    answer = slow.answer("chained", client, client)
    speaker = SPEAKERS[client]
    assert (speaker.read(answer), speaker.is_ended(answer)) == (TEXT, True), answer.body
    row = bill(server, answer)
    assert (row["status"], row["credits"], row["provider"], row["attempts"]) == (200, COST_OF_OK, "backup", 3)


def test_who_reads_the_whole_answer_at_once_gets_the_status_of_its_end(slow: Slow) -> None:
    answer = slow.answer("buffered")
    assert answer.status == 502
    assert answer.error["message"]


def test_a_socket_has_pings_of_its_own(slow: Slow) -> None:
    told = slow.answer("socket")
    assert (told["type"], told["status"]) == ("error", 502)
