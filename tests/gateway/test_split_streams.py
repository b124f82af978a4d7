"""A stream is the same however it is framed and wherever its reads are cut: what the client sees, what it used."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from hypereal.gateway.relay import KEPT_BYTES, Streamed
from tests.gateway.wiring import CHUNKED, LAST, UNTIL_CLOSED, ManualWatch, Scene, framed
from tests.wire.streams import CORPUS, DONE_EVENT, Stream, chunk, compact, event

EACH_STREAM = pytest.mark.parametrize("stream", CORPUS, ids=lambda stream: stream.name)
COMPLETE = Streamed(ending="complete")


def check(scene: Scene, stream: Stream, note: object) -> None:
    """The relay ended well, lost nothing, and knows the truth."""
    assert scene.outcome == COMPLETE, note
    assert scene.commits == 1, note
    answer = scene.relay.read()
    assert answer.usage == stream.usage, note
    assert answer.is_complete, note
    if stream.usage is None:
        assert answer.output_bytes == stream.text_bytes, note
    assert scene.all_seen == stream.seen, note


def relayed(stream: Stream, reads: tuple[bytes, ...], watch: ManualWatch, note: object) -> None:
    scene = Scene(watch=watch)
    scene.read(*reads)
    check(scene, stream, note)
    assert scene.connection in scene.pool._idle, note


@EACH_STREAM
async def test_reads_may_be_cut_at_any_byte(stream: Stream) -> None:
    watch, data = ManualWatch(), framed(*stream.events) + LAST
    for at in range(1, len(data)):
        relayed(stream, (data[:at], data[at:]), watch, at)


@EACH_STREAM
async def test_chunks_may_be_cut_at_any_byte(stream: Stream) -> None:
    watch, payload = ManualWatch(), stream.payload
    for at in range(len(payload) + 1):
        parts = (payload[:at], payload[at:])
        relayed(stream, (framed(*parts) + LAST,), watch, at)
        relayed(stream, (framed(*parts), LAST), watch, at)
        relayed(stream, (*map(framed, filter(None, parts)), LAST), watch, at)


@EACH_STREAM
async def test_chunks_may_be_cut_at_any_byte_after_whole_events(stream: Stream) -> None:
    """The usual stream, with one odd chunk near its end: the relay has forwarded chunks by then."""
    watch, events = ManualWatch(), stream.events
    for number, whole in enumerate(events):
        for at in range(1, len(whole)):
            before, after = framed(*events[:number]), framed(*events[number + 1 :])
            parts = framed(whole[:at]), framed(whole[at:])
            relayed(stream, (before, *parts, after, LAST) if before else (*parts, after, LAST), watch, (number, at))
            relayed(stream, (before + parts[0], parts[1] + after + LAST), watch, (number, at))
            relayed(stream, (before + parts[0] + parts[1] + after, LAST), watch, (number, at))


@EACH_STREAM
async def test_each_byte_may_be_a_read_of_its_own(stream: Stream) -> None:
    watch = ManualWatch()
    data = framed(*stream.events) + LAST
    relayed(stream, tuple(bytes([byte]) for byte in data), watch, "bytes")
    data = b"".join(framed(bytes([byte])) for byte in stream.payload) + LAST
    relayed(stream, (data,), watch, "chunks")


def random_cuts(stream: Stream, seed: int) -> Iterator[bytes]:
    """The stream in random chunks, in random reads."""
    chance = random.Random(seed)
    payload = stream.payload
    places = sorted(chance.sample(range(1, len(payload)), chance.randint(0, 12)))
    data = framed(*(payload[a:b] for a, b in itertools.pairwise([0, *places, len(payload)]))) + LAST
    places = sorted(chance.sample(range(1, len(data)), chance.randint(0, 12)))
    yield from (data[a:b] for a, b in itertools.pairwise([0, *places, len(data)]))


@EACH_STREAM
async def test_chunks_and_reads_may_be_cut_anywhere_at_once(stream: Stream) -> None:
    watch = ManualWatch()
    for seed in range(150):
        relayed(stream, tuple(random_cuts(stream, seed)), watch, seed)


@EACH_STREAM
async def test_a_stream_without_chunks_may_be_cut_at_any_byte(stream: Stream) -> None:
    watch, payload = ManualWatch(), stream.payload
    for at in range(1, len(payload)):
        scene = Scene(watch=watch, head=None)
        scene.read(UNTIL_CLOSED + payload[:at], payload[at:])
        scene.connection.connection_lost(None)
        check(scene, stream, at)


@EACH_STREAM
async def test_a_client_that_takes_no_chunks_sees_the_same(stream: Stream) -> None:
    watch, data = ManualWatch(), framed(*stream.events) + LAST
    for at in range(1, len(data), 7):
        scene = Scene(watch=watch, takes_chunks=False)
        scene.read(data[:at], data[at:])
        check(scene, stream, at)


@EACH_STREAM
async def test_a_last_event_without_its_blank_line_counts(stream: Stream) -> None:
    ended = stream.payload.rstrip()
    for reads in ((framed(ended) + LAST,), (framed(ended), LAST), (framed(ended[:-3]), framed(ended[-3:]) + LAST)):
        scene = Scene()
        scene.read(*reads)
        check(scene, stream, reads)


@pytest.mark.parametrize("per_read", [1, 7, 400])
@pytest.mark.parametrize("takes_chunks", [True, False])
async def test_output_beyond_what_is_kept_is_estimated_from_its_size(per_read: int, takes_chunks: bool) -> None:
    one = event(compact(chunk("four")))
    count = 3 * KEPT_BYTES // len(one)
    scene = Scene(takes_chunks=takes_chunks)
    for start in range(0, count, per_read):
        scene.read(framed(*[one] * min(per_read, count - start)))
    scene.read(framed(DONE_EVENT) + LAST)
    answer = scene.relay.read()
    assert answer.usage is None
    assert abs(answer.output_bytes - 4 * count) <= 0.01 * 4 * count
    assert scene.relay.tokens_so_far() >= count // 4


async def test_the_head_may_come_with_the_body_or_byte_by_byte() -> None:
    stream = CORPUS[0]
    data = CHUNKED + framed(*stream.events) + LAST
    for reads in ((data,), tuple(bytes([byte]) for byte in data)):
        scene = Scene(head=None)
        scene.read(*reads)
        check(scene, stream, len(reads))
