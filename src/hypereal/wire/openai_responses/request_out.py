"""The canonical conversation as a request to an upstream that speaks the Responses API.

Nothing is stored there: the whole history is sent each time, and reasoning comes back encrypted, to be sent again.
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
    ToolCall,
    ToolResult,
    Written,
    effort_of,
)
from hypereal.wire.openai_responses.items import NAME
from hypereal.wire.openai_responses.media import write_media
from hypereal.wire.openai_responses.tools import write_choice, write_tools

LEAST_OUTPUT_TOKENS = 16
"""The API refuses a lower limit, and clients of other formats probe with less."""
_UNSAYABLE = ("top_k", "seed", "stop", "presence_penalty", "frequency_penalty")
_ROLES = {"user": "user", "assistant": "assistant", "system": "developer"}


class _Items:
    """The `input` as it grows, block by block; `dropped` names what it does not say."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.dropped: set[str] = set()

    def add(self, message: Message) -> None:
        parts: list[Any] = []
        for block in message.blocks:
            if isinstance(block, Text | Media):
                part = self._part(block, message.role)
                parts += [part] if part is not None else []
                continue
            self._flush(message.role, parts)
            item = self._item(block)
            if item is not None:
                self.items.append(item)
        self._flush(message.role, parts)

    def _flush(self, role: str, parts: list[Any]) -> None:
        if parts:
            self.items.append({"type": "message", "role": _ROLES[role], "content": parts.copy()})
            parts.clear()

    def _part(self, block: Text | Media, role: str) -> dict[str, Any] | None:
        if isinstance(block, Text):
            return {"type": "output_text" if role == "assistant" else "input_text", "text": block.text}
        part = write_media(block) if role != "assistant" else None
        if part is None:
            self.dropped.add(block.kind)
        return part

    def _item(self, block: Block) -> Any:
        if isinstance(block, ToolCall):
            return self._call(block)
        if isinstance(block, ToolResult):
            kind = "custom_tool_call_output" if block.is_custom else "function_call_output"
            return {"type": kind, "call_id": block.call_id, "output": self._output(block)}
        if isinstance(block, Thinking):
            return self._reasoning(block)
        if isinstance(block, Foreign) and block.origin == NAME:
            return msgspec.Raw(block.raw)
        self.dropped.add(getattr(block, "kind", ""))
        return None

    def _call(self, block: ToolCall) -> dict[str, Any]:
        if block.opaque is not None:
            self.dropped.add("thinking")
        if block.is_custom:
            return {"type": "custom_tool_call", "call_id": block.id, "name": block.name, "input": block.arguments}
        return {"type": "function_call", "call_id": block.id, "name": block.name, "arguments": block.arguments}

    def _output(self, block: ToolResult) -> Any:
        if block.is_error:
            self.dropped.add("is_error")
        parts = [part for content in block.content if (part := self._output_part(content)) is not None]
        if not parts:
            return ""
        return parts[0]["text"] if len(parts) == 1 and "text" in parts[0] else parts

    def _output_part(self, block: Text | Media) -> dict[str, Any] | None:
        if isinstance(block, Text) or block.kind in ("image", "file"):
            return self._part(block, "user")
        self.dropped.add(block.kind)
        return None

    def _reasoning(self, block: Thinking) -> dict[str, Any] | None:
        token = block.opaque
        if token is None or token.origin != NAME:
            self.dropped.add("thinking")
            return None
        named = {"id": token.id} if token.id else {}
        summary = [{"type": "summary_text", "text": block.text}] if block.text else []
        return {"type": "reasoning", **named, "summary": summary, "encrypted_content": token.data}


def _reasoning(asked: Reasoning) -> dict[str, Any]:
    """`effort` and `summary`; what is left to the model (`adaptive`) is not said."""
    if not asked.is_enabled:
        return {"effort": "none"}
    effort = asked.effort or (effort_of(asked.budget_tokens) if asked.budget_tokens is not None else None)
    said = {"effort": effort} if effort else {}
    return {**said, "summary": "auto"} if asked.shows else said


def _format(output: OutputFormat) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    described = {"description": output.description} if output.description is not None else {}
    strict = {"strict": output.strict} if output.strict is not None else {}
    return {"type": "json_schema", "name": output.name or "output", "schema": output.schema, **described, **strict}


def _options(conversation: Conversation, aim: Aim) -> dict[str, Any]:
    """Everything but what was said: None where there is nothing to say."""
    text: dict[str, Any] = {}
    if conversation.output is not None:
        text["format"] = _format(conversation.output)
    if conversation.verbosity is not None:
        text["verbosity"] = conversation.verbosity
    limit = conversation.max_tokens
    reasoning = conversation.reasoning
    wants_reasoning = reasoning is not None and reasoning.is_enabled
    return {
        "stream": conversation.stream or None,
        "max_output_tokens": max(min(limit, aim.max_output_tokens), LEAST_OUTPUT_TOKENS) if limit else None,
        "temperature": conversation.temperature,
        "top_p": conversation.top_p,
        "parallel_tool_calls": conversation.parallel_tool_calls,
        "reasoning": (_reasoning(reasoning) if reasoning is not None else None) or None,
        "include": ["reasoning.encrypted_content"] if wants_reasoning else None,
        "text": text or None,
        "safety_identifier": conversation.user,
        "service_tier": conversation.service_tier,
        "prompt_cache_key": conversation.cache_key,
    }


def write_request(conversation: Conversation, aim: Aim) -> Written:
    """The body that asks it of an upstream."""
    items = _Items()
    for message in conversation.messages:
        items.add(message)
    fields: dict[str, Any] = {"model": aim.model, "store": False}
    if conversation.system:
        fields["instructions"] = "\n\n".join(text.text for text in conversation.system)
    fields["input"] = items.items
    tools = write_tools(conversation.tools, items.dropped)
    if tools:
        fields["tools"] = tools
    if conversation.tool_choice is not None and (tools or conversation.tool_choice.mode == "none"):
        fields["tool_choice"] = write_choice(conversation.tool_choice, conversation.tools)
    fields |= {name: value for name, value in _options(conversation, aim).items() if value is not None}
    unsaid = {name for name in _UNSAYABLE if getattr(conversation, name) not in (None, ())}
    return Written(fields, tuple(sorted(items.dropped | unsaid)))
