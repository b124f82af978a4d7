"""Failing on demand: every row of the table, on a real socket."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hypereal.sandbox.faults import DIRECTIVES, FaultMemory, Faults, directive_table, read_faults, strip_directives
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.server import serving

DONE = "data: [DONE]"


async def post(http: httpx2.AsyncClient, directives: str, *, stream: bool = False, **body: Any) -> httpx2.Response:
    content = f"Count to 9 [[sandbox:{directives}]]"
    body = {"model": "m", "messages": [{"role": "user", "content": content}], "stream": stream, **body}
    if stream:
        body["stream_options"] = {"include_usage": True}
    return await http.post("/v1/chat/completions", json=body)


async def exchange(url: str, directives: str, *, stream: bool) -> bytes:
    """All bytes of an answer as they come; the server closes, or the answer is framed to its end."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    content = f"Count to 9 [[sandbox:{directives}]]"
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    try:
        return await reader.read()
    finally:
        writer.close()


def test_the_documentation_carries_the_table_of_the_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "sandbox.md"
    assert directive_table() in page.read_text(encoding="utf-8")


def test_every_row_has_a_field_and_every_field_a_row() -> None:
    assert {row.field for row in DIRECTIVES} == {field.name for field in fields(Faults)}


def test_headers_win_over_messages_and_directives_are_taken_out() -> None:
    text = "a [[sandbox:status=500; cut]] b [[sandbox:crlf]]"
    faults = read_faults(text, [("x-sandbox-status", "503"), ("accept", "*/*")])
    assert faults == Faults(status=503, cut=50, crlf=True)
    assert strip_directives("hello [[sandbox:crlf]]") == "hello"


@pytest.mark.parametrize("text", ["nothing=1", "status=99", "status=x", "cut=100", "garbage=mud", "stall=nan", "code="])
def test_a_wrong_directive_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_faults(f"[[sandbox:{text}]]", [])


def test_counted_faults_end_and_their_memory_is_bounded() -> None:
    memory = FaultMemory(capacity=10)
    once = Faults(status=500, once="a", crlf=True)
    assert memory.admit(once) is once
    assert memory.admit(once) == Faults(crlf=True)
    twice = Faults(status=500, times=2)
    assert [memory.admit(twice).status for _ in range(3)] == [500, 500, None]
    for number in range(100):
        memory.admit(Faults(once=str(number)))
    assert len(memory) == 10


async def test_status_code_and_retry_after(http: httpx2.AsyncClient) -> None:
    answer = await post(http, "status=429, retry-after=7, code=insufficient_quota", stream=True)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert answer.json()["error"]["code"] == "insufficient_quota"
    assert (await post(http, "status=503, once=x")).status_code == 503
    assert (await post(http, "status=503, once=x")).status_code == 200


async def test_directives_work_for_every_kind_and_by_header(http: httpx2.AsyncClient) -> None:
    trigger = "[[sandbox:status=418]]"
    assert (await http.post("/v1/completions", json={"model": "m", "prompt": trigger})).status_code == 418
    assert (await http.post("/v1/embeddings", json={"model": "m", "input": ["x", trigger]})).status_code == 418
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    by_header = await http.post("/v1/chat/completions", json=body, headers={"X-Sandbox-Status": "500"})
    assert by_header.status_code == 500


async def test_a_message_may_be_nothing_but_a_directive(http: httpx2.AsyncClient) -> None:
    for text, status in (
        ("[[sandbox:status=418]]", 418),
        ("<system-reminder>[[sandbox:status=418]]</system-reminder>", 200),
    ):
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": text}]}
        assert (await http.post("/v1/chat/completions", json=body)).status_code == status


async def test_html(http: httpx2.AsyncClient) -> None:
    answer = await post(http, "html")
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "text/html"
    assert "502 Bad Gateway" in answer.text
    assert (await post(http, "html, status=200")).status_code == 200


async def test_reset_comes_before_any_byte(url: str) -> None:
    with pytest.raises(ConnectionResetError):
        await exchange(url, "reset", stream=True)


@pytest.mark.parametrize("stream", [True, False])
async def test_cut_ends_the_connection_early(http: httpx2.AsyncClient, url: str, stream: bool) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await post(http, "cut=40", stream=stream)
    raw = await exchange(url, "cut=40", stream=stream)
    assert raw.startswith(b"HTTP/1.1 200 ")
    assert b"[DONE]" not in raw
    assert not raw.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("stream", [True, False])
async def test_garbage(http: httpx2.AsyncClient, url: str, stream: bool) -> None:
    answer = await post(http, "garbage", stream=stream)
    broken = [line for line in answer.text.splitlines() if line.startswith("data: ") and line != DONE]
    texts = [line.removeprefix("data: ") for line in broken] if stream else [answer.text]
    assert sum(not _is_json(text) for text in texts) == 1
    assert b"\r\nZZ-this-is-not-a-chunk-size" in await exchange(url, "garbage=chunk", stream=stream)
    with pytest.raises(httpx2.RemoteProtocolError):
        await post(http, "garbage=chunk", stream=stream)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


async def test_empty_answers(http: httpx2.AsyncClient) -> None:
    assert (await post(http, "empty")).content == b""
    assert (await post(http, "empty=choices")).json()["choices"] == []
    assert (await post(http, "empty", stream=True)).content == b""
    events = (await post(http, "empty=choices", stream=True)).text.strip().split("\n\n")
    assert json.loads(events[0].removeprefix("data: "))["choices"] == []
    assert events[1:] == [DONE]


async def test_an_error_event_ends_a_stream(http: httpx2.AsyncClient) -> None:
    answer = await post(http, "error-event", stream=True)
    events = answer.text.strip().split("\n\n")
    assert answer.status_code == 200
    assert json.loads(events[-1].removeprefix("data: "))["error"]["type"] == "server_error"
    assert '"content":"1"' in answer.text
    assert "error" in (await post(http, "error-event")).json()


async def test_no_done_and_no_usage(http: httpx2.AsyncClient) -> None:
    assert DONE not in (await post(http, "no-done", stream=True)).text
    stream = (await post(http, "no-usage", stream=True)).text
    assert "prompt_tokens" not in stream
    assert stream.endswith(DONE + "\n\n")
    assert "usage" not in (await post(http, "no-usage")).json()


async def test_shapes_of_a_stream(http: httpx2.AsyncClient) -> None:
    plain = (await post(http, "split=4096", stream=True)).text
    commented = (await post(http, "comments=2", stream=True)).text
    assert commented.startswith(": keep-alive\n\n: keep-alive\n\ndata: ")
    crlf = (await post(http, "crlf, comments=1", stream=True)).content
    assert crlf.count(b"\n") == crlf.count(b"\r\n")
    assert crlf.endswith(b"data: [DONE]\r\n\r\n")
    assert _contents((await post(http, "split=3", stream=True)).text) == _contents(plain) == "1, 2, 3, 4, 5, 6, 7, 8, 9"


def _contents(text: str) -> str:
    events = [json.loads(event.removeprefix("data: ")) for event in text.split("\n\n")[:-2]]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


async def test_split_cuts_through_events(url: str) -> None:
    raw = await exchange(url, "split=5", stream=True)
    assert raw.count(b"\r\n5\r\n") > 100


async def test_a_stream_with_a_content_length(http: httpx2.AsyncClient) -> None:
    answer = await post(http, "content-length", stream=True)
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "transfer-encoding" not in answer.headers
    assert answer.text.endswith(DONE + "\n\n")


@pytest.mark.parametrize("stream", [True, False])
async def test_gzip_is_sent_whoever_asks(url: str, http: httpx2.AsyncClient, stream: bool) -> None:
    answer = await post(http, "gzip", stream=stream)
    assert answer.headers["content-encoding"] == "gzip"
    assert "1, 2, 3" in (_contents(answer.text) if stream else answer.text)
    raw = await exchange(url, "gzip", stream=False)
    assert b"1, 2, 3" in gzip.decompress(raw.partition(b"\r\n\r\n")[2])


async def test_tokens_and_big_answers(http: httpx2.AsyncClient) -> None:
    assert (await post(http, "tokens=700")).json()["usage"]["completion_tokens"] == 700
    assert (await post(http, "tokens=700", max_tokens=9)).json()["usage"]["completion_tokens"] == 9
    events = (await post(http, "big=300000", stream=True)).text.split("\n\n")
    assert max(map(len, events)) > 300_000
    assert len(events) < 8


@pytest.mark.parametrize("stream", [True, False])
async def test_a_stalled_answer_is_whole_in_the_end(http: httpx2.AsyncClient, stream: bool) -> None:
    answer = await post(http, "stall-before=0.05, stall=0.05, slow=1000", stream=stream)
    assert answer.status_code == 200
    assert (answer.text.endswith(DONE + "\n\n")) if stream else answer.json()["choices"]


@pytest.mark.parametrize("directives", ["stall-before=3600", "stall=3600", "slow=0.01"])
async def test_a_client_that_leaves_a_stalled_stream_is_let_go(directives: str) -> None:
    async with serving() as url:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await exchange(url, directives, stream=True)
        async with asyncio.timeout(5):
            while any("run_asgi" in str(task.get_coro()) for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)
