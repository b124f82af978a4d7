"""A client's Responses request as the canonical conversation."""

from __future__ import annotations

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.conversation import (
    Block,
    Conversation,
    Foreign,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from hypereal.wire.fields import UNREADABLE, Fields, read_flag, read_integer, read_number, read_text
from hypereal.wire.openai_responses.history import input_items
from hypereal.wire.openai_responses.items import (
    NAME,
    RESULTS,
    Content,
    Part,
    decode_message,
    decode_reasoning,
    decode_result,
    flat_name,
    kind_of,
    part_text,
    said_blocks,
    signature_of,
)
from hypereal.wire.openai_responses.media import read_media
from hypereal.wire.openai_responses.tools import decode_additional, given_tools, read_choice, read_tools

_HANDLED = frozenset(
    {
        "frequency_penalty",
        "input",
        "instructions",
        "max_output_tokens",
        "model",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "stream",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_p",
        "user",
    }
)
# What changes nothing of the answer's text, or speaks to this server: left out without a word.
_SILENT = frozenset(
    {
        "client_metadata",
        "hypereal",
        "include",
        "intent",
        "metadata",
        "prompt_cache_options",
        "prompt_cache_retention",
        "store",
        "stream_options",
    }
)
_KNOWN = _HANDLED | _SILENT
_DEFAULTS = {"truncation": b'"disabled"', "background": b"false", "top_logprobs": b"0"}
"""What some fields say when they say nothing."""
_USER_KINDS = frozenset({"mcp_approval_response", "program_output"})
_SYSTEM_ROLES = ("developer", "system")
_MAX_PENALTY = 2.0
_QUOTE = b'"'[0]


class _Reasoning(msgspec.Struct, gc=False):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Format(msgspec.Struct, gc=False):
    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema: dict[str, object] | None = None
    strict: bool | None = None


class _Text(msgspec.Struct, gc=False):
    format: _Format | None = None
    verbosity: str | None = None


_decode_thinking = msgspec.json.Decoder(_Reasoning | None).decode
_decode_text = msgspec.json.Decoder(_Text | None).decode


class _Turns:
    """The messages as they grow, item by item."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.tools: list[msgspec.Raw] = []
        self.dropped: set[str] = set()
        self._messages: list[tuple[Role, list[Block]]] = []
        self._collects_results = False
        self._signatures: dict[str, Opaque] = {}

    def add(self, raw: msgspec.Raw) -> None:
        """The next item; raises `msgspec.DecodeError` or `InvalidRequest`."""
        kind = kind_of(raw)
        if kind == "message":
            self._add_message(raw)
        elif kind in RESULTS:
            self._add_results([self._result(kind, raw)])
        elif kind == "additional_tools":
            self.tools += decode_additional(raw).tools or ()
        elif kind == "item_reference":
            self.dropped.add(kind)
        elif kind == "reasoning" and (signature := signature_of(decode_reasoning(raw))) is not None:
            self._signatures[signature[0]] = signature[1]
        elif kind.endswith("_output") or kind in _USER_KINDS:
            self._add_results([Foreign(origin=NAME, kind=kind, raw=bytes(raw))])
        else:
            self._say(said_blocks(kind, raw))

    def ask(self, text: str) -> None:
        """A turn of the user's in plain text."""
        self._begin("user", [Text(text)])

    def _add_message(self, raw: msgspec.Raw) -> None:
        message = decode_message(raw)
        if message.role == "assistant":
            self._say([block for block in self._blocks(message.content) if not isinstance(block, Media)])
        elif message.role in _SYSTEM_ROLES:
            said = [block for block in self._blocks(message.content) if isinstance(block, Text)]
            if self._messages:
                self._begin("system", list(said))
            else:
                self.system += said
        elif message.role == "user":
            self._begin("user", list(self._blocks(message.content)))
        else:
            raise InvalidRequest("a message's role must be user, assistant, system or developer", param="role")

    def _begin(self, role: Role, blocks: list[Block], *, collects_results: bool = False) -> None:
        self._messages.append((role, blocks))
        self._collects_results = collects_results

    def _say(self, blocks: list[Block]) -> None:
        if self._messages and self._messages[-1][0] == "assistant":
            self._messages[-1][1].extend(blocks)
        else:
            self._begin("assistant", blocks)

    def _add_results(self, blocks: list[Block]) -> None:
        if self._collects_results:
            self._messages[-1][1].extend(blocks)
        else:
            self._begin("user", blocks, collects_results=True)

    def _result(self, kind: str, raw: msgspec.Raw) -> ToolResult:
        item = decode_result(raw)
        return ToolResult(
            call_id=item.call_id,
            content=self._blocks(item.output),
            name=flat_name(item.namespace, item.name) if item.name else None,
            is_custom=kind == "custom_tool_call_output",
        )

    def _blocks(self, content: Content) -> tuple[Text | Media, ...]:
        if isinstance(content, str):
            return (Text(content),) if content else ()
        return tuple(block for part in content or () if (block := self._block(part)) is not None)

    def _block(self, part: Part) -> Text | Media | None:
        if part.text is not None or part.refusal is not None:
            return Text(part_text(part))
        media = read_media(part)
        if media is None:
            self.dropped.add(part.type)
        return media

    def _signed(self, block: Block) -> Block:
        if isinstance(block, ToolCall) and block.id in self._signatures:
            return msgspec.structs.replace(block, opaque=self._signatures[block.id])
        return block

    def messages(self) -> tuple[Message, ...]:
        """The turns, and every call with the token that its origin wants back.

        Reasoning that leads to nothing is left out: a client keeps it of an answer that broke off (Codex sends it
        again with each new attempt), and no provider takes a turn that ends in it.
        """
        messages = []
        for role, blocks in self._messages:
            led = len(blocks)
            while led and role == "assistant" and isinstance(blocks[led - 1], Thinking):
                led -= 1
                self.dropped.add("reasoning")
            if led or not blocks:
                messages.append(Message(role, tuple(map(self._signed, blocks[:led]))))
        return tuple(messages)


def _read_turns(fields: Fields) -> _Turns:
    turns = _Turns()
    raw = fields.get("input")
    if raw is not None and memoryview(raw)[0] == _QUOTE:
        turns.ask(read_text(fields, "input") or "")
        return turns
    items = input_items(fields)
    if not items:
        raise InvalidRequest("input is required", param="input")
    for index, raw in enumerate(items):
        try:
            turns.add(raw)
        except UNREADABLE as exc:
            raise InvalidRequest(f"input[{index}] could not be read: {exc}", param=f"input[{index}]") from exc
        except InvalidRequest as exc:
            where = f"input[{index}].{exc.param}"
            raise InvalidRequest(f"{where}: {exc.message}", param=where) from exc
    return turns


def _read_reasoning(fields: Fields) -> Reasoning | None:
    if "reasoning" not in fields:
        return None
    try:
        given = _decode_thinking(fields["reasoning"])
    except UNREADABLE as exc:
        raise InvalidRequest(f"reasoning could not be read: {exc}", param="reasoning") from exc
    if given is None:
        return None
    if given.effort == "none":
        return Reasoning(is_enabled=False)
    summary = given.summary or given.generate_summary
    if given.effort is None and summary is None:
        return None
    shows = None if summary is None else summary != "none"
    return Reasoning(is_adaptive=given.effort is None, effort=given.effort, shows=shows)


def _read_output(fields: Fields) -> tuple[OutputFormat | None, str | None]:
    """The format of the output and its verbosity."""
    if "text" not in fields:
        return None, None
    try:
        given = _decode_text(fields["text"]) or _Text()
    except UNREADABLE as exc:
        raise InvalidRequest(f"text could not be read: {exc}", param="text") from exc
    asked = given.format or _Format()
    if asked.type == "json_schema":
        output = OutputFormat(schema=asked.schema, name=asked.name, description=asked.description, strict=asked.strict)
        return output, given.verbosity
    return OutputFormat() if asked.type == "json_object" else None, given.verbosity


def _unsaid(fields: Fields) -> set[str]:
    """The fields that have no place in a conversation, but for those that say nothing."""
    return {
        name for name, raw in fields.items() if name not in _KNOWN and bytes(raw) not in (b"null", _DEFAULTS.get(name))
    }


def read_request(fields: Fields) -> Conversation:
    """What a client's body asks. Raises `InvalidRequest`."""
    turns = _read_turns(fields)
    messages = turns.messages()
    instructions = read_text(fields, "instructions")
    tools = read_tools([*given_tools(fields), *turns.tools])
    choice, allowed, is_foreign_choice = read_choice(fields)
    if allowed is not None:
        tools = tuple(tool for tool in tools if not isinstance(tool, Tool) or tool.name in allowed)
    output, verbosity = _read_output(fields)
    dropped = _unsaid(fields) | turns.dropped | ({"tool_choice"} if is_foreign_choice else set())
    return Conversation(
        system=(*([Text(instructions)] if instructions else ()), *turns.system),
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=read_flag(fields, "parallel_tool_calls"),
        reasoning=_read_reasoning(fields),
        output=output,
        stream=bool(read_flag(fields, "stream")),
        max_tokens=read_integer(fields, "max_output_tokens", 1),
        temperature=read_number(fields, "temperature", 0.0, 2.0),
        top_p=read_number(fields, "top_p", 0.0, 1.0),
        presence_penalty=read_number(fields, "presence_penalty", -_MAX_PENALTY, _MAX_PENALTY),
        frequency_penalty=read_number(fields, "frequency_penalty", -_MAX_PENALTY, _MAX_PENALTY),
        user=read_text(fields, "safety_identifier") or read_text(fields, "user"),
        service_tier=read_text(fields, "service_tier"),
        verbosity=verbosity,
        cache_key=read_text(fields, "prompt_cache_key"),
        dropped=tuple(sorted(dropped)),
    )
