"""Chunks that differ in nothing but their text are read without decoding, and never misread."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.wire import CODECS
from hypereal.wire.events import Delta
from hypereal.wire.repeats import PATIENCE, Repeats

BLOCK = 3


def event(document: Any, *, escaped: bool = False) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=escaped).encode() + b"\n\n"


def chunk(text: str, **more: Any) -> bytes:
    return event({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}], **more})


def learned(text: str = "Hello") -> Repeats:
    repeats = Repeats()
    assert repeats.read(chunk(text)) is None
    repeats.learn(chunk(text), Delta(BLOCK, text))
    return repeats


@pytest.mark.parametrize("text", ["", " ", "word", "日本語", "a'b{}[]:,", "x" * 10_000])
def test_a_sibling_is_read_by_its_text_alone(text: str) -> None:
    assert learned().read(chunk(text)) == ([Delta(BLOCK, text)] if text else [])


@pytest.mark.parametrize(
    "other",
    [
        chunk('say "hi"'),
        chunk("line\nbreak"),
        chunk("back\\slash"),
        chunk("Hello", usage={"prompt_tokens": 1}),
        event({"id": "d", "choices": [{"index": 0, "delta": {"content": "Hello"}}]}),
        event({"id": "c", "choices": [{"index": 0, "delta": {"content": "Hello", "role": "assistant"}}]}),
        chunk("Hello").replace(b"Hello", b"\xff"),
        b"data: [DONE]\n\n",
        chunk("")[:-4],
        b"",
    ],
)
def test_what_is_not_quite_alike_is_left_to_the_decoder(other: bytes) -> None:
    assert learned().read(other) is None


def test_a_text_that_stands_elsewhere_too_teaches_nothing() -> None:
    repeats = Repeats()
    repeats.learn(chunk("c"), Delta(BLOCK, "c"))  # the id is the same text
    repeats.learn(chunk(""), Delta(BLOCK, ""))
    assert repeats.read(chunk("Hello")) is None


def test_learning_is_given_up_where_no_two_chunks_are_alike() -> None:
    repeats = Repeats()
    for number in range(PATIENCE):
        repeats.learn(chunk("Hello", number=number), Delta(BLOCK, "Hello"))
    repeats.learn(chunk("Hello"), Delta(BLOCK, "Hello"))
    assert repeats.read(chunk("again")) is None


def test_nothing_is_remembered_beyond_a_block() -> None:
    repeats = learned()
    repeats.forget()
    assert repeats.read(chunk("again")) is None


def read_run(repeats: Repeats, *events: bytes) -> list[bytes]:
    """The texts of a run that begins behind something else; they end where the event after the last of them begins."""
    start = len(b"before")
    texts, end = repeats.read_run(b"before" + b"".join(events), start)
    assert end == start + sum(map(len, events[: len(texts)]))
    return texts


def test_a_run_ends_at_the_first_event_that_is_not_quite_alike() -> None:
    other = chunk("Hello", usage={"prompt_tokens": 1})
    run = [*map(chunk, ["a", "", "日本語"])]
    texts = [b"a", b"", "日本語".encode()]
    assert read_run(learned(), other, *run) == []
    cut = [chunk("cut here")[:size] for size in (-1, -9, chunk("cut here").index(b"here"), 9)]
    for end in ([], [other], [other, chunk("b")], *([part] for part in cut), [b"data: [DONE]\n\n"]):
        assert read_run(learned(), *run, *end) == texts
    assert read_run(learned()) == []


@pytest.mark.parametrize("odd", [chunk('say "hi"'), chunk("back\\slash"), chunk("?").replace(b"?", b"\xff")])
def test_a_run_ends_where_there_is_something_to_look_at_more_closely(odd: bytes) -> None:
    repeats = learned()
    is_text = b"\xff" not in odd
    assert read_run(repeats, chunk("a"), odd, chunk("b")) == ([b"a"] if is_text else [])
    assert (repeats.read(chunk("b")) is not None) is is_text


def test_half_a_character_in_each_of_two_events_is_no_text() -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert read_run(learned(), chunk("?").replace(b"?", first), chunk("?").replace(b"?", second)) == []


@settings(max_examples=100)
@given(texts=st.lists(st.text(max_size=6) | st.sampled_from(['"', "\\", "}}]}", "data: {"]), max_size=10))
def test_a_run_says_what_its_events_say(texts: list[str]) -> None:
    repeats = learned()
    events = [*map(chunk, texts)]
    found = read_run(repeats, *events)
    one_by_one = [repeats.read(event) for event in events]
    known = one_by_one.index(None) if None in one_by_one else len(one_by_one)
    assert [text.decode() for text in found] == texts[: len(found)]
    assert len(found) == known


TEXTS = st.lists(st.text(max_size=8) | st.sampled_from(["usage", '"', "\\", "\n", "Hello"]), max_size=12)


@settings(max_examples=60)
@given(texts=TEXTS)
def test_a_stream_of_chat_chunks_says_what_they_say(texts: list[str]) -> None:
    reader = CODECS["openai_chat"].reader()
    told = [one for text in texts for one in reader.read(chunk(text))]
    assert [one.text for one in told if isinstance(one, Delta)] == [text for text in texts if text]


@settings(max_examples=60)
@given(blocks=st.lists(TEXTS, min_size=1, max_size=3))
def test_a_stream_of_messages_says_what_its_blocks_say(blocks: list[list[str]]) -> None:
    reader = CODECS["anthropic"].reader()
    told = []
    for index, texts in enumerate(blocks):
        start = {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        reader.read(event(start))
        for text in texts:
            delta = {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
            told += reader.read(event(delta))
        reader.read(event({"type": "content_block_stop", "index": index}))
    expected = [(index, text) for index, texts in enumerate(blocks) for text in texts if text]
    assert [(one.index, one.text) for one in told if isinstance(one, Delta)] == expected
