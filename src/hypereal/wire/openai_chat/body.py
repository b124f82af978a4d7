"""A canonical conversation as the Chat Completions body for an upstream.

Rules where chat says less: a tool's result is text, so its images follow in a message of the user's; a failed result
says so in its text; the system's texts are one message; a text document becomes text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.wire.conversation import (
    Aim,
    Block,
    Conversation,
    Foreign,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Written,
    effort_of,
)
from hypereal.wire.openai_chat.answer import write_call, write_extra
from hypereal.wire.openai_chat.media import text_of, write_media
from hypereal.wire.openai_chat.reasoning import DIALECT, write_reasoning

MOST_STOPS = 4  # the ceiling in OpenAI's reference
MOST_USER_LENGTH = 64  # OpenAI refuses longer names of users
SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
FAILED = "Error: "
"""How a result that is an error begins, unless it begins so by itself."""
SEE_BELOW = "(see the attachment below)"
_GAP = "\n\n"

_Object = dict[str, Any]


def write_request(conversation: Conversation, aim: Aim) -> Written:
    writer = _Writer()
    fields: _Object = {"model": aim.model, "messages": writer.messages(conversation)}
    fields |= writer.tools(conversation)
    fields |= writer.options(conversation)
    if conversation.max_tokens is not None:
        fields["max_tokens"] = min(conversation.max_tokens, aim.max_output_tokens)
    fields["stream"] = conversation.stream
    if conversation.stream:
        fields["stream_options"] = {"include_usage": True}
    return Written(fields, tuple(sorted(writer.dropped)))


def _text_part(text: str) -> _Object:
    return {"type": "text", "text": text}


class _Writer:
    """Writes the parts of one body and remembers what it left out."""

    def __init__(self) -> None:
        self.dropped: set[str] = set()

    def messages(self, conversation: Conversation) -> list[_Object]:
        written = self._system(conversation.system)
        for message in conversation.messages:
            if message.role == "assistant":
                written += self._assistant(message)
            elif message.role == "user":
                written += self._user(message)
            else:
                written += self._system(tuple(block for block in message.blocks if isinstance(block, Text)))
        return written

    def _system(self, texts: tuple[Text, ...]) -> list[_Object]:
        content = _GAP.join(self._prose(text) for text in texts)
        return [{"role": "system", "content": content}] if content else []

    def _prose(self, text: Text) -> str:
        self._note_cache(text.cache)
        return text.text

    def _note_cache(self, cache: Any) -> None:
        if cache is not None:
            self.dropped.add("cache_control")

    def _user(self, message: Message) -> list[_Object]:
        """Results first: they must follow their calls at once."""
        if len(message.blocks) == 1 and type(text := message.blocks[0]) is Text:
            return [{"role": "user", "content": self._prose(text)}] if text.text else []
        results = [block for block in message.blocks if isinstance(block, ToolResult)]
        written = [self._result(result) for result in results]
        parts = [part for result in results for part in self._attachments(result)]
        parts += self._parts(tuple(block for block in message.blocks if not isinstance(block, ToolResult)))
        if len(parts) == 1 and parts[0]["type"] == "text":
            written.append({"role": "user", "content": parts[0]["text"]})
        elif parts:
            written.append({"role": "user", "content": parts})
        return written

    def _result(self, result: ToolResult) -> _Object:
        self._note_cache(result.cache)
        plain = [block if isinstance(block, Text) else text_of(block) for block in result.content]
        content = _GAP.join(self._prose(text) for text in plain if text is not None)
        if result.is_error and not content.startswith("Error"):
            content = FAILED + content
        if not content and any(text is None for text in plain):
            content = SEE_BELOW
        return {"role": "tool", "tool_call_id": result.call_id, "content": content}

    def _attachments(self, result: ToolResult) -> list[_Object]:
        """The files of a result, under a line that says whose they are."""
        parts = self._parts(
            tuple(block for block in result.content if isinstance(block, Media) and text_of(block) is None)
        )
        return [_text_part(f"Attached to the result of {result.call_id}:"), *parts] if parts else []

    def _parts(self, blocks: tuple[Block, ...]) -> list[_Object]:
        parts: list[_Object] = []
        for block in blocks:
            if isinstance(block, Text):
                parts += [_text_part(self._prose(block))] if block.text else []
            elif isinstance(block, Media):
                parts += self._media(block)
            elif isinstance(block, Foreign) and block.origin == DIALECT:
                parts.append(msgspec.json.decode(block.raw))
            else:
                self._leave_out(block)
        return parts

    def _media(self, media: Media) -> list[_Object]:
        self._note_cache(media.cache)
        part = write_media(media)
        if part is None:
            self.dropped.add(media.kind)
            return []
        return [part]

    def _leave_out(self, block: Block) -> None:
        if isinstance(block, Foreign | Media):
            self.dropped.add(block.kind)
        elif isinstance(block, Thinking):
            self.dropped.add("thinking")
        else:
            self.dropped.add("tool_call" if isinstance(block, ToolCall) else "tool_result")

    def _assistant(self, message: Message) -> list[_Object]:
        """Only reasoning of this format goes back; that of another is no prose and means nothing here."""
        thoughts: list[Thinking] = []
        texts: list[str] = []
        calls: list[_Object] = []
        for block in message.blocks:
            if isinstance(block, Text):
                texts.append(self._prose(block))
            elif isinstance(block, ToolCall):
                calls.append(self._call(block))
            elif isinstance(block, Thinking) and block.opaque is not None and block.opaque.origin == DIALECT:
                thoughts.append(block)
            else:
                self._leave_out(block)
        content = "".join(texts)
        written: _Object = {"role": "assistant", "content": content or None, **write_reasoning(thoughts)}
        if calls:
            written["tool_calls"] = calls
        return [written] if len(written) > 2 or content else []

    def _call(self, call: ToolCall) -> _Object:
        opaque = call.opaque
        if opaque is not None and opaque.origin != DIALECT:
            self.dropped.add("thinking")
            opaque = None
        return {**write_call(call), **write_extra(opaque)}

    def tools(self, conversation: Conversation) -> _Object:
        """The tools and what is said about them, which is refused where there are none."""
        tools: list[Any] = []
        for tool in conversation.tools:
            if isinstance(tool, Tool):
                self._note_cache(tool.cache)
                tools.append(_write_tool(tool))
            elif tool.origin == DIALECT:
                tools.append(msgspec.json.decode(tool.raw))
            else:
                self.dropped.add(tool.kind)
        if not tools:
            return {}
        fields: _Object = {"tools": tools}
        choice = conversation.tool_choice
        if choice is not None:
            fields["tool_choice"] = _write_choice(choice.name, conversation) if choice.name else choice.mode
        if conversation.parallel_tool_calls is not None:
            fields["parallel_tool_calls"] = conversation.parallel_tool_calls
        return fields

    def options(self, conversation: Conversation) -> _Object:
        fields = {
            "temperature": conversation.temperature,
            "top_p": conversation.top_p,
            "seed": conversation.seed,
            "presence_penalty": conversation.presence_penalty,
            "frequency_penalty": conversation.frequency_penalty,
            "stop": list(conversation.stop[:MOST_STOPS]) or None,
            "user": conversation.user if len(conversation.user or "") <= MOST_USER_LENGTH else None,
            "service_tier": conversation.service_tier if conversation.service_tier in SERVICE_TIERS else None,
            "verbosity": conversation.verbosity,
            "prompt_cache_key": conversation.cache_key,
            "reasoning_effort": _write_effort(conversation.reasoning),
            "response_format": _write_output(conversation.output),
        }
        if conversation.top_k is not None:
            self.dropped.add("top_k")
        if len(conversation.stop) > MOST_STOPS:
            self.dropped.add("stop")
        if conversation.service_tier is not None and fields["service_tier"] is None:
            self.dropped.add("service_tier")
        return {name: value for name, value in fields.items() if value is not None}


def _write_tool(tool: Tool) -> _Object:
    inner: _Object = {"name": tool.name}
    if tool.description:
        inner["description"] = tool.description
    if tool.is_custom:
        if tool.grammar is not None:
            inner["format"] = tool.grammar
        return {"type": "custom", "custom": inner}
    if tool.schema is not None:
        inner["parameters"] = tool.schema
    if tool.strict is not None:
        inner["strict"] = tool.strict
    return {"type": "function", "function": inner}


def _write_choice(name: str, conversation: Conversation) -> _Object:
    is_custom = any(isinstance(tool, Tool) and tool.is_custom and tool.name == name for tool in conversation.tools)
    kind = "custom" if is_custom else "function"
    return {"type": kind, kind: {"name": name}}


def _write_effort(reasoning: Reasoning | None) -> str | None:
    """An effort; a budget becomes the effort that has it. None leaves it to the model."""
    if reasoning is None:
        return None
    if not reasoning.is_enabled:
        return "none"
    if reasoning.effort is None and reasoning.budget_tokens is not None:
        return effort_of(reasoning.budget_tokens)
    return reasoning.effort


def _write_output(output: OutputFormat | None) -> _Object | None:
    if output is None:
        return None
    if output.schema is None:
        return {"type": "json_object"}
    fields = {
        "name": output.name or "answer",
        "description": output.description,
        "schema": output.schema,
        "strict": output.strict,
    }
    return {"type": "json_schema", "json_schema": {name: value for name, value in fields.items() if value is not None}}
