"""Server-sent events: whole events, their data, line ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.sse import COMMENT, data_event, event_data, read_data, split_events


@pytest.mark.parametrize(
    ("payload", "events", "rest"),
    [
        (b"", [], b""),
        (b"data: a\n\n", [b"data: a\n\n"], b""),
        (b"data: a\n\ndata: b\n\n", [b"data: a\n\n", b"data: b\n\n"], b""),
        (b"data: a\n\ndata: b", [b"data: a\n\n"], b"data: b"),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"data: a\n\n", b"data: b\n\n"], b""),
        (b"data: a\n\n\n\ndata: b\n\n", [b"data: a\n\n", b"data: b\n\n"], b""),
        (b"\n\n\n\n", [], b""),
        (COMMENT, [COMMENT], b""),
    ],
)
def test_events_are_cut_at_blank_lines(payload: bytes, events: list[bytes], rest: bytes) -> None:
    assert split_events(payload) == (events, rest)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data: \n\n", b""),
        (b"data:\n\n", b""),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"event: x\nid: 1\ndata: a\n\n", b"a"),
        (b"\ndata: a\n\n", b"a"),
        (b"data: a\r\n\r\n", b"a"),
        (b": ping\n\n", None),
        (b"event: ping\n\n", None),
        (b"dataset: a\n\n", None),
    ],
)
def test_the_data_of_an_event_is_its_data_lines(event: bytes, data: bytes | None) -> None:
    assert event_data(event) == data


def test_an_unfinished_last_event_is_read_too() -> None:
    assert list(read_data(b": hi\n\ndata: a\n\ndata: b")) == [b"a", b"b"]
    assert list(read_data(b"data: a\n\n: no more")) == [b"a"]
    assert list(read_data(b"data: a\n\n\n ")) == [b"a"]


LINES = st.lists(
    st.text(alphabet=st.characters(blacklist_characters="\r\n", codec="utf-8")).map(str.encode), max_size=5
)


@given(LINES, st.booleans(), st.integers(0, 200))
def test_what_is_written_is_read_wherever_it_is_cut(texts: list[bytes], is_crlf: bool, at: int) -> None:
    payload = b"".join(map(data_event, texts))
    if is_crlf:
        payload = payload.replace(b"\n", b"\r\n")
    first, rest = split_events(payload[:at])
    second, nothing = split_events(rest + payload[at:])
    assert nothing == b""
    assert [event_data(event) for event in first + second] == texts
    assert list(read_data(payload)) == texts
