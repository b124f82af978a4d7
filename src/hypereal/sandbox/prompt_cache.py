"""Prompt caching as providers do it: by themselves for long prefixes, or at breakpoints that the request sets."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CACHE_MINIMUM_TOKENS = 1024  # the shortest prefix that OpenAI and Anthropic cache; OpenAI's grows in steps of 128
CACHE_STEP_TOKENS = 128
_LOOKBACK_BLOCKS = 20  # how far before a breakpoint Anthropic looks for what an earlier request wrote
SHORT_TTL_S = 300
LONG_TTL_S = 3600


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
        running = hashlib.blake2b(scope.encode("utf-8", "surrogatepass") + b"\0", digest_size=16)
        cached = start = 0
        for end in range(CACHE_MINIMUM_TOKENS, len(tokens) + 1, CACHE_STEP_TOKENS):
            running.update("\0".join(tokens[start:end]).encode("utf-8", "surrogatepass"))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a prompt in the order in which it is cached. `ttl` is in seconds at a breakpoint, 0 elsewhere."""

    text: str
    tokens: int
    ttl: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """Tokens of one prompt: read from the cache, and written to it for five minutes or for an hour."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        return self.written_5m + self.written_1h


class BreakpointCache:
    """Prompts up to the breakpoints of earlier requests, each until its time is over. Holds at most `capacity`."""

    def __init__(self, capacity: int = 20_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._ends: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ends)

    def remember(self, scope: str, blocks: Sequence[Block]) -> Cached:
        """Read the longest prefix that is cached, and write those of the other breakpoints."""
        points = [index for index, block in enumerate(blocks) if block.ttl]
        if not points:
            return Cached()
        digests, lengths = _prefixes(scope, blocks[: points[-1] + 1])
        read_to = self._longest(digests, points)
        done = read = lengths[read_to] if read_to >= 0 else 0
        written = {SHORT_TTL_S: 0, LONG_TTL_S: 0}
        for index in points:
            if index <= read_to or lengths[index] < CACHE_MINIMUM_TOKENS:
                continue
            ttl = blocks[index].ttl
            written[ttl] += lengths[index] - done
            done = lengths[index]
            self._ends[digests[index]] = (self._clock() + ttl, ttl)
        while len(self._ends) > self._capacity:
            self._ends.popitem(last=False)
        return Cached(read=read, written_5m=written[SHORT_TTL_S], written_1h=written[LONG_TTL_S])

    def _longest(self, digests: Sequence[bytes], points: Sequence[int]) -> int:
        """The last block of the longest cached prefix, whose time starts anew; -1 when none is."""
        now = self._clock()
        for point in reversed(points):
            for index in range(point, max(-1, point - _LOOKBACK_BLOCKS - 1), -1):
                ends, ttl = self._ends.get(digests[index], (0.0, 0))
                if ends > now:
                    self._ends[digests[index]] = (now + ttl, ttl)
                    self._ends.move_to_end(digests[index])
                    return index
        return -1


def _prefixes(scope: str, blocks: Sequence[Block]) -> tuple[list[bytes], list[int]]:
    """The digest and the tokens of the prompt up to each block."""
    running = hashlib.blake2b(scope.encode("utf-8", "surrogatepass") + b"\0", digest_size=16)
    digests: list[bytes] = []
    lengths: list[int] = []
    total = 0
    for block in blocks:
        raw = block.text.encode("utf-8", "surrogatepass")
        running.update(len(raw).to_bytes(8, "big") + raw)
        total += block.tokens
        digests.append(running.digest())
        lengths.append(total)
    return digests, lengths
