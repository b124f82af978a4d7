"""What the wire allows and clients do: pipelining, old versions, odd framing, nonsense. Each over both fronts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from hypereal.api.ceilings import MANAGEMENT_BODY_BYTES
from tests.support.bills import settled
from tests.support.catalogue_file import COST_OF_OK
from tests.support.gateway_under_test import BODY_LIMIT_BYTES
from tests.support.http_client import RawConnection, chat_body
from tests.support.openai_format import TEXT
from tests.support.server import BOOTSTRAP_KEY, Server

PATH = "/v1/chat/completions"


@pytest.fixture
def raw(server: Server) -> Iterator[RawConnection]:
    with RawConnection(server.port) as connection:
        yield connection


def request(
    body: bytes | None, *lines: str, method: str = "POST", path: str = PATH, version: str = "1.1", length: bool = True
) -> bytes:
    """A request's bytes, signed; `lines` are more headers."""
    head = [f"{method} {path} HTTP/{version}", "host: localhost", f"authorization: Bearer {BOOTSTRAP_KEY}", *lines]
    if body is not None and length:
        head.append(f"content-length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + (body or b"")


def body_for(model: str = "ok", *, stream: bool = False) -> bytes:
    return json.dumps(chat_body(model, stream=stream)).encode()


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_one_connection_serves_many_requests(raw: RawConnection) -> None:
    for _ in range(3):
        raw.send(request(body_for()))
        assert raw.read().text == TEXT
        raw.send(request(body_for(stream=True)))
        assert raw.read().is_done
        raw.send(request(None, method="GET", path="/v1/models"))
        assert raw.read().json["object"] == "list"


def test_pipelined_requests_are_answered_in_their_order(raw: RawConnection) -> None:
    slow, quick = request(body_for("slow_first_byte")), request(body_for())
    listing = request(None, method="GET", path="/v1/models")
    raw.send(slow + quick + listing + request(body_for(stream=True)) + quick)
    answers = [raw.read() for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 5
    assert answers[0].headers["x-hypereal-provider"] == "slow_first_byte"
    assert answers[1].headers["x-hypereal-provider"] == "ok"
    assert answers[2].json["object"] == "list"
    assert answers[3].is_done
    assert answers[4].text == TEXT
    assert len({answer.request_id for answer in answers}) == 5


def test_a_pipelined_request_behind_a_long_stream_waits_its_turn(raw: RawConnection) -> None:
    raw.send(request(body_for("paced", stream=True)) + request(body_for()))
    first, second = raw.read(), raw.read()
    assert (first.text, first.is_done) == (TEXT, True)
    assert second.text == TEXT


def test_a_request_may_arrive_byte_by_byte(raw: RawConnection) -> None:
    for byte in request(body_for()):
        raw.send(bytes([byte]))
    assert raw.read().text == TEXT


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_chunked_request_body_is_read(raw: RawConnection, size: int) -> None:
    framed = chunked(body_for(), size)
    raw.send(request(framed, "transfer-encoding: chunked", length=False))
    assert raw.read().text == TEXT
    raw.send(request(body_for()))
    assert raw.read().text == TEXT


def test_a_client_that_expects_100_continue_gets_it(raw: RawConnection) -> None:
    body = body_for()
    raw.send(request(None, "expect: 100-continue", f"content-length: {len(body)}"))
    assert raw.read_head()[0] == 100
    raw.send(body)
    assert raw.read().text == TEXT


def test_http_1_0_is_answered_and_closed(raw: RawConnection) -> None:
    raw.send(request(body_for(), version="1.0"))
    answer = raw.read()
    assert (answer.status, answer.text) == (200, TEXT)
    assert raw.is_closed()


def test_a_stream_over_http_1_0_is_whole_and_ends_with_the_connection(server: Server, raw: RawConnection) -> None:
    raw.send(request(body_for(stream=True), version="1.0"))
    answer = raw.read()
    assert raw.is_closed()
    assert "transfer-encoding" not in answer.headers
    assert (answer.text, answer.is_done) == (TEXT, True)
    assert settled(server, answer.request_id)["credits"] == COST_OF_OK


def test_a_client_that_asks_to_close_is_closed(raw: RawConnection) -> None:
    raw.send(request(body_for(), "connection: close"))
    assert raw.read().text == TEXT
    assert raw.is_closed()


def test_a_stream_to_a_client_that_asks_to_close_ends_and_closes(raw: RawConnection) -> None:
    raw.send(request(body_for(stream=True), "connection: close"))
    assert raw.read().is_done
    assert raw.is_closed()


def test_head_and_options_are_answered_without_a_body_or_with_json(raw: RawConnection) -> None:
    raw.send(request(None, method="HEAD", path="/v1/models"))
    answer = raw.read(has_body=False)
    assert answer.status in (200, 405)
    raw.send(request(None, method="OPTIONS"))
    answer = raw.read()
    assert answer.status in (200, 204, 405)
    assert answer.request_id
    raw.send(request(body_for()))
    assert raw.read().text == TEXT


def test_large_headers_pass_and_huge_ones_are_refused(server: Server) -> None:
    with RawConnection(server.port) as connection:
        connection.send(request(body_for(), "x-padding: " + "p" * 8_000))
        assert connection.read().text == TEXT
    with RawConnection(server.port) as connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection.send(request(body_for(), "x-padding: " + "p" * 2_000_000))
        assert connection.read().status in (0, 431)
    assert server.client.chat("ok").text == TEXT


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: minus\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/chat/completions HTTP/9.9\r\n\r\n",
        b"\x00" * 64,
    ],
    ids=["tls", "no version", "bad length", "bad chunk", "bad version", "zeros"],
)
def test_nonsense_is_refused_and_harms_nobody(server: Server, raw: RawConnection, nonsense: bytes) -> None:
    raw.send(nonsense)
    status, _headers = raw.read_head()
    assert status in (0, 400, 401, 505)
    assert server.client.chat("ok").status == 200


def test_what_is_no_http_is_refused_in_the_native_shape(raw: RawConnection) -> None:
    raw.send(b"GET\r\n\r\n")
    answer = raw.read()
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.json["error"] == answer.json["message"] == "Invalid HTTP request received."
    assert answer.json["code"] == "invalid_request"
    assert answer.request_id.startswith("req_")
    assert raw.is_closed()


def test_a_length_and_chunks_together_are_refused(raw: RawConnection) -> None:
    body = body_for()
    raw.send(request(chunked(body, 50), "transfer-encoding: chunked", f"content-length: {len(body)}", length=False))
    status, _headers = raw.read_head()
    assert status in (0, 400)


def test_a_body_over_the_limit_is_refused_before_it_is_sent(raw: RawConnection) -> None:
    raw.send(request(None, "content-length: 999999999999"))
    assert raw.read().status == 413


def test_a_chunked_body_over_the_limit_is_refused(raw: RawConnection) -> None:
    raw.send(request(None, "transfer-encoding: chunked"))
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(BODY_LIMIT_BYTES // 0x10000 + 1):
        raw.send(piece)
    raw.send(b"0\r\n\r\n")
    assert raw.read().status == 413


@pytest.mark.parametrize(
    ("path", "length"),
    [("/api/api-keys", MANAGEMENT_BODY_BYTES + 1), ("/v1/responses/resp_1/unknown", BODY_LIMIT_BYTES + 1)],
)
def test_no_route_of_the_framework_reads_a_body_over_its_limit(raw: RawConnection, path: str, length: int) -> None:
    raw.send(request(None, f"content-length: {length}", path=path))
    answer = raw.read()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    error = answer.json if path.startswith("/api/") else answer.json["error"]
    assert error["code"] == "payload_too_large"
    assert answer.request_id
    assert raw.is_closed()


def test_a_chunked_body_of_a_management_route_is_refused_as_soon_as_it_is_over_the_limit(raw: RawConnection) -> None:
    raw.send(request(None, "transfer-encoding: chunked", "content-type: application/json", path="/api/api-keys"))
    raw.send((b"10000\r\n" + b" " * 0x10000 + b"\r\n") * (MANAGEMENT_BODY_BYTES // 0x10000 + 1))
    answer = raw.read()
    assert (answer.status, answer.json["code"]) == (413, "payload_too_large")
    assert answer.json["message"] == f"The request body is larger than {MANAGEMENT_BODY_BYTES} bytes"
    assert raw.is_closed()


def test_a_client_that_leaves_in_the_middle_of_its_request_harms_nobody(server: Server) -> None:
    with RawConnection(server.port) as connection:
        connection.send(request(body_for())[:-20])
    assert server.client.chat("ok").text == TEXT


def test_a_stream_is_sent_as_it_comes_and_not_gathered(raw: RawConnection) -> None:
    raw.send(request(body_for("paced", stream=True)))
    status, headers = raw.read_head()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert headers["cache-control"].startswith("no-")
    assert len(list(raw.chunks())) >= 10


def test_header_names_in_any_case_are_read(raw: RawConnection) -> None:
    body = body_for()
    lines = [
        f"POST {PATH} HTTP/1.1",
        "HOST: x",
        f"AUTHORIZATION: Bearer {BOOTSTRAP_KEY}",
        f"CONTENT-LENGTH: {len(body)}",
    ]
    raw.send("\r\n".join([*lines, "", ""]).encode() + body)
    assert raw.read().text == TEXT


def test_a_body_needs_no_content_type(raw: RawConnection) -> None:
    raw.send(request(body_for(), "content-type: text/plain"))
    assert raw.read().text == TEXT


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", None])
def test_a_body_of_a_management_route_needs_no_content_type_either(
    raw: RawConnection, content_type: str | None
) -> None:
    lines = () if content_type is None else (f"content-type: {content_type}",)
    raw.send(request(b'{"name": "by curl"}', *lines, path="/api/api-keys"))
    answer = raw.read()
    assert (answer.status, answer.json.get("name")) == (201, "by curl"), answer.body
