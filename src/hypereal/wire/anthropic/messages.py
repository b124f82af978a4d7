"""The messages of a conversation as Anthropic takes them.

Its rules: the first message is the user's; every call is answered in the message that follows it, results first; ids
are unique and of few characters; no text is empty. What breaks them is put right here, the same way each time, so that
a conversation that grows keeps its prefix and with it the upstream's cache.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from hypereal.wire.anthropic.shapes import Dropped
from hypereal.wire.anthropic.thinking import ORIGIN, is_redacted
from hypereal.wire.conversation import Block, Foreign, Media, Message, Text, Thinking, ToolCall, ToolResult
from hypereal.wire.fields import UNREADABLE

Turn = tuple[str, list[Any]]
"""A role and its blocks, ready to be encoded."""

BEGIN = {"type": "text", "text": "Begin."}
"""What the user says where a conversation does not begin with the user."""
INTERRUPTED = "The call was interrupted and has no result."
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_ID = re.compile(r"[A-Za-z0-9_-]+")
_ID_FAULTS = re.compile(r"[^A-Za-z0-9_-]")
_FILE_ID = "file_"  # how Anthropic's own ids begin; OpenAI's begin with "file-"

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def legal_id(given: str) -> str:
    """A call's id in the characters that Anthropic takes: as it is if it can be, else always the same other one."""
    if _ID.fullmatch(given):
        return given
    return f"{_ID_FAULTS.sub('_', given)[:48]}_{zlib.crc32(given.encode('utf-8', 'surrogatepass')):08x}"


def input_of(call: ToolCall) -> msgspec.Raw | dict[str, str]:
    """A call's arguments as the object that they must be: unchanged if they are one, else as a string in one."""
    if not call.is_custom:
        if not call.arguments.strip():
            return {}
        try:
            _decode_object(call.arguments)
        except UNREADABLE:
            return {"input": call.arguments}
        return msgspec.Raw(call.arguments.encode())
    return {"input": call.arguments}


def _cached(block: dict[str, Any], cache: Any) -> dict[str, Any]:
    return block if cache is None else {**block, "cache_control": cache}


def write_text(text: Text) -> dict[str, Any] | None:
    """None for a text without anything to read."""
    return _cached({"type": "text", "text": text.text}, text.cache) if text.text.strip() else None


def _source(media: Media) -> dict[str, Any] | None:
    if media.file_id is not None:
        return {"type": "file", "file_id": media.file_id} if media.file_id.startswith(_FILE_ID) else None
    if media.url is not None:
        return {"type": "url", "url": media.url} if media.url.startswith(("https://", "http://")) else None
    return {"type": "base64", "media_type": media.media_type, "data": media.data} if media.data is not None else None


def _text_source(media: Media) -> dict[str, Any] | None:
    try:
        text = base64.b64decode(media.data or "").decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return {"type": "text", "media_type": "text/plain", "data": text}


class MessagesWriter:
    """Writes the messages of one conversation; `dropped` grows by what they can't say."""

    def __init__(self, dropped: Dropped) -> None:
        self.dropped = dropped
        self._seen: set[str] = set()

    def write(self, messages: Iterable[Message]) -> list[Turn]:
        """The turns, each role's in one: a system message within the conversation is said by the user."""
        turns: list[Turn] = []
        for message in messages:
            role = "assistant" if message.role == "assistant" else "user"
            blocks = [written for block in message.blocks if (written := self._block(block, role)) is not None]
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            elif blocks:
                turns.append((role, blocks))
        if not turns or turns[0][0] == "assistant":
            turns.insert(0, ("user", [BEGIN]))
        self._pair(turns)
        _trim_prefill(turns[-1])
        return turns

    def _block(self, block: Block, role: str) -> Any:
        if isinstance(block, Text):
            return write_text(block)
        if isinstance(block, Thinking):
            return self._thinking(block, role)
        if isinstance(block, Media):
            return self._media(block, role)
        if isinstance(block, ToolCall):
            return self._call(block, role)
        if isinstance(block, ToolResult):
            return self._result(block, role)
        return self._foreign(block)

    def _thinking(self, block: Thinking, role: str) -> dict[str, Any] | None:
        opaque = block.opaque
        if role != "assistant" or opaque is None or opaque.origin != ORIGIN:
            self.dropped["thinking"] = None
            return None
        if is_redacted(opaque):
            return {"type": "redacted_thinking", "data": opaque.data}
        return {"type": "thinking", "thinking": block.text, "signature": opaque.data}

    def _media(self, block: Media, role: str) -> dict[str, Any] | None:
        written = self._file(block) if role == "user" else None
        if written is None:
            self.dropped[block.kind] = None
            return None
        return _cached(written, block.cache)

    def _file(self, block: Media) -> dict[str, Any] | None:
        source = _source(block)
        if source is None or block.kind not in ("image", "file"):
            return None
        is_inline = source["type"] == "base64"
        if block.kind == "image":
            if is_inline and block.media_type not in IMAGE_TYPES:
                return None
            return {"type": "image", "source": source}
        if is_inline and block.media_type != "application/pdf":
            source = _text_source(block) if (block.media_type or "").startswith("text/") else None
        if source is None:
            return None
        titled = {"title": block.name} if block.name else {}
        return {"type": "document", "source": source, **titled}

    def _call(self, block: ToolCall, role: str) -> dict[str, Any] | None:
        if role != "assistant":
            self.dropped["tool_call"] = None
            return None
        if block.opaque is not None:
            self.dropped["thinking"] = None
        return {"type": "tool_use", "id": legal_id(block.id), "name": block.name, "input": input_of(block)}

    def _result(self, block: ToolResult, role: str) -> dict[str, Any] | None:
        if role != "user":
            self.dropped["tool_result"] = None
            return None
        content = [shown for part in block.content if (shown := self._block(part, role)) is not None]
        written: dict[str, Any] = {"type": "tool_result", "tool_use_id": legal_id(block.call_id)}
        if content:
            written["content"] = content
        if block.is_error:
            written["is_error"] = True
        return _cached(written, block.cache)

    def _foreign(self, block: Foreign) -> msgspec.Raw | None:
        if block.origin == ORIGIN:
            return msgspec.Raw(block.raw)
        self.dropped[block.kind] = None
        return None

    def _pair(self, turns: list[Turn]) -> None:
        """Give each call its result, right after it and before all else."""
        if turns[-1][0] == "assistant" and any(map(_is_call, turns[-1][1])):
            turns.append(("user", []))
        calls: dict[str, str] = {}
        for role, blocks in turns:
            if role == "assistant":
                calls = self._unique_calls(blocks)
            else:
                blocks[:] = _answered(blocks, calls)

    def _unique_calls(self, blocks: list[Any]) -> dict[str, str]:
        """The ids of a turn's calls, as they were and as they are now: some clients use one again in a later turn."""
        calls: dict[str, str] = {}
        for block in filter(_is_call, blocks):
            given = unique = block["id"]
            count = 1
            while unique in self._seen:
                count += 1
                unique = f"{given}_{count}"
            self._seen.add(unique)
            block["id"] = unique
            calls[given if given not in calls else unique] = unique
        return calls


def _is_call(block: Any) -> bool:
    return isinstance(block, dict) and block["type"] == "tool_use"


def _answered(blocks: list[Any], calls: dict[str, str]) -> list[Any]:
    """The blocks of a user's turn, the result of each call first. A result that nobody waits for becomes prose."""
    results: dict[str, Any] = {}
    others: list[Any] = []
    for block in blocks:
        given = block["tool_use_id"] if isinstance(block, dict) and block["type"] == "tool_result" else None
        if given is None:
            others.append(block)
        elif given in calls and given not in results:
            results[given] = {**block, "tool_use_id": calls[given]}
        else:
            others += block.get("content", ())
    for given, unique in calls.items():
        if given not in results:
            missing = {"type": "tool_result", "tool_use_id": unique, "is_error": True}
            results[given] = {**missing, "content": [{"type": "text", "text": INTERRUPTED}]}
    return [*results.values(), *others] or [BEGIN]


def _trim_prefill(turn: Turn) -> None:
    """The beginning of an answer must not end with white space."""
    role, blocks = turn
    last = blocks[-1]
    if role == "assistant" and isinstance(last, dict) and last["type"] == "text":
        blocks[-1] = {**last, "text": last["text"].rstrip()}
