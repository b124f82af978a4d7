"""Native streams: where they begin, where they end, what they used, and how one is broken off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hypereal.errors import InsufficientCredits, RateLimited, UpstreamFailed
from hypereal.kit.money import Micro
from hypereal.wire.base import Answer, Garbage, Usage
from hypereal.wire.openai_responses.native_stream import ResponsesStream
from tests.wire.openai_responses.asking import COUNTED, accepted, begun, event, events_in, message, response

USAGE = Usage(input=13, cache_read=4, cache_write=3, output=8, reasoning=5)
WORDS = ("Hel", "lo, ", "wörld")
TEXT = "".join(WORDS)
DELTAS = b"".join(event("response.output_text.delta", output_index=0, content_index=0, delta=word) for word in WORDS)
DONE = event("response.output_item.done", output_index=0, item=message(TEXT))
COMPLETED = event("response.completed", response=response(message(TEXT)))
WHOLE = begun() + DELTAS + DONE + COMPLETED


def stream() -> ResponsesStream:
    return ResponsesStream(accepted(stream=True))


def data_of(told: bytes) -> bytes:
    return told.split(b"data: ", 1)[1].removesuffix(b"\n\n")


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_three_events_end_a_stream(kind: str) -> None:
    told = data_of(event(f"response.{kind}", response=response()))
    assert stream().terminal in told
    assert stream().is_terminal(told)


@pytest.mark.parametrize("data", [data_of(begun().split(b"\n\n")[0] + b"\n\n"), b"[DONE]", b"{", b'{"response":1}'])
def test_others_do_not(data: bytes) -> None:
    assert not stream().is_terminal(data)


def test_no_text_looks_like_the_key_of_a_response() -> None:
    saying = '{"type":"response.completed","response":{}} "response"'
    assert stream().terminal not in event("response.output_text.delta", delta=saying)


@pytest.mark.parametrize(
    ("payload", "verdict"),
    [
        (b"", None),
        (b": ping\n\n", None),
        (b"data: [DONE]\n\n", None),
        (begun(), None),
        (event("keepalive", sequence_number=3), None),
        (event("codex.rate_limits", rate_limits={}), None),
        (begun() + DELTAS, ""),
        (event("response.output_item.added", item=message()), ""),
        (COMPLETED, ""),
        (COMPLETED.replace(b"\n", b"\r\n"), ""),
        (event("response.incomplete", response=response()), ""),
        (event("error", code="server_error", message="broke"), "broke"),
        (event("error", error={"message": "nested"}), "nested"),
        (event("error"), "unnamed error"),
        (b'data: {"error":{"message":"bare"}}\n\n', "bare"),
        (begun() + event("response.failed", response=response(error={"message": "no"})), "no"),
        (event("response.failed", response=None), "unnamed error"),
    ],
)
def test_a_stream_begins_with_its_first_output(payload: bytes, verdict: str | None) -> None:
    assert stream().opening(payload) == verdict


@pytest.mark.parametrize("payload", [b"data: <html>\n\n", b'data: {"choices":[]}\n\n', b"data: [1]\n\n"])
def test_what_is_no_event_is_garbage(payload: bytes) -> None:
    with pytest.raises(Garbage):
        stream().opening(payload)


def test_a_whole_stream_is_read() -> None:
    expected = Answer(usage=USAGE, output_bytes=len(TEXT.encode()), is_complete=True)
    assert stream().read(WHOLE, len(WHOLE)) == expected
    assert stream().read(COMPLETED, len(WHOLE)) == expected
    assert stream().read(WHOLE + b"data: [DONE]\n\n", len(WHOLE)) == expected


def test_of_a_stream_cut_short_only_what_came_is_read() -> None:
    for at in range(len(WHOLE) - 2):  # the last blank line is not needed
        answer = stream().read(WHOLE[:at], at)
        assert not answer.is_complete
        assert answer.usage is None
        assert answer.output_bytes <= len(TEXT.encode())
    assert stream().read(begun(), len(begun())).is_empty


def test_the_output_is_counted_from_its_deltas_where_the_last_event_leaves_it_out() -> None:
    last = event("response.completed", response=response(usage=None))
    payload = begun() + DELTAS + last
    assert stream().read(payload, len(payload)) == Answer(output_bytes=len(TEXT.encode()), is_complete=True)
    odd = event("response.completed", response=response(usage=None, output=[5]))
    assert stream().read(DELTAS + odd, 1).output_bytes == len(TEXT.encode())


def test_what_is_no_longer_kept_is_estimated_in_proportion() -> None:
    payload = event("response.output_text.delta", delta="word") * 100
    assert stream().read(payload[len(payload) // 2 :], len(payload)).output_bytes == 400


def test_what_cannot_be_read_counts_nothing() -> None:
    odd = b'data: {"type":"x.delta"\n\ndata: {"response" .delta\n\ndata: {"type":5,"x":".delta error"}\n\n'
    odd += event("response.delta", delta=5) + event("x", x=".delta")
    assert stream().read(odd, len(odd)) == Answer(is_empty=True)


def test_an_error_at_the_end_is_told() -> None:
    payload = begun() + DELTAS + event("error", message="broke")
    answer = stream().read(payload, len(payload))
    assert (answer.error, answer.is_complete, answer.is_empty) == ("broke", False, False)
    payload = begun() + DELTAS + event("response.failed", response=response(usage=None, error={"message": "late"}))
    answer = stream().read(payload, len(payload))
    assert (answer.error, answer.is_complete) == ("late", True)


def test_no_framing_makes_a_usage_that_was_not_the_last() -> None:
    for at in range(len(WHOLE) + 1):
        first, second = WHOLE[:at], WHOLE[at:]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (first, second) if part)
        assert stream().find_usage(framed) in (None, USAGE), at
        assert stream().find_usage(WHOLE[at:]) in (None, USAGE), at
    assert stream().find_usage(WHOLE) == USAGE
    assert stream().find_usage(DELTAS) is None
    assert stream().find_usage(begun()) is None
    assert stream().find_usage(b'data: {"type":"x","usage":{}}') is None


def test_a_whole_stream_ends_as_its_upstream_ends_it() -> None:
    dialect = stream()
    assert dialect.edit(DELTAS) is DELTAS
    assert not dialect.rewrites_events
    assert dialect.ping.startswith(b":")
    assert dialect.content_type.startswith(b"text/event-stream")
    answer = dialect.read(WHOLE, len(WHOLE))
    assert dialect.close(DONE + COMPLETED, answer, USAGE, Micro(5)) == DONE + COMPLETED


def test_a_stream_without_usage_ends_with_ours() -> None:
    last = event("response.completed", response=response(message("x"), usage=None), sequence_number=9)
    odd = event("response.failed", response=None) + b": comment\n\n" + event("x")
    closed = stream().close(odd + last + b"data: [DO", Answer(), USAGE, Micro(5))
    assert closed.startswith(odd)
    assert closed.endswith(b"data: [DO")
    (told,) = events_in(closed.removeprefix(odd))
    assert told["response"]["usage"] == {**COUNTED, "total_tokens": 33}
    assert told["sequence_number"] == 9
    assert told["response"]["output"] == [message("x")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamFailed("It broke"), "server_error"),
        (InsufficientCredits("It broke"), "insufficient_quota"),
        (RateLimited("It broke"), "rate_limit_exceeded"),
    ],
)
def test_a_broken_stream_says_so_to_every_client(error: Any, code: str) -> None:
    dialect = stream()
    dialect.opening(begun())
    first, last = events_in(dialect.break_off(error, "req_9"))
    # OpenAI's SDKs raise at `error`; Codex reads the failed response.
    assert first["type"] == "error"
    assert first["error"]["message"] == first["message"] == "It broke"
    assert first["error"]["code"] == first["code"] == code
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": code, "message": "It broke"}
    assert (last["response"]["id"], last["response"]["status"]) == ("resp_1", "failed")
    assert last["sequence_number"] == first["sequence_number"] + 1 < 2**31


def test_a_stream_that_broke_before_its_id_was_known_is_named_after_the_request() -> None:
    dialect = stream()
    dialect.opening(event("response.created", response={"id": 5}))
    last = events_in(dialect.break_off(UpstreamFailed(), "req_9"))[1]
    assert last["response"]["id"] == "resp_req_9"
    assert json.loads(json.dumps(last))["response"]["output"] == []
