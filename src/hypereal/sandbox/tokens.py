"""Tokens, approximately: a rule for splitting text that counts about as published tokenizers do, and prefix caching.

Counts are plausible and always the same for the same text; they are not any model's real counts.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from itertools import cycle, islice

CACHE_MINIMUM_TOKENS = 1024  # the shortest prefix that OpenAI caches, and the step of its growth: 128
CACHE_STEP_TOKENS = 128

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


class PrefixCache:
    """Which long prompts were seen, so that a repeated prefix is reported as cached. Holds at most `capacity` digests.

    Digests stand at steps of 128 tokens from 1,024 on, as the documented prompt caching of OpenAI grows.
    """

    def __init__(self, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def remember(self, scope: str, tokens: Sequence[str]) -> int:
        """Note a prompt sent to the model `scope`; returns how many of its first tokens were seen before."""
        if len(tokens) < CACHE_MINIMUM_TOKENS:
            return 0
        running = hashlib.blake2b(scope.encode() + b"\0", digest_size=16)
        cached = start = 0
        for end in range(CACHE_MINIMUM_TOKENS, len(tokens) + 1, CACHE_STEP_TOKENS):
            running.update("\0".join(tokens[start:end]).encode())
            start = end
            digest = running.digest()
            if digest in self._seen:
                cached = end
                self._seen.move_to_end(digest)
            else:
                self._seen[digest] = None
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return cached
