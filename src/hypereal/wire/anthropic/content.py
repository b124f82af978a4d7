"""The blocks of a client's messages, read one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from hypereal.wire.anthropic.shapes import Dropped
from hypereal.wire.anthropic.thinking import ORIGIN, read_redacted, read_thinking
from hypereal.wire.conversation import Block, Foreign, Media, Text, ToolCall, ToolResult
from hypereal.wire.fields import NULL


class _Typed(msgspec.Struct, gc=False):
    type: str


class _Text(msgspec.Struct):
    text: str
    cache_control: Any = None
    citations: msgspec.Raw = NULL


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: msgspec.Raw = NULL


class _Media(msgspec.Struct):
    source: _Source
    title: str | None = None
    context: str | None = None
    cache_control: Any = None


class _SearchResult(msgspec.Struct):
    content: msgspec.Raw
    source: str = ""
    title: str = ""


class _ToolUse(msgspec.Struct):
    id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _ToolResult(msgspec.Struct):
    tool_use_id: str
    content: msgspec.Raw = NULL
    is_error: bool | None = None
    cache_control: Any = None


class _Thinking(msgspec.Struct):
    thinking: str = ""
    signature: str | None = None


class _Redacted(msgspec.Struct):
    data: str


class _ToolReference(msgspec.Struct):
    tool_name: str


_decode_typed = msgspec.json.Decoder(_Typed).decode
_decode_string = msgspec.json.Decoder(str).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(_Text).decode
_decode_media = msgspec.json.Decoder(_Media).decode
_decode_search_result = msgspec.json.Decoder(_SearchResult).decode
_decode_tool_use = msgspec.json.Decoder(_ToolUse).decode
_decode_tool_result = msgspec.json.Decoder(_ToolResult).decode
_decode_thinking = msgspec.json.Decoder(_Thinking).decode
_decode_redacted = msgspec.json.Decoder(_Redacted).decode
_decode_tool_reference = msgspec.json.Decoder(_ToolReference).decode


class ContentReader:
    """Reads the content of messages; `dropped` grows by the names of what has no place in a canonical block.

    Raises `msgspec.ValidationError` for a known block of the wrong shape.
    """

    def __init__(self, dropped: Dropped) -> None:
        self.dropped = dropped

    def read(self, raw: msgspec.Raw) -> list[Block]:
        """A message's content: a string or blocks."""
        if raw == NULL:
            return []
        if bytes(memoryview(raw)[:1]) == b'"':
            return [Text(_decode_string(raw))]
        return [block for item in _decode_list(raw) for block in self._block(item)]

    def _block(self, raw: msgspec.Raw) -> list[Block]:
        kind = _decode_typed(raw).type
        read = self._readers.get(kind)
        return read(self, raw) if read is not None else [Foreign(origin=ORIGIN, kind=kind, raw=bytes(raw))]

    def _text(self, raw: msgspec.Raw) -> list[Block]:
        block = _decode_text(raw)
        if block.citations != NULL:
            self.dropped["citations"] = None
        return [Text(block.text, block.cache_control)]

    def _image(self, raw: msgspec.Raw) -> list[Block]:
        block = _decode_media(raw)
        source = block.source
        return [
            Media(
                kind="image",
                media_type=source.media_type,
                data=source.data,
                url=source.url,
                file_id=source.file_id,
                cache=block.cache_control,
            )
        ]

    def _document(self, raw: msgspec.Raw) -> list[Block]:
        """A document of text becomes prose under its title; any other stays a file."""
        block = _decode_media(raw)
        source = block.source
        context: list[Block] = [Text(block.context)] if block.context else []
        if source.type in ("text", "content"):
            title: list[Block] = [Text(block.title)] if block.title else []
            body = (
                [Text(source.data or "", block.cache_control)] if source.type == "text" else self.read(source.content)
            )
            return [*title, *context, *body]
        file = Media(
            kind="file",
            media_type=source.media_type or ("application/pdf" if source.url else None),
            data=source.data,
            url=source.url,
            file_id=source.file_id,
            name=block.title,
            cache=block.cache_control,
        )
        return [*context, file]

    def _search_result(self, raw: msgspec.Raw) -> list[Block]:
        result = _decode_search_result(raw)
        heading = " ".join(part for part in (result.title, result.source) if part)
        return [*([Text(heading)] if heading else []), *self.read(result.content)]

    def _tool_use(self, raw: msgspec.Raw) -> list[Block]:
        call = _decode_tool_use(raw)
        arguments = "{}" if call.input == NULL else bytes(call.input).decode()
        return [ToolCall(id=call.id, name=call.name, arguments=arguments)]

    def _tool_result(self, raw: msgspec.Raw) -> list[Block]:
        result = _decode_tool_result(raw)
        content: list[Text | Media] = []
        for block in self.read(result.content):
            if isinstance(block, Text | Media):
                content.append(block)
            else:
                self.dropped[block.kind if isinstance(block, Foreign) else "tool_result.content"] = None
        return [
            ToolResult(
                call_id=result.tool_use_id,
                content=tuple(content),
                is_error=bool(result.is_error),
                cache=result.cache_control,
            )
        ]

    def _tool_reference(self, raw: msgspec.Raw) -> list[Block]:
        """What a search for tools found. Elsewhere all tools are there from the start: the name says enough."""
        return [Text(_decode_tool_reference(raw).tool_name)]

    def _thinking(self, raw: msgspec.Raw) -> list[Block]:
        block = _decode_thinking(raw)
        return [read_thinking(block.thinking, block.signature)]

    def _redacted(self, raw: msgspec.Raw) -> list[Block]:
        return [read_redacted(_decode_redacted(raw).data)]

    _readers: ClassVar[Mapping[str, Callable[[ContentReader, msgspec.Raw], list[Block]]]] = {
        "text": _text,
        "image": _image,
        "document": _document,
        "search_result": _search_result,
        "tool_use": _tool_use,
        "tool_result": _tool_result,
        "tool_reference": _tool_reference,
        "thinking": _thinking,
        "redacted_thinking": _redacted,
    }
