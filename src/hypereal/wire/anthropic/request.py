"""A request to and from the canonical conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.anthropic.content import ContentReader
from hypereal.wire.anthropic.messages import MessagesWriter, write_text
from hypereal.wire.anthropic.reasoning import read_output_config, read_reasoning, write_reasoning
from hypereal.wire.anthropic.schema import accepted_schema
from hypereal.wire.anthropic.shapes import Dropped, read_as
from hypereal.wire.anthropic.thinking import with_call_tokens
from hypereal.wire.anthropic.tools import is_forced, read_choice, read_tools, write_choice, write_tools
from hypereal.wire.conversation import Aim, Conversation, Message, OutputFormat, Role, Text, Written
from hypereal.wire.fields import NULL, UNREADABLE, read_flag, read_integer, read_list, read_number

BILLING_MARK = "x-anthropic-billing-header:"
"""How the first system block of Claude Code begins: it changes from run to run and would spoil an upstream's cache."""
USER_CHARACTERS = 64
"""The longest user id that OpenAI takes; Claude Code's is a JSON document, which means nothing to others."""
_TIERS = {"auto": "auto", "standard_only": "default"}
_TIERS_OUT = {tier: name for name, tier in _TIERS.items()}
_READ = frozenset(
    {
        "max_tokens",
        "messages",
        "model",
        "output_config",
        "output_format",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_UNNAMED = frozenset(
    {"betas", "cache_control", "diagnostics", "hypereal", "intent", "metadata", "user_profile_id", "workspace_id"}
)
"""Fields that only its own provider has a use for, and whose absence changes no answer."""
_KNOWN = _READ | _UNNAMED
_MOST_TEMPERATURE = 1.0
_LEAST_TOP_P_THINKING = 0.95
_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


class _Message(msgspec.Struct):
    role: str
    content: msgspec.Raw = NULL
    output_config: msgspec.Raw = NULL


class _Format(msgspec.Struct):
    type: str
    schema: Any = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_format = msgspec.json.Decoder(_Format).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_string = msgspec.json.Decoder(str).decode
_decode_strings = msgspec.json.Decoder(list[str]).decode


def read_request(given: Mapping[str, msgspec.Raw]) -> Conversation:
    """What a client asks; raises `InvalidRequest` naming the field that can't be read."""
    fields = dict(given)
    dropped: Dropped = {name: None for name, raw in fields.items() if name not in _KNOWN and raw != NULL}
    content = ContentReader(dropped)
    effort, output = read_output_config(fields)
    choice, parallel = read_choice(fields, dropped)
    return Conversation(
        system=_read_system(fields, content),
        messages=_read_messages(fields, content),
        tools=read_tools(fields),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        reasoning=read_reasoning(fields, effort, dropped),
        output=_read_output(fields, output, dropped),
        stream=read_flag(fields, "stream") or False,
        max_tokens=read_integer(fields, "max_tokens", 1),
        temperature=read_number(fields, "temperature", 0.0, 2.0),
        top_p=read_number(fields, "top_p", 0.0, 1.0),
        top_k=read_integer(fields, "top_k", 0),
        stop=tuple(read_as(fields, "stop_sequences", _decode_strings) or ()),
        user=_read_user(fields),
        service_tier=_read_tier(fields, dropped),
        dropped=tuple(dropped),
    )


def _read_user(fields: Mapping[str, msgspec.Raw]) -> str | None:
    user = (read_as(fields, "metadata", _decode_metadata) or _Metadata()).user_id
    return user if user is not None and len(user) <= USER_CHARACTERS else None


def _read_tier(fields: Mapping[str, msgspec.Raw], dropped: Dropped) -> str | None:
    tier = read_as(fields, "service_tier", _decode_string)
    if tier is not None and tier not in _TIERS:
        dropped["service_tier"] = None
    return _TIERS.get(tier or "")


def _read_output(fields: Mapping[str, msgspec.Raw], output: msgspec.Raw, dropped: Dropped) -> OutputFormat | None:
    """`output_config.format`, or `output_format` as it was called in the beta."""
    named = fields if output == NULL else {"output_format": output}
    wanted = read_as(named, "output_format", _decode_format)
    if wanted is None:
        return None
    if wanted.type != "json_schema":
        dropped["output_format"] = None
        return None
    return OutputFormat(schema=wanted.schema)


def _read_system(fields: Mapping[str, msgspec.Raw], content: ContentReader) -> tuple[Text, ...]:
    blocks = read_as(fields, "system", content.read) or []
    texts = [block for block in blocks if isinstance(block, Text)]
    if texts and texts[0].text.startswith(BILLING_MARK):
        del texts[0]
    return tuple(texts)


def _read_messages(fields: Mapping[str, msgspec.Raw], content: ContentReader) -> tuple[Message, ...]:
    messages: list[Message] = []
    for position, raw in enumerate(read_list(dict(fields), "messages")):
        try:
            message = _read_message(raw, content)
        except UNREADABLE as exc:
            raise InvalidRequest(f"messages[{position}]: {exc}", param="messages") from exc
        if message is not None:
            messages.append(message)
    return tuple(messages)


def _read_message(raw: msgspec.Raw, content: ContentReader) -> Message | None:
    """None for a message that only configures the answers after it."""
    message = _decode_message(raw)
    role = _ROLES.get(message.role)
    if role is None:
        raise msgspec.ValidationError("role must be user, assistant or system")
    if message.output_config != NULL:
        content.dropped["output_config"] = None
        if message.content == NULL:
            return None
    return Message(role, with_call_tokens(content.read(message.content)))


def write_request(conversation: Conversation, aim: Aim) -> Written:
    """The body that asks it of an upstream."""
    dropped: Dropped = {}
    fields: dict[str, Any] = {"model": aim.model}
    fields["max_tokens"] = min(conversation.max_tokens or aim.default_output_tokens, aim.max_output_tokens)
    system, messages = _split_system(conversation)
    written = [block for text in system if (block := write_text(text)) is not None]
    if written:
        fields["system"] = written
    turns = MessagesWriter(dropped).write(messages)
    fields["messages"] = [{"role": role, "content": blocks} for role, blocks in turns]
    tools = write_tools(conversation.tools, dropped)
    if tools:
        fields["tools"] = tools
        choice = write_choice(conversation)
        if choice is not None:
            fields["tool_choice"] = choice
    elif conversation.tool_choice is not None:
        dropped["tool_choice"] = None
    config = _write_output(conversation, dropped)
    thinking, effort, is_left_out = write_reasoning(conversation.reasoning, aim, fields["max_tokens"], turns)
    if thinking is not None and thinking["type"] != "disabled" and tools and is_forced(conversation):
        thinking, is_left_out = None, True
    if is_left_out:
        dropped["thinking"] = None
    if thinking is not None:
        fields["thinking"] = thinking
    if effort is not None:
        config["effort"] = effort
    if config:
        fields["output_config"] = config
    thinks = thinking is not None and thinking["type"] != "disabled"
    fields |= _sampling(conversation, thinks=thinks, dropped=dropped)
    fields |= _rest(conversation, dropped)
    return Written(fields, tuple(dropped))


def _split_system(conversation: Conversation) -> tuple[list[Text], tuple[Message, ...]]:
    """What stands before the first message: system messages there belong to it."""
    system = list(conversation.system)
    messages = conversation.messages
    lead = 0
    while lead < len(messages) and messages[lead].role == "system":
        system += [block for block in messages[lead].blocks if isinstance(block, Text)]
        lead += 1
    return system, messages[lead:]


def _write_output(conversation: Conversation, dropped: Dropped) -> dict[str, Any]:
    output = conversation.output
    if output is None:
        return {}
    if not isinstance(output.schema, dict):
        dropped["output"] = None
        return {}
    return {"format": {"type": "json_schema", "schema": accepted_schema(output.schema)}}


def _sampling(conversation: Conversation, *, thinks: bool, dropped: Dropped) -> dict[str, Any]:
    """Temperature and its kin: up to 1, not together with `top_p`, and hardly any of them with thinking."""
    sampling: dict[str, Any] = {}
    temperature, top_p, top_k = conversation.temperature, conversation.top_p, conversation.top_k
    if temperature is not None:
        if temperature > _MOST_TEMPERATURE or (thinks and temperature != _MOST_TEMPERATURE):
            dropped["temperature"] = None
        if not thinks:
            sampling["temperature"] = min(temperature, _MOST_TEMPERATURE)
    if top_p is not None and top_p < 1:
        if sampling or (thinks and top_p < _LEAST_TOP_P_THINKING):
            dropped["top_p"] = None
        else:
            sampling["top_p"] = top_p
    if top_k is not None:
        if thinks:
            dropped["top_k"] = None
        else:
            sampling["top_k"] = top_k
    return sampling


def _stop_sequences(stop: Iterable[str], dropped: Dropped) -> list[str]:
    """Anthropic refuses those of white space alone."""
    kept = [sequence for sequence in stop if sequence.strip()]
    if len(kept) != len(tuple(stop)):
        dropped["stop"] = None
    return kept


def _rest(conversation: Conversation, dropped: Dropped) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    stop = _stop_sequences(conversation.stop, dropped)
    if stop:
        fields["stop_sequences"] = stop
    if conversation.stream:
        fields["stream"] = True
    if conversation.user:
        fields["metadata"] = {"user_id": conversation.user}
    tier = conversation.service_tier
    if tier in _TIERS_OUT:
        fields["service_tier"] = _TIERS_OUT[tier]
    elif tier is not None:
        dropped["service_tier"] = None
    for name in ("seed", "presence_penalty", "frequency_penalty", "verbosity"):
        if getattr(conversation, name) is not None:
            dropped[name] = None
    return fields
