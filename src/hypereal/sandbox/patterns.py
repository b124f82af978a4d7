"""A string for a regular expression: the simplest that a short reading of the pattern yields.

Reads the syntax that schemas are written in: literals, classes, groups, alternatives, repetition, anchors. Anything
else (look-around, back references) yields None, and so does a pattern whose string does not match after all.
"""

from __future__ import annotations

import re

_CLASSES = {"d": "7", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t", "r": "\r"}
_REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}")
_MAX_REPEAT = 4096
_PREFERRED = "aA0_- .:/@"


class _Unreadable(Exception):
    pass


def example(pattern: str, min_length: int = 0) -> str | None:
    """A string of at least `min_length` characters in which `pattern` is found, or None."""
    for extra in (0, 1, min_length):
        try:
            text = _Reader(pattern, min(extra, _MAX_REPEAT)).read()
            if len(text) >= min_length and re.search(pattern, text):
                return text
        except (_Unreadable, re.error, IndexError):
            return None
    return None


class _Reader:
    """Reads a pattern once. `extra` is how often an open repetition (`*`, `+`, `{2,}`) repeats beyond its least."""

    def __init__(self, pattern: str, extra: int) -> None:
        self._pattern = pattern
        self._extra = extra
        self._at = 0

    def read(self) -> str:
        text = self._alternatives()
        if self._at < len(self._pattern):
            raise _Unreadable
        return text

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _alternatives(self) -> str:
        first = self._sequence()
        while self._peek() == "|":
            self._at += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        parts: list[str] = []
        while self._peek() not in ("", "|", ")"):
            unit = self._unit()
            parts.append(unit * self._repetition())
        return "".join(parts)

    def _unit(self) -> str:
        char = self._peek()
        self._at += 1
        if char in "^$":
            return ""
        if char == ".":
            return "a"
        if char == "\\":
            return self._escape()
        if char == "[":
            return self._class()
        if char == "(":
            return self._group()
        if char in "*+?":
            raise _Unreadable
        return char

    def _escape(self) -> str:
        char = self._pattern[self._at]
        self._at += 1
        if char in "bBAZ":
            return ""
        if char in "ux":
            width = 4 if char == "u" else 2
            digits = self._pattern[self._at : self._at + width]
            self._at += width
            try:
                return chr(int(digits, 16))
            except ValueError as exc:
                raise _Unreadable from exc
        if char.isalnum() and char not in _CLASSES:
            raise _Unreadable
        return _CLASSES.get(char, char)

    def _class(self) -> str:
        start = self._at - 1
        self._at += self._peek() == "^"
        self._at += self._peek() == "]"
        while self._peek() != "]":
            if not self._peek():
                raise _Unreadable
            self._at += 2 if self._peek() == "\\" else 1
        self._at += 1
        member = re.compile(self._pattern[start : self._at])
        candidates = [*_PREFERRED, *map(chr, range(33, 0x250))]
        found: str | None = next((char for char in candidates if member.fullmatch(char)), None)
        if found is None:
            raise _Unreadable
        return found

    def _group(self) -> str:
        if self._peek() == "?":
            named = re.compile(r"\?(:|P?<[A-Za-z_]\w*>)").match(self._pattern, self._at)
            if named is None:
                raise _Unreadable
            self._at = named.end()
        inner = self._alternatives()
        if self._peek() != ")":
            raise _Unreadable
        self._at += 1
        return inner

    def _repetition(self) -> int:
        least, is_open = 1, False
        char = self._peek()
        if char and char in "*+?":
            self._at += 1
            least, is_open = (1 if char == "+" else 0), char != "?"
        elif counted := _REPEAT.match(self._pattern, self._at):
            self._at = counted.end()
            least, is_open = int(counted[1]), counted[0].endswith(",}")
        else:
            return 1
        self._at += self._peek() == "?"
        if least > _MAX_REPEAT:
            raise _Unreadable
        return least + (self._extra if is_open else 0)
