"""Chunks that differ in nothing but their text: most of a stream, and read without decoding.

A provider writes the chunks of one block alike. Once a chunk has been decoded and was nothing but a piece of text, the
bytes before and after that text tell its siblings; what stands between them is the next piece. Three to four times as
fast as decoding, and any chunk that is not quite alike is decoded as ever.
"""

from __future__ import annotations

from itertools import takewhile

import msgspec

from hypereal.wire.events import Delta, Event

PATIENCE = 3
"""Providers that number their chunks have no two alike: after so many attempts learning is given up."""

_QUOTE, _BACKSLASH = b'"'[0], b"\\"[0]
_encode = msgspec.json.encode


class Repeats:
    """What the last piece of text of a stream looked like. `index` is the block that it belongs to."""

    __slots__ = ("_after", "_attempts", "_before", "_between", "_least", "index")

    def __init__(self) -> None:
        self._attempts = 0
        self.forget()

    def forget(self) -> None:
        """The block is over: what comes next may look the same and mean something else."""
        self._before = b"\0"  # begins no event
        self._after = b"\0"
        self._between = b"\0\0"
        self._least = 2
        self.index = -1

    def read(self, event: bytes) -> list[Event] | None:
        """What an event says that is the last one's sibling; None for any other."""
        before, after = self._before, self._after
        if len(event) < self._least or not event.startswith(before) or not event.endswith(after):
            return None
        raw = event[len(before) : -len(after)]
        if _QUOTE in raw or _BACKSLASH in raw:
            return None  # escaped, or not one string
        self._attempts = 0
        try:
            return [Delta(self.index, raw.decode())] if raw else []
        except UnicodeDecodeError:
            return None

    def read_run(self, payload: bytes, start: int) -> tuple[list[bytes], int]:
        """The texts of the siblings that stand in `payload` from `start` on, one after the other, and where they end.

        Each is the inside of a JSON string, with nothing escaped in it, and may be empty.
        """
        if not payload.startswith(self._before, start):
            return [], start
        between, least, find, follows = self._between, self._least, payload.find, payload.startswith
        texts: list[bytes] = []
        begin = start + len(self._before)
        while (end := find(b'"', begin)) >= 0:
            texts.append(payload[begin:end])
            if not follows(between, end):
                if not follows(self._after, end):
                    texts.pop()
                break
            begin = end + least
        together = b"\n".join(texts)
        if _BACKSLASH in together:
            texts = list(takewhile(_is_unescaped, texts))
            together = b"\n".join(texts)
        if not together.isascii() and not _is_text(together):
            self.forget()  # so that it is not tried again with each of them: the decoder finds the one that is no text
            return [], start
        return texts, start + sum(map(len, texts)) + len(texts) * least

    def learn(self, event: bytes, delta: Delta) -> None:
        """Remember an event that was decoded and says nothing but `delta`."""
        if self._attempts >= PATIENCE:
            return
        self._attempts += 1
        quoted = _encode(delta.text)
        if len(quoted) < 3 or event.count(quoted) != 1:
            return
        start = event.find(quoted) + 1
        end = start + len(quoted) - 2
        self._before, self._after = event[:start], event[end:]
        self._between = self._after + self._before
        self._least = len(self._between)
        self.index = delta.index


def _is_unescaped(raw: bytes) -> bool:
    return _BACKSLASH not in raw


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
