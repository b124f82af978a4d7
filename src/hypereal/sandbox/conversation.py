"""What was said: the messages of a chat request as text, media and tool results.

Everything that makes an answer works from a `Conversation`; only this file knows how OpenAI writes messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypereal.sandbox.faults import strip_directives
from hypereal.sandbox.request import BadRequest

_DATA_URL = re.compile(r"data:([^;,]*)[^,]*,", re.IGNORECASE)
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The messages of one request, in order."""

    turns: tuple[Turn, ...]

    @property
    def prompt(self) -> str:
        """The text of the last user message, without directives to the sandbox."""
        turn = self._last_user()
        return strip_directives(turn.text) if turn else ""

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
        said = [turn for turn in self.turns if turn.role == "user"]
        return tuple(strip_directives(turn.text) for turn in said[:-1])

    @property
    def results(self) -> tuple[Turn, ...]:
        """The tool results at the end, which the answer is expected to use; empty when the user spoke last."""
        found: list[Turn] = []
        for turn in reversed(self.turns):
            if turn.role not in ("tool", "function"):
                break
            found.append(turn)
        return tuple(reversed(found))

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
        return next((turn for turn in reversed(self.turns) if turn.role == "user"), None)


def read_conversation(body: Mapping[str, Any]) -> Conversation:
    """The conversation of a chat request. Raises `BadRequest`."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("Missing required parameter: 'messages'.", param="messages")
    if not messages:
        raise BadRequest("Invalid 'messages': empty array.", param="messages", code="empty_array")
    names: dict[str, str] = {}
    return Conversation(turns=tuple(_turn(message, index, names) for index, message in enumerate(messages)))


def _turn(message: object, index: int, names: dict[str, str]) -> Turn:
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        raise BadRequest(f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadRequest(f"Invalid value for '{where}.role'.", param=f"{where}.role", code="invalid_value")
    if role == "assistant":
        _note_calls(message, names)
    text, media = _content(message.get("content"), where)
    source = names.get(str(message.get("tool_call_id")), str(message.get("name") or ""))
    return Turn(role=role, text=text, media=media, source=source if role in ("tool", "function") else "")


def _note_calls(message: Mapping[str, Any], names: dict[str, str]) -> None:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            names[str(call.get("id"))] = str(function.get("name"))


def _content(content: object, where: str) -> tuple[str, tuple[Media, ...]]:
    if content is None or isinstance(content, str):
        return content or "", ()
    if not isinstance(content, list):
        where += ".content"
        raise BadRequest(f"Invalid type for '{where}': expected a string or parts.", param=where, code="invalid_type")
    texts: list[str] = []
    media: list[Media] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            _read_part(part, texts, media)
    return "\n".join(texts), tuple(media)


def _read_part(part: Mapping[str, Any], texts: list[str], media: list[Media]) -> None:
    kind = part.get("type")
    text = part.get("text", part.get("refusal"))
    inner = part.get(str(kind))
    inner = inner if isinstance(inner, dict) else {}
    if isinstance(text, str):
        texts.append(text)
    elif kind in ("image_url", "video_url"):
        url = inner.get("url", part.get(str(kind)))
        media.append(_linked(str(kind).removesuffix("_url"), url if isinstance(url, str) else ""))
    elif kind == "input_audio":
        size = _decoded_size(str(inner.get("data", "")))
        media.append(Media(kind="audio", media_type=f"audio/{inner.get('format', 'wav')}", size=size))
    elif kind == "file":
        media.append(_linked("file", str(inner.get("file_data") or "")))


def _linked(kind: str, url: str) -> Media:
    match = _DATA_URL.match(url)
    if match is None:
        return Media(kind=kind, media_type=f"{kind}/*" if kind != "file" else "file", size=None)
    return Media(kind=kind, media_type=match[1] or "unknown type", size=_decoded_size(url[match.end() :]))


def _decoded_size(encoded: str) -> int:
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
