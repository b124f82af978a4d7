"""What was said: the messages of a request as text, media and tool results, whatever format they came in.

Everything that makes an answer works from a `Conversation`; each format's request file makes one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hypereal.sandbox.faults import strip_directives

_DATA_URL = re.compile(r"data:([^;,]*)[^,]*,", re.IGNORECASE)
_ASIDE = re.compile(
    r"<(system-reminder|session_context|environment_context|user_instructions|environment_details)>.*?</\1>\s*",
    re.DOTALL,
)
"""What coding agents put into the user's messages on their own account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An image, a sound or a file in a message. `size` is in bytes, None for what is only linked to."""

    kind: str
    media_type: str
    size: int | None

    def describe(self) -> str:
        size = "linked" if self.size is None else _size_text(self.size)
        return f"{self.kind} ({self.media_type}, {size})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message. `source` is the tool whose result this is, for roles tool and function."""

    role: str
    text: str
    media: tuple[Media, ...] = ()
    source: str = ""

    @property
    def said(self) -> str:
        """The text without directives to the sandbox and without an agent's asides."""
        return strip_directives(self._own)

    @property
    def is_aside(self) -> bool:
        """Whether an agent said this for itself, beside what its user said."""
        return self.role == "user" and not self.media and bool(self.text) and not self._own.strip()

    @property
    def _own(self) -> str:
        return _ASIDE.sub("", self.text) if "</" in self.text else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The messages of one request, in order."""

    turns: tuple[Turn, ...]

    @property
    def prompt(self) -> str:
        """The text of the last user message, without directives to the sandbox."""
        turn = self._last_user()
        return turn.said if turn else ""

    @property
    def media(self) -> tuple[Media, ...]:
        """What the last user message carries besides text."""
        turn = self._last_user()
        return turn.media if turn else ()

    @property
    def system(self) -> str:
        """The instructions: all system and developer messages."""
        return strip_directives("\n".join(turn.text for turn in self.turns if turn.role in ("system", "developer")))

    @property
    def earlier(self) -> tuple[str, ...]:
        """What the user said before the last message."""
        said = [turn for turn in self.turns if turn.role == "user" and not turn.is_aside]
        return tuple(turn.said for turn in said[:-1])

    @property
    def results(self) -> tuple[Turn, ...]:
        """The tool results at the end, which the answer is expected to use; empty when the user spoke last."""
        found: list[Turn] = []
        for turn in reversed(self.turns):
            if turn.role in ("tool", "function"):
                found.append(turn)
            elif turn.role not in ("system", "developer") and not turn.is_aside:
                break
        return tuple(reversed(found))

    @property
    def answered(self) -> int:
        """How often the assistant has spoken since the last user message."""
        count = 0
        last = self._last_user()
        after = ""
        for turn in reversed(self.turns):
            if turn is last:
                break
            # What one answer holds may stand in several messages: they count as one.
            count += turn.role == "assistant" and after != "assistant"
            after = turn.role
        return count

    @property
    def directive_text(self) -> str:
        """Where directives may stand: the instructions and the last user message."""
        turn = self._last_user()
        parts = [turn.text for turn in self.turns if turn.role in ("system", "developer")]
        return "\n".join([*parts, turn.text if turn else ""])

    @property
    def transcript(self) -> str:
        """All text, for counting tokens and recognising a repeated prefix."""
        return "\n".join(f"{turn.role}: {turn.text}" for turn in self.turns)

    def _last_user(self) -> Turn | None:
        return next((turn for turn in reversed(self.turns) if turn.role == "user" and not turn.is_aside), None)


def linked_media(kind: str, url: str) -> Media:
    """What a URL, or the data in it, stands for."""
    match = _DATA_URL.match(url)
    if match is None:
        return Media(kind=kind, media_type=f"{kind}/*" if kind != "file" else "file", size=None)
    return Media(kind=kind, media_type=match[1] or "unknown type", size=decoded_size(url[match.end() :]))


def inline_media(media_type: str, encoded: str, *, kind: str = "") -> Media:
    """Media given as base64; what kind it is follows from its type unless `kind` says."""
    family = media_type.partition("/")[0]
    kind = kind or (family if family in ("image", "audio", "video") else "file")
    return Media(kind=kind, media_type=media_type or "unknown type", size=decoded_size(encoded))


def decoded_size(encoded: str) -> int:
    """The bytes behind `encoded` base64, by its length."""
    return len(encoded.rstrip("=")) * 3 // 4


def _size_text(size: int) -> str:
    return f"{size} bytes" if size < 1024 else f"{size / 1024:.1f} KiB"


def describe_media(media: Sequence[Media]) -> str:
    """Media in words: "2 images (image/png, 70 bytes; image/png, linked)", or "" for none."""
    groups: dict[str, list[str]] = {}
    for item in media:
        groups.setdefault(item.kind, []).append(item.describe().removeprefix(item.kind + " (").removesuffix(")"))
    parts = []
    for kind, notes in groups.items():
        plural = "" if len(notes) == 1 else ("s" if kind != "audio" else " clips")
        parts.append(f"{len(notes)} {kind}{plural} ({'; '.join(notes)})")
    return " and ".join(parts)
