"""Tokens, approximately: a rule for splitting text that counts about as published tokenizers do.

Counts are plausible and always the same for the same text; they are not any model's real counts.
"""

from __future__ import annotations

import re
from itertools import cycle, islice

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]| ?(?:(?![{_CJK}])[^\W\d_]){{1,8}}| ?\d{{1,3}}| ?[^\w\s]|[^\S\n]+|\n+|.", re.DOTALL)


def split(text: str) -> list[str]:
    """The tokens of `text`; joined, they are `text` again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens `text` has."""
    return sum(1 for _ in _TOKEN.finditer(text))


def filler(text: str, length: int) -> list[str]:
    """Exactly `length` tokens: those of `text`, over and over."""
    return list(islice(cycle(split(text.rstrip() + " ") or [" ."]), length))
