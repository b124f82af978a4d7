"""Answers of upstreams in every legal shape, cut anywhere, judged as h11 judges them; and illegal ones, which are lost.

h11 is the reference: another implementation of HTTP/1.1, written for correctness.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import h11
import pytest

from hypereal.kit import connection as module
from hypereal.kit.connection import ConnectionBroken, MalformedAnswer
from hypereal.kit.framing import header_map, header_value, unframe
from tests.kit.transports import Recorder, feed, new_connection, new_pool

STATUSES = (200, 200, 200, 201, 204, 304, 400, 401, 429, 500, 503)
INTERIM = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
    b"HTTP/1.1 102 \r\n\r\n",
)
SURPLUS = (b"", b"", b"", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"HTTP/1.1 ", b"garbage")
MODES = [(False, False), (True, False), (True, True)]
EACH_MODE = pytest.mark.parametrize(("streams", "wants_chunks"), MODES, ids=["whole", "payload", "chunks"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of an answer."""

    status: int | None
    body: bytes
    stays_open: bool


def reference(data: bytes) -> Verdict:
    """What h11 makes of an answer, after which the connection is closed if h11 still waits."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    status, body, is_closed = None, b"", False
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(b"")
            is_closed = True
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
    is_reusable = client.their_state is h11.DONE and not client.trailing_data[0] and not is_closed
    return Verdict(status=status, body=body, stays_open=is_reusable)


def judged(data: bytes, cuts: list[int], *, streams: bool, wants_chunks: bool) -> tuple[Verdict, Recorder]:
    """What our connection makes of an answer, after which it is closed if somebody still waits."""
    pool = new_pool()
    connection, transport = new_connection(pool)
    recorder = Recorder(wants_chunks=wants_chunks)
    connection.send([b"POST"], recorder, streams=streams)
    feed(connection, data, cuts)
    if connection.receiver is not None:
        connection.connection_lost(None)
    body = unframe(recorder.body) if recorder.last_chunks else recorder.body
    assert recorder.ends == 1
    stays_open = connection in pool._idle and not transport.is_aborted
    return Verdict(status=recorder.status, body=body, stays_open=stays_open), recorder


def random_chunks(chance: random.Random, body: bytes) -> Iterator[bytes]:
    while body:
        size = chance.randint(1, len(body))
        extension = chance.choice((b"", b"", b";x=1", b';name="quoted; value"'))
        number = chance.choice((b"%x", b"%X", b"0%x")) % size
        yield number + extension + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    yield b"0" + chance.choice((b"", b";last")) + b"\r\n"
    yield chance.choice((b"", b"", b"x-trailer: 1\r\n")) + b"\r\n"


def random_answer(chance: random.Random) -> tuple[bytes, bytes]:
    """An answer's bytes, and what follows it on the wire though it should not."""
    status = chance.choice(STATUSES)
    body = chance.randbytes(chance.choice((0, 1, 50, 3000))) if chance.random() < 0.5 else b'data: {"a":1}\n\n' * 5
    fields = [b"Server: test", b"x-empty:", b"X-Odd:  spaced \t "]
    kind = chance.choice((b"application/json", b"text/event-stream", b"Text/Event-Stream; charset=utf-8"))
    fields.append(b"Content-Type: " + kind)
    if chance.random() < 0.3:
        fields.append(chance.choice((b"connection: close", b"Connection: Close", b"connection: keep-alive")))
    version = b"1.0" if chance.random() < 0.1 else b"1.1"
    framing = chance.choice(("length", "chunks", "close"))
    surplus = chance.choice(SURPLUS)
    if status in (204, 304):
        body, payload = b"", b""
    elif framing == "length":
        fields.append(chance.choice((b"content-length: %d", b"Content-Length:%d")) % len(body))
        payload = body
    elif framing == "chunks" and version == b"1.1":
        fields.append(chance.choice((b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked")))
        payload = b"".join(random_chunks(chance, body))
    else:
        payload, surplus = body, b""
    chance.shuffle(fields)
    if version == b"1.0":
        fields = [field for field in fields if b"keep-alive" not in field]
    reason = chance.choice((b" OK", b" ", b" Some Reason"))
    head = b"HTTP/%b %d%b\r\n%b\r\n\r\n" % (version, status, reason, b"\r\n".join(fields))
    interim = b"".join(chance.choices(INTERIM, k=chance.choice((0, 0, 1, 3))))
    return interim + head + payload, surplus


@EACH_MODE
@pytest.mark.parametrize("seed", range(8))
def test_every_legal_answer_is_judged_as_h11_judges_it(seed: int, streams: bool, *, wants_chunks: bool) -> None:
    chance = random.Random(seed)
    for round_number in range(150):
        data, surplus = random_answer(chance)
        expected = reference(data + surplus)
        cuts = chance.sample(range(len(data)), min(len(data) - 1, chance.choice((0, 1, 2, 10))))
        if surplus and (wants_chunks or chance.random() < 0.5):
            cuts.append(len(data))  # framed reads that carry more than the answer cannot be passed on: see below
        got, recorder = judged(data + surplus, cuts, streams=streams, wants_chunks=wants_chunks)
        note = (seed, round_number, data, surplus, cuts)
        assert recorder.error is None, note
        assert (got.status, got.body) == (expected.status, expected.body), note
        if len(data) not in cuts:
            assert got.stays_open == expected.stays_open, note


@EACH_MODE
def test_an_answer_may_be_cut_at_every_byte(streams: bool, *, wants_chunks: bool) -> None:
    chance = random.Random(7)
    for _ in range(25):
        data, _ = random_answer(chance)
        expected = reference(data)
        for at in range(1, min(len(data), 600)):
            got, _ = judged(data, [at], streams=streams, wants_chunks=wants_chunks)
            assert got == expected, (data, at)
        got, _ = judged(data, list(range(1, len(data))), streams=streams, wants_chunks=wants_chunks)
        assert got == expected


SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
MALFORMED = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x00\x01\x02\x03",
    b"\x16\x03\x01\x02\x00\r\n\r\n",
    b"<html>hello</html>\r\n\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/9.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    b"ICE/1.0 200 OK\r\ncontent-length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nab\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    SSE + b"content-length: 10\r\n\r\nshort",
    SSE + b"transfer-encoding: chunked\r\n\r\n-1\r\n",
    SSE + b"transfer-encoding: chunked\r\n\r\n5\r\nab",
    SSE + b"transfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n",
    SSE + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    SSE + b"transfer-encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
]


@EACH_MODE
@pytest.mark.parametrize("data", MALFORMED)
def test_a_malformed_or_cut_answer_is_lost(data: bytes, *, streams: bool, wants_chunks: bool) -> None:
    for at in range(len(data) + 1):
        got, recorder = judged(data, [at], streams=streams, wants_chunks=wants_chunks)
        assert isinstance(recorder.error, MalformedAnswer | ConnectionBroken), at
        assert not got.stays_open


@EACH_MODE
@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_raise_or_hang(seed: int, *, streams: bool, wants_chunks: bool) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        data, surplus = random_answer(chance)
        damaged = bytearray(data + surplus)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(min(len(damaged), 300))] = chance.choice(b"\r\n 0:;\x00\xffA1")
        cuts = chance.sample(range(len(damaged)), min(5, len(damaged)))
        judged(bytes(damaged), cuts, streams=streams, wants_chunks=wants_chunks)  # which asserts that it ended once


def test_framed_reads_that_carry_more_than_the_answer_are_refused() -> None:
    stream = SSE + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for surplus in filter(None, SURPLUS):
        got, recorder = judged(stream + surplus, [], streams=True, wants_chunks=True)
        assert isinstance(recorder.error, MalformedAnswer)
        assert not got.stays_open
        assert recorder.body == b""


def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    pool = new_pool()
    connection, transport = new_connection(pool)
    connection.send([b"POST"], Recorder(), streams=False)
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert pool._idle == [connection]
    connection.data_received(b"HTTP/1.1 408 Timeout\r\n\r\n")
    assert transport.is_aborted
    assert pool.take() is None


@EACH_MODE
def test_many_answers_come_over_one_connection(streams: bool, *, wants_chunks: bool) -> None:
    chance = random.Random(3)
    pool = new_pool()
    connection, _ = new_connection(pool)
    served = 0
    while served < 60:
        data, _ = random_answer(chance)
        expected = reference(data)
        if not expected.stays_open:
            continue
        recorder = Recorder(wants_chunks=wants_chunks)
        connection.send([b"POST"], recorder, streams=streams)
        feed(connection, data, [chance.randrange(len(data))])
        body = unframe(recorder.body) if recorder.last_chunks else recorder.body
        assert (recorder.status, body, recorder.ends) == (expected.status, expected.body, 1)
        assert pool.take() is connection
        served += 1


def test_a_reset_is_not_the_end_of_an_answer_without_a_length() -> None:
    for streams in (False, True):
        connection, _ = new_connection()
        recorder = Recorder()
        connection.send([b"POST"], recorder, streams=streams)
        connection.data_received(SSE + b"\r\ndata: half")
        connection.connection_lost(ConnectionResetError("reset by peer"))
        assert isinstance(recorder.error, ConnectionBroken)
        assert str(recorder.error) == "reset by peer"


@EACH_MODE
def test_a_head_has_a_limit(streams: bool, *, wants_chunks: bool) -> None:
    line = b"x-filler: " + b"y" * 1000 + b"\r\n"
    data = b"HTTP/1.1 200 OK\r\n" + line * 80
    _, recorder = judged(data, list(range(0, len(data), 1000)), streams=streams, wants_chunks=wants_chunks)
    assert isinstance(recorder.error, MalformedAnswer)
    assert "head" in str(recorder.error)


@EACH_MODE
def test_a_read_full_of_interim_answers_is_no_trouble(streams: bool, *, wants_chunks: bool) -> None:
    data = b"HTTP/1.1 100 \r\n\r\n" * 5000 + b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"
    got, _ = judged(data, [], streams=streams, wants_chunks=wants_chunks)
    assert got == Verdict(status=200, body=b"x", stays_open=True)


def test_an_answer_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 1000)
    for size, is_lost in ((1000, False), (1001, True)):
        data = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
        _, recorder = judged(data, [300, 600], streams=False, wants_chunks=False)
        assert isinstance(recorder.error, MalformedAnswer) == is_lost


def test_only_a_stream_of_events_opens() -> None:
    for extra in (b"content-type: application/json", b"content-type: text/event-stream\r\ncontent-encoding: gzip"):
        data = b"HTTP/1.1 200 OK\r\n" + extra + b"\r\ncontent-length: 2\r\n\r\n{}"
        connection, _ = new_connection()
        recorder = Recorder(wants_chunks=True)
        connection.send([b"POST"], recorder, streams=True)
        connection.data_received(data[:-1])
        assert recorder.head == b""
        connection.data_received(data[-1:])
        assert (recorder.status, recorder.body) == (200, b"{}")


class Unframing(Recorder):
    """Asks for payload at its second read, as a relay does that cannot pass one on."""

    def __init__(self, connection: object) -> None:
        super().__init__(wants_chunks=True)
        self._connection = connection
        self._reads = 0

    def chunks(self, data: bytes, is_last: bool) -> None:
        self._reads += 1
        if self._reads == 2:
            self._connection.unframe(data)  # type: ignore[attr-defined]
        else:
            self.body += unframe(data)


@pytest.mark.parametrize(("field", "stays_open"), [(b"", True), (b"connection: close\r\n", False)])
def test_a_receiver_may_go_over_to_payload(field: bytes, stays_open: bool) -> None:
    pool = new_pool()
    connection, transport = new_connection(pool)
    recorder = Unframing(connection)
    connection.send([b"POST"], recorder, streams=True)
    connection.data_received(SSE + field + b"transfer-encoding: chunked\r\n\r\n")
    for data in (b"3\r\none\r\n", b"3\r\nt", b"wo\r\n5\r\nthr", b"ee\r\n0\r\n", b"\r\n"):
        connection.data_received(data)
    assert (recorder.body, recorder.ends) == (b"onetwothree", 1)
    assert (connection in pool._idle, transport.is_aborted) == (stays_open, not stays_open)


def test_reading_pauses_and_resumes_once_and_never_on_a_closed_connection() -> None:
    connection, transport = new_connection()
    connection.resume_reading()
    connection.pause_reading()
    connection.pause_reading()
    assert not transport.is_reading
    connection.resume_reading()
    assert transport.is_reading
    connection.abort()
    connection.pause_reading()
    connection.resume_reading()
    assert not connection.paused


def test_a_paused_connection_is_read_again_when_it_is_free() -> None:
    connection, transport = new_connection()
    connection.send([b"POST"], Recorder(), streams=False)
    connection.pause_reading()
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert transport.is_reading


def test_an_aborted_connection_tells_nobody() -> None:
    connection, _ = new_connection()
    recorder = Recorder()
    connection.send([b"POST"], recorder, streams=False)
    connection.abort()
    connection.connection_lost(None)
    assert recorder.ends == 0


def test_headers_are_read_without_regard_to_case() -> None:
    head = b"HTTP/1.1 200 OK\r\nRetry-After:  5 \r\nX-A: b:c\r\n\r\n"
    assert header_value(head, b"retry-after") == b"5"
    assert header_value(head, b"absent") is None
    assert header_map(head) == {"retry-after": "5", "x-a": "b:c"}


def test_framing_is_undone_as_far_as_it_goes() -> None:
    framed = b"3\r\none\r\n5;x\r\nthree\r\n0\r\n\r\n"
    assert [unframe(framed[:at]) for at in (0, 3, 5, 8, len(framed))] == [b"", b"", b"on", b"one", b"onethree"]
    assert unframe(b"3\r\none\r\nzz\r\n") == b"one"
