"""Requests in and out: what Google's fields mean in a conversation, and a conversation in Google's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hypereal.wire.conversation import Aim, Conversation, OutputFormat, Reasoning, Written
from hypereal.wire.fields import Fields, read_flag, read_integer, read_number, read_text
from hypereal.wire.gemini.generations import thinking_config, thinks
from hypereal.wire.gemini.schema import to_json_schema
from hypereal.wire.gemini.spelling import read_json, read_names, read_object, spelled
from hypereal.wire.gemini.tools import read_choice, read_tools, write_choice, write_tools
from hypereal.wire.gemini.turns import read_system, read_turns
from hypereal.wire.gemini.written_turns import WrittenTurns

_READ = frozenset({"contents", "generationConfig", "systemInstruction", "tools", "toolConfig", "serviceTier", "stream"})
_SILENT = frozenset({"model", "labels", "store", "hypereal", "intent"})
"""Fields that mean nothing to another provider: leaving them out changes no answer."""
_OPTIONS = frozenset(
    {
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "stopSequences",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "thinkingConfig",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "_responseJsonSchema",
    }
)
_SCHEMAS = "responseJsonSchema", "_responseJsonSchema", "responseSchema"
_JSON = "application/json"
_TIERS = frozenset({"standard", "flex", "priority"})
_UNSAID_TIERS = frozenset({"auto", "default"})
_MOST_TOP_K = 1_000_000
_MOST_STOPS = 5  # Google's limit
_SEED_BOUND = 2**31  # a seed is an int32 there


def read_request(given: Mapping[str, msgspec.Raw]) -> Conversation:
    """What a client's body asks. Whether it is to be streamed may stand in the path instead."""
    fields = spelled(given)
    config = read_object(fields, "generationConfig")
    system, is_more = read_system(fields)
    choice, dropped = read_choice(fields)
    output, is_odd = _read_output(config)
    return Conversation(
        system=system,
        messages=read_turns(fields),
        tools=read_tools(fields),
        tool_choice=choice,
        reasoning=_read_reasoning(config),
        output=output,
        stream=read_flag(fields, "stream") or False,
        max_tokens=read_integer(config, "maxOutputTokens", 1),
        temperature=read_number(config, "temperature", 0, 2),
        top_p=read_number(config, "topP", 0, 1),
        top_k=_read_top_k(config),
        stop=read_names(config, "stopSequences"),
        seed=read_integer(config, "seed", -_SEED_BOUND, _SEED_BOUND - 1),
        presence_penalty=read_number(config, "presencePenalty", -2, 2),
        frequency_penalty=read_number(config, "frequencyPenalty", -2, 2),
        service_tier=(read_text(fields, "serviceTier") or "").lower() or None,
        dropped=(
            *(name for name in fields if name not in _READ and name not in _SILENT),
            *(["systemInstruction"] if is_more else []),
            *dropped,
            *(name for name, value in config.items() if name not in _OPTIONS and not _is_default(name, value)),
            *(["responseMimeType"] if is_odd else []),
        ),
    )


def _is_default(name: str, value: msgspec.Raw) -> bool:
    """Whether an option says what would be done without it."""
    if name == "candidateCount":
        return bytes(value) == b"1"
    return name == "responseModalities" and b",".join(bytes(value).split()).upper() == b'["TEXT"]'


def _read_top_k(config: Fields) -> int | None:
    top_k = read_number(config, "topK", 0, _MOST_TOP_K)  # a number with a fraction, in Google's types
    return int(top_k) if top_k else None


def _read_output(config: Fields) -> tuple[OutputFormat | None, bool]:
    """The format of the answer, and whether it is one that nobody else has."""
    kind = read_text(config, "responseMimeType") or "text/plain"
    name = next((name for name in _SCHEMAS if name in config), None)
    schema = read_json(config, name) if name else None
    if name == "responseSchema":
        schema = to_json_schema(schema, name)
    if kind == _JSON:
        return OutputFormat(schema=schema), False
    return None, kind != "text/plain"


def _read_reasoning(config: Fields) -> Reasoning | None:
    thinking = read_object(config, "thinkingConfig")
    if not thinking:
        return None
    shows = read_flag(thinking, "includeThoughts")
    level = (read_text(thinking, "thinkingLevel") or "").lower()
    budget = read_integer(thinking, "thinkingBudget", -1)
    if budget == 0:
        return Reasoning(is_enabled=False, shows=shows)
    if budget is not None and budget > 0:
        return Reasoning(budget_tokens=budget, shows=shows)
    if level and level != "thinking_level_unspecified":
        return Reasoning(effort=level, shows=shows)
    return Reasoning(is_adaptive=True, shows=shows)


def write_request(conversation: Conversation, aim: Aim) -> Written:
    """The body that asks it of Google; the model and whether to stream belong into its address."""
    dropped: dict[str, None] = {}

    def drop(name: str) -> None:
        dropped[name] = None

    fields: dict[str, Any] = {"contents": WrittenTurns(conversation.messages, aim.model, drop).contents}
    system = [{"text": block.text} for block in conversation.system if block.text]
    if any(block.cache is not None for block in conversation.system):
        drop("cache_control")
    if system:
        fields["systemInstruction"] = {"parts": system}
    tools = write_tools(conversation.tools, drop)
    if tools:
        fields["tools"] = tools
    if conversation.tool_choice is not None:
        fields["toolConfig"] = write_choice(conversation.tool_choice)
    if conversation.service_tier in _TIERS:
        fields["serviceTier"] = conversation.service_tier
    config = _write_config(conversation, aim)
    if config:
        fields["generationConfig"] = config
    for name in _unsaid(conversation, aim):
        drop(name)
    return Written(fields, tuple(dropped))


def _write_config(conversation: Conversation, aim: Aim) -> dict[str, Any]:
    limit = conversation.max_tokens
    config: dict[str, Any] = {
        "maxOutputTokens": min(limit, aim.max_output_tokens) if limit is not None else None,
        "temperature": conversation.temperature,
        "topP": conversation.top_p,
        "topK": conversation.top_k,
        "stopSequences": list(conversation.stop[:_MOST_STOPS]) or None,
        "seed": conversation.seed if _is_sayable(conversation.seed) else None,
        "presencePenalty": conversation.presence_penalty,
        "frequencyPenalty": conversation.frequency_penalty,
    }
    if conversation.reasoning is not None and thinks(aim.model):
        config["thinkingConfig"] = thinking_config(conversation.reasoning, aim.model) or None
    if conversation.output is not None:
        config["responseMimeType"] = _JSON
        config["responseJsonSchema"] = conversation.output.schema
    return {name: value for name, value in config.items() if value is not None}


def _is_sayable(seed: int | None) -> bool:
    return seed is not None and -_SEED_BOUND <= seed < _SEED_BOUND


def _unsaid(conversation: Conversation, aim: Aim) -> list[str]:
    """What Google has no field for, of what would have changed the answer."""
    reasoning, tier = conversation.reasoning, conversation.service_tier
    unsaid = {
        "parallel_tool_calls": conversation.parallel_tool_calls is False,
        "reasoning": reasoning is not None and reasoning.is_enabled and not thinks(aim.model),
        "stop": len(conversation.stop) > _MOST_STOPS,
        "seed": conversation.seed is not None and not _is_sayable(conversation.seed),
        "verbosity": conversation.verbosity is not None,
        "service_tier": tier is not None and tier not in _TIERS | _UNSAID_TIERS,
    }
    return [name for name, is_unsaid in unsaid.items() if is_unsaid]
