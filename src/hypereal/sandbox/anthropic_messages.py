"""The messages of an Anthropic request: their blocks, and the rules on which block may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypereal.sandbox.conversation import Media, Turn, inline_media, linked_media
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.seals import unseal

THINKING = "anthropic thinking"  # what signatures and redacted thinking are sealed for
REDACTED = "anthropic redact"

Block = Mapping[str, Any]

_FIELDS: dict[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "cache_control", "citations", "context", "title"}),
    "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller", "toolset_name"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
_OTHERS = frozenset(
    {
        "search_result",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "tool_reference",
        "mcp_tool_use",
        "mcp_tool_result",
        "container_upload",
        "compaction",
        "tool_addition",
        "tool_removal",
        "fallback",
    }
)
_BY_ROLE = {
    "user": frozenset({"tool_use", "thinking", "redacted_thinking"}),
    "assistant": frozenset({"tool_result", "image", "document"}),
    "system": frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document"}),
}
"""What may not stand in a message of each role."""
_THOUGHTS = ("thinking", "redacted_thinking")


def read_messages(body: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The turns of the conversation. Raises `BadRequest`."""
    messages = body.get("messages")
    if messages is None:
        raise BadRequest("messages: Field required")
    if not isinstance(messages, list):
        raise BadRequest("messages: Input should be a valid list")
    if not messages:
        raise BadRequest("messages: at least one message is required")
    reader = _Reader()
    for index, message in enumerate(messages):
        reader.read(message, index, is_last=index == len(messages) - 1)
    reader.end(needs_thought=_is_enabled(body.get("thinking")))
    return tuple(reader.turns)


def content_blocks(content: object) -> list[Block]:
    """Content as blocks; text alone is one of them."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _is_enabled(thinking: object) -> bool:
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


class _Reader:
    """Reads messages in order; knows which calls still lack a result."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._names: dict[str, str] = {}
        self._open: list[str] = []
        self._asked_at = 0
        self._starts_with = ""
        self._ends_in_results = False

    def read(self, message: object, index: int, *, is_last: bool) -> None:
        where = f"messages.{index}"
        if not isinstance(message, dict):
            raise BadRequest(f"{where}: Input should be a valid dictionary")
        for name in message:
            if name not in ("role", "content"):
                raise BadRequest(f"{where}.{name}: Extra inputs are not permitted")
        role = message.get("role")
        if role not in _BY_ROLE or (role == "system" and index == 0):
            raise BadRequest(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"')
        if index == 0 and role != "user":
            raise BadRequest('messages: first message must use the "user" role')
        blocks = _checked_blocks(message.get("content"), role, where, may_be_empty=is_last and role == "assistant")
        if role == "user":
            self._read_user(blocks, where)
        elif role == "assistant":
            self._read_assistant(blocks, index, is_last)
        else:
            self.turns.append(Turn(role="system", text=_texts(blocks)))

    def end(self, *, needs_thought: bool) -> None:
        self._no_open()
        if needs_thought and self._ends_in_results and self._starts_with not in _THOUGHTS:
            raise BadRequest(
                f"messages.{self._asked_at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                f"`{self._starts_with}`. When `thinking` is enabled, a final `assistant` message must start with a "
                "thinking block."
            )

    def _read_user(self, blocks: list[Block], where: str) -> None:
        results = [block for block in blocks if block["type"] == "tool_result"]
        for number, block in enumerate(blocks):
            if block["type"] == "tool_result":
                self._read_result(block, f"{where}.content.{number}")
        self._no_open()
        self._ends_in_results = bool(results)
        texts, media = _texts(blocks), _media(blocks)
        if not results or texts or media:
            self.turns.append(Turn(role="user", text=texts, media=media))

    def _read_result(self, block: Block, where: str) -> None:
        call = block.get("tool_use_id")
        if not isinstance(call, str):
            raise BadRequest(f"{where}.tool_result.tool_use_id: Field required")
        if call not in self._open:
            raise BadRequest(
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each `tool_result` block "
                "must have a corresponding `tool_use` block in the previous message."
            )
        self._open.remove(call)
        content = content_blocks(block.get("content"))
        for number, inner in enumerate(content):
            _check_block(inner, "user", f"{where}.tool_result.content.{number}")
        turn = Turn(role="tool", text=_texts(content), media=_media(content), source=self._names.get(call, ""))
        self.turns.append(turn)

    def _read_assistant(self, blocks: list[Block], index: int, is_last: bool) -> None:
        self._no_open()
        for block in blocks:
            if block["type"] == "tool_use":
                self._names[block["id"]] = block["name"]
                self._open.append(block["id"])
        self._asked_at, self._ends_in_results = index, False
        self._starts_with = blocks[0]["type"] if blocks else ""
        text = _texts(blocks)
        if is_last and text != text.rstrip():
            raise BadRequest("messages: final assistant content cannot end with trailing whitespace")
        self.turns.append(Turn(role="assistant", text=text))

    def _no_open(self) -> None:
        if self._open:
            raise BadRequest(
                f"messages.{self._asked_at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(self._open)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )


def _checked_blocks(content: object, role: str, where: str, *, may_be_empty: bool) -> list[Block]:
    if not isinstance(content, str | list):
        missing = content is None
        raise BadRequest(f"{where}.content: {'Field required' if missing else 'Input should be a valid list'}")
    if not content:
        if may_be_empty:
            return []
        raise BadRequest(
            f"{where}: all messages must have non-empty content except for the optional final assistant message"
        )
    blocks = content_blocks(content)
    for number, block in enumerate(blocks):
        _check_block(block, role, f"{where}.content.{number}")
    return blocks


def _check_block(block: object, role: str, where: str) -> None:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise BadRequest(f"{where}.type: Field required")
    kind = block["type"]
    known = _FIELDS.get(kind)
    if known is None and kind not in _OTHERS:
        raise BadRequest(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    for name in block:
        if known is not None and name not in known:
            raise BadRequest(f"{where}.{kind}.{name}: Extra inputs are not permitted")
    if kind in _BY_ROLE[role]:
        raise BadRequest(f"{where}: `{kind}` blocks are not permitted in `{role}` messages")
    _check_fields(block, kind, where)


def _check_fields(block: Block, kind: str, where: str) -> None:
    required = {"text": ("text",), "tool_use": ("id", "name"), "thinking": ("thinking", "signature")}.get(kind, ())
    for name in required:
        if not isinstance(block.get(name), str):
            raise BadRequest(f"{where}.{kind}.{name}: Field required")
    if kind == "text" and not block["text"].strip():
        what = "contain non-whitespace text" if block["text"] else "be non-empty"
        raise BadRequest(f"messages: text content blocks must {what}")
    if kind == "tool_use" and not isinstance(block.get("input"), dict):
        raise BadRequest(f"{where}.tool_use.input: Input should be a valid dictionary")
    if kind in ("image", "document") and not isinstance(block.get("source"), dict):
        raise BadRequest(f"{where}.{kind}.source: Field required")
    if kind == "thinking":
        signed = unseal(THINKING, block["signature"])
        if signed is None or block["thinking"] not in ("", signed):
            raise BadRequest(f"{where}: Invalid `signature` in `thinking` block")
    if kind == "redacted_thinking" and unseal(REDACTED, block.get("data")) is None:
        raise BadRequest(f"{where}: Invalid `data` in `redacted_thinking` block")


def _texts(blocks: list[Block]) -> str:
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")


def _media(blocks: list[Block]) -> tuple[Media, ...]:
    return tuple(_medium(block) for block in blocks if block["type"] in ("image", "document"))


def _medium(block: Block) -> Media:
    source = block["source"]
    kind = "image" if block["type"] == "image" else "file"
    if source.get("type") == "base64":
        return inline_media(str(source.get("media_type", "")), str(source.get("data", "")), kind=kind)
    if source.get("type") == "text":
        text = str(source.get("data", ""))
        return Media(kind=kind, media_type="text/plain", size=len(text.encode("utf-8", "surrogatepass")))
    return linked_media(kind, str(source.get("url", "")))
