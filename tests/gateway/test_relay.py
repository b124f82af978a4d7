"""The life of a relay: beginning, passing on, ending, and everything that can come between."""

from __future__ import annotations

import json

import pytest

from hypereal.gateway.relay import GONE, LINGER_S, PING_AFTER_S, Streamed, Whole
from hypereal.kit.connection import ConnectionBroken
from hypereal.kit.sse import COMMENT
from hypereal.providers.base import Failure, FailureKind
from hypereal.wire.openai_chat.stream import ChatStream
from tests.gateway.wiring import CHUNKED, LAST, UNTIL_CLOSED, UPSTREAM, Scene, framed, whole_relay
from tests.wire.streams import DONE_EVENT, TRUE_USAGE, chunk, compact, event, final

HI = event(compact(chunk("Hi")))
MORE = event(compact(chunk(" there")))
USAGE = event(compact(final()))
ROLE = event(compact({"choices": []}))
COMPLETE = Streamed(ending="complete")
EITHER_WAY = pytest.mark.parametrize("takes_chunks", [True, False])


def failure_of(scene: Scene) -> Failure:
    assert isinstance(scene.outcome, Failure)
    assert scene.commits == 0
    assert scene.client.writes == []
    assert not scene.watch.watches(scene.relay)
    return scene.outcome


@EITHER_WAY
async def test_nothing_is_committed_before_the_first_real_event(takes_chunks: bool) -> None:
    scene = Scene(takes_chunks=takes_chunks)
    early = (framed(b": hello\n\n"), framed(ROLE), framed(HI[:-2]))
    for read in early:
        scene.read(read)
        assert (scene.commits, scene.client.writes) == (0, [])
    scene.read(framed(HI[-2:]))
    assert scene.commits == 1
    assert scene.client.payload == b": hello\n\n" + ROLE + HI


async def test_whole_events_are_forwarded_in_the_upstreams_own_chunks() -> None:
    scene = Scene()
    reads = [framed(HI), framed(MORE, MORE), framed(MORE + MORE)]
    scene.read(*reads)
    assert scene.client.writes == reads
    assert scene.outcome is None


async def test_from_the_first_odd_cut_on_whole_events_are_sent() -> None:
    scene = Scene()
    odd = framed(MORE)
    scene.read(framed(HI), odd[:20], odd[20:], framed(MORE))
    assert scene.client.writes == [framed(HI), MORE, MORE]


@EITHER_WAY
async def test_the_terminal_event_is_held_back_until_the_bill_is_settled(takes_chunks: bool) -> None:
    scene = Scene(takes_chunks=takes_chunks)
    scene.read(framed(HI), framed(USAGE) + framed(DONE_EVENT) + LAST)
    assert scene.outcome == COMPLETE
    assert b"[DONE]" not in scene.client.payload
    assert scene.all_seen == HI + USAGE
    assert scene.relay.read().usage == TRUE_USAGE


@EITHER_WAY
async def test_nothing_after_the_terminal_event_reaches_the_client(takes_chunks: bool) -> None:
    scene = Scene(takes_chunks=takes_chunks)
    scene.read(framed(HI), framed(DONE_EVENT))
    before = list(scene.client.writes)
    scene.read(framed(MORE), framed(b"event: bye\n"), LAST)
    assert scene.outcome == COMPLETE
    assert scene.client.writes == before


async def test_rest_after_the_terminal_event_in_the_same_read_is_dropped() -> None:
    scene = Scene(takes_chunks=False)
    scene.read(framed(HI + DONE_EVENT + b"event: bye\n"), LAST)
    assert scene.client.payload == HI


async def test_an_upstream_that_does_not_end_its_body_is_given_up() -> None:
    scene = Scene()
    scene.read(framed(HI), framed(DONE_EVENT))
    assert scene.outcome == COMPLETE
    assert not scene.transport.is_aborted
    scene.watch.pass_time(LINGER_S + 1)
    assert scene.transport.is_aborted
    assert not scene.watch.watches(scene.relay)


@EITHER_WAY
async def test_a_connection_whose_body_ended_can_be_used_again(takes_chunks: bool) -> None:
    scene = Scene(takes_chunks=takes_chunks)
    scene.read(framed(HI), framed(DONE_EVENT))
    assert scene.pool.take() is None
    scene.read(LAST)
    assert scene.pool.take() is scene.connection
    assert not scene.watch.watches(scene.relay)


async def test_a_paused_upstream_is_read_on_once_its_answer_is_whole() -> None:
    scene = Scene()
    scene.connection.pause_reading()
    scene.read(framed(HI), framed(DONE_EVENT))
    assert scene.transport.is_reading


async def test_a_client_that_leaves_after_the_end_disturbs_nobody() -> None:
    for drain_s in (None, 30.0):
        scene = Scene(drain_s=drain_s)
        scene.read(framed(HI), framed(DONE_EVENT) + LAST)
        assert scene.pool.take() is scene.connection
        scene.relay.gone()
        assert not scene.transport.is_aborted
        assert not scene.watch.watches(scene.relay)


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (event(b'{"error": {"message": "overloaded"}}'), FailureKind.SERVER_ERROR, "overloaded"),
        (event(b"<html>"), FailureKind.GARBAGE, "malformed"),
        (event(b'{"choices": 7}'), FailureKind.GARBAGE, "malformed"),
        (DONE_EVENT, FailureKind.EMPTY, "empty"),
        (b"", FailureKind.EMPTY, "empty"),
        (b": hello\n\n" + ROLE, FailureKind.EMPTY, "empty"),
    ],
)
@EITHER_WAY
async def test_what_is_no_beginning_fails_the_attempt(
    data: bytes, kind: FailureKind, says: str, *, takes_chunks: bool
) -> None:
    body = framed(data) + LAST
    for at in range(len(body)):
        scene = Scene(takes_chunks=takes_chunks)
        scene.read(body[:at], body[at:])
        failure = failure_of(scene)
        assert (failure.kind, failure.retry_same, failure.try_next) == (kind, True, True), at
        assert says in failure.message


async def test_framing_does_not_hide_an_error_or_a_beginning() -> None:
    error = event(b'{"error": {"message": "overloaded"}}')
    for at in range(1, len(error)):
        scene = Scene()
        scene.read(framed(error[:at], error[at:]) + LAST)
        assert failure_of(scene).kind is FailureKind.SERVER_ERROR, at
    for at in range(1, len(HI)):
        scene = Scene()
        scene.read(framed(HI[:at], HI[at:]))
        assert scene.commits == 1, at


async def test_a_header_that_speaks_of_chunks_makes_no_chunks() -> None:
    scene = Scene(head=UNTIL_CLOSED.replace(b"\r\n\r\n", b"\r\nx-mode: chunked\r\n\r\n"))
    scene.read(HI + USAGE + DONE_EVENT)
    scene.connection.connection_lost(None)
    assert scene.outcome == COMPLETE
    assert scene.relay.read().usage == TRUE_USAGE


@EITHER_WAY
async def test_an_event_that_is_cut_off_breaks_the_stream(takes_chunks: bool) -> None:
    scene = Scene(takes_chunks=takes_chunks)
    scene.read(framed(HI), framed(b'data: {"choices": [\n\n'), framed(MORE))
    assert scene.outcome == Streamed(ending="broken", detail="malformed event")
    assert scene.client.payload == HI
    assert scene.transport.is_aborted


@EITHER_WAY
async def test_a_lost_connection_breaks_a_stream_that_had_begun(takes_chunks: bool) -> None:
    scene = Scene(takes_chunks=takes_chunks)
    scene.read(framed(HI), framed(MORE)[:-9])
    scene.connection.connection_lost(ConnectionResetError("reset"))
    assert scene.outcome == Streamed(ending="broken", detail="reset")
    assert scene.client.payload == HI
    assert not scene.watch.watches(scene.relay)
    answer = scene.relay.read()
    assert (answer.usage, answer.is_complete) == (None, False)
    assert answer.output_bytes >= len("Hi")


@EITHER_WAY
async def test_a_connection_lost_before_the_beginning_is_a_failed_attempt(takes_chunks: bool) -> None:
    scene = Scene(takes_chunks=takes_chunks)
    scene.read(framed(ROLE))
    scene.connection.connection_lost(None)
    failure = failure_of(scene)
    assert (failure.kind, failure.retry_same) == (FailureKind.RESET, True)


async def test_bytes_that_are_no_http_break_the_stream() -> None:
    scene = Scene()
    scene.read(framed(HI), b"zz\r\n")
    assert isinstance(scene.outcome, Streamed)
    assert scene.outcome.ending == "broken"
    assert scene.client.payload == HI


async def test_a_stream_without_a_terminal_event_ends_but_is_not_whole() -> None:
    for reads in ((framed(HI) + LAST,), (framed(HI), framed(MORE) + LAST), (framed(HI), LAST)):
        scene = Scene()
        scene.read(*reads)
        assert scene.outcome == COMPLETE
        assert not scene.relay.saw_terminal
        assert not scene.relay.read().is_complete


async def test_text_that_looks_like_the_terminal_event_is_not_taken_for_it() -> None:
    scene = Scene()
    last = event(compact(chunk("[DONE]", usage={"prompt_tokens": 1, "completion_tokens": 1})))
    scene.read(framed(HI), framed(last) + LAST)
    assert scene.outcome == COMPLETE
    assert not scene.relay.saw_terminal
    assert not scene.relay.read().is_complete


async def test_no_answer_in_time_is_a_failed_attempt() -> None:
    scene = Scene(head=None)
    scene.watch.pass_time(UPSTREAM.first_byte_timeout_s - 2)
    assert scene.outcome is None
    scene.watch.pass_time(2)
    failure = failure_of(scene)
    assert (failure.kind, failure.status, failure.retry_same) == (FailureKind.TIMEOUT, 504, False)
    assert scene.transport.is_aborted


@EITHER_WAY
async def test_silence_is_pinged_through_then_ends_the_stream(takes_chunks: bool) -> None:
    scene = Scene(takes_chunks=takes_chunks)
    scene.read(framed(HI))
    scene.watch.pass_time(PING_AFTER_S)
    assert scene.client.payload == HI + COMMENT
    scene.watch.pass_time(UPSTREAM.silence_timeout_s - PING_AFTER_S)
    assert scene.outcome == Streamed(ending="stalled", detail="silent for 60 s")
    assert scene.client.payload == HI + COMMENT * 3
    assert scene.transport.is_aborted
    assert not scene.watch.watches(scene.relay)


async def test_a_stream_that_speaks_is_not_pinged() -> None:
    scene = Scene()
    scene.read(framed(HI))
    for _ in range(10):
        scene.watch.pass_time(PING_AFTER_S - 1)
        scene.read(framed(MORE))
    assert COMMENT not in scene.client.payload
    assert scene.outcome is None


async def test_a_ping_stands_between_two_events_wherever_reads_are_cut() -> None:
    data = framed(HI) + framed(MORE) + framed(MORE)
    for at in range(len(framed(HI)), len(data)):
        scene = Scene()
        scene.read(data[:at])
        scene.watch.pass_time(PING_AFTER_S + 1)
        assert scene.client.payload.endswith(COMMENT), at
        scene.read(data[at:], framed(DONE_EVENT) + LAST)
        assert scene.outcome == COMPLETE
        seen = scene.client.payload + scene.relay.edited_tail()
        assert seen.count(COMMENT) == 1
        assert seen.replace(COMMENT, b"") == HI + MORE + MORE, at


@pytest.mark.parametrize("comes", [b"", framed(ROLE)], ids=["no word", "no word of the answer"])
async def test_a_client_is_reassured_while_its_stream_is_slow_to_begin(comes: bytes) -> None:
    scene = Scene()
    scene.read(comes)
    scene.watch.pass_time(PING_AFTER_S - 1)
    assert scene.pings == 0
    scene.watch.pass_time(1)
    assert (scene.pings, scene.commits) == (1, 0)
    scene.read(framed(HI))
    scene.watch.pass_time(PING_AFTER_S - 1)
    assert (scene.pings, scene.commits) == (1, 1)
    assert scene.client.payload.endswith(HI)


async def test_silence_counts_from_before_the_attempt() -> None:
    scene = Scene(quiet_s=PING_AFTER_S - 2)
    scene.watch.pass_time(2)
    assert scene.pings == 1
    scene.watch.pass_time(PING_AFTER_S - 1)
    assert scene.pings == 1


async def test_reassuring_puts_no_end_off() -> None:
    scene = Scene(head=None)
    scene.watch.pass_time(UPSTREAM.first_byte_timeout_s)
    assert scene.pings == 1
    assert failure_of(scene).kind is FailureKind.TIMEOUT


async def test_nobody_is_reassured_who_has_left() -> None:
    scene = Scene(drain_s=PING_AFTER_S + 5)
    scene.relay.gone()
    scene.watch.pass_time(PING_AFTER_S + 4)
    assert scene.outcome is None
    scene.watch.pass_time(1)
    assert scene.pings == 0
    assert failure_of(scene).kind is FailureKind.TIMEOUT


async def test_a_short_patience_comes_before_the_first_ping() -> None:
    scene = Scene()
    scene.relay._silence_s = 5.0
    scene.read(framed(HI))
    scene.watch.pass_time(6)
    assert scene.outcome == Streamed(ending="stalled", detail="silent for 5 s")
    assert scene.client.payload == HI


async def test_an_upstream_that_waits_for_a_slow_client_is_not_silent() -> None:
    scene = Scene()
    scene.read(framed(HI))
    scene.connection.pause_reading()
    scene.watch.pass_time(10 * UPSTREAM.silence_timeout_s)
    assert scene.outcome is None
    assert scene.client.payload == HI
    scene.connection.resume_reading()
    scene.watch.pass_time(UPSTREAM.silence_timeout_s + PING_AFTER_S)
    assert isinstance(scene.outcome, Streamed)
    assert scene.outcome.ending == "stalled"


async def test_a_client_that_leaves_ends_the_upstreams_work() -> None:
    scene = Scene()
    scene.read(framed(HI))
    scene.relay.gone()
    assert scene.outcome == Streamed(ending="gone")
    assert scene.transport.is_aborted
    scene = Scene()
    scene.relay.gone()
    assert failure_of(scene) is GONE
    assert scene.transport.is_aborted


@EITHER_WAY
async def test_a_model_that_drains_is_read_to_its_end(takes_chunks: bool) -> None:
    scene = Scene(drain_s=20.0, takes_chunks=takes_chunks)
    scene.read(framed(HI))
    scene.connection.pause_reading()
    scene.relay.gone()
    assert scene.transport.is_reading
    before = list(scene.client.writes)
    scene.read(framed(MORE), framed(MORE)[:-4], framed(MORE)[-4:], framed(USAGE + DONE_EVENT) + LAST)
    assert scene.outcome == COMPLETE
    assert scene.relay.read().usage == TRUE_USAGE
    assert scene.client.writes == before


@pytest.mark.parametrize("drain_s", [5.0, 40.0])
async def test_an_answer_that_begins_while_it_is_drained_gets_no_other_time(drain_s: float) -> None:
    scene = Scene(drain_s=drain_s)
    scene.relay.gone()
    scene.read(framed(HI))
    scene.watch.pass_time(drain_s - 1)
    assert (scene.commits, scene.outcome) == (1, None)
    scene.watch.pass_time(1)
    assert scene.outcome == Streamed(ending="gone", detail="drained for as long as allowed")


async def test_draining_has_its_own_end() -> None:
    scene = Scene(drain_s=20.0)
    scene.read(framed(HI))
    scene.relay.gone()
    scene.watch.pass_time(19)
    assert scene.outcome is None
    scene.watch.pass_time(1)
    assert scene.outcome == Streamed(ending="gone", detail="drained for as long as allowed")
    assert scene.transport.is_aborted
    assert scene.client.payload == HI


async def test_a_format_that_adds_to_its_stream_edits_each_event() -> None:
    scene = Scene(dialect=ChatStream(adds_credits=True))
    assert not scene.relay.wants_chunks
    data = framed(HI + USAGE, DONE_EVENT) + LAST
    for at in range(1, len(data)):
        scene = Scene(dialect=ChatStream(adds_credits=True))
        scene.read(data[:at], data[at:])
        assert scene.outcome == COMPLETE
        assert scene.client.payload == HI
        assert scene.relay.read().usage == TRUE_USAGE


async def test_a_json_answer_to_a_streaming_request_is_judged_by_others() -> None:
    body = json.dumps({"error": "busy"}).encode()
    scene = Scene(head=None)
    scene.read(b"HTTP/1.1 503 Busy\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    assert isinstance(scene.outcome, Whole)
    assert (scene.outcome.status, scene.outcome.body) == (503, body)


async def test_a_whole_answer_is_handed_over() -> None:
    relay, transport, watch = whole_relay()
    relay._connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    outcome = relay.outcome.result()
    assert isinstance(outcome, Whole)
    assert (outcome.status, outcome.body) == (200, b"{}")
    assert not watch.watches(relay)
    relay.gone()
    assert not transport.is_aborted


async def test_what_ends_a_whole_answer_too_soon_is_said_once() -> None:
    relay, transport, watch = whole_relay()
    watch.pass_time(UPSTREAM.first_byte_timeout_s)
    relay.lost(ConnectionBroken("late"))
    outcome = relay.outcome.result()
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.TIMEOUT
    assert transport.is_aborted


async def test_a_client_that_leaves_before_a_whole_answer_ends_it_unless_it_drains() -> None:
    relay, transport, _ = whole_relay()
    relay.gone()
    assert relay.outcome.result() is GONE
    assert transport.is_aborted
    relay, transport, _ = whole_relay(drains=True)
    relay.gone()
    assert not relay.outcome.done()
    assert not transport.is_aborted


async def test_a_whole_answer_knows_nothing_of_streams() -> None:
    relay, _, _ = whole_relay()
    relay.opened(CHUNKED)
    relay.chunks(b"", True)
    relay.payload(b"")
    relay.ended()
    assert not relay.outcome.done()
