"""Gemini's request: contents, functions and generation config, in either spelling of a field's name.

Google refuses fields that it does not know, and so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hypereal.sandbox.answers import Request, Structure
from hypereal.sandbox.conversation import Conversation, Turn
from hypereal.sandbox.gemini_contents import read_contents, texts_of
from hypereal.sandbox.request import MAX_OUTPUT_TOKENS, BadRequest, Sampling
from hypereal.sandbox.tools import EMPTY_PARAMETERS, Offer, Tool

Body = Mapping[str, Any]

_FIELDS = frozenset(
    {
        "cachedContent",
        "contents",
        "generationConfig",
        "labels",
        "model",
        "safetySettings",
        "serviceTier",
        "store",
        "systemInstruction",
        "toolConfig",
        "tools",
    }
)
_CONFIG = frozenset(
    {
        "audioTimestamp",
        "candidateCount",
        "enableEnhancedCivicAnswers",
        "frequencyPenalty",
        "imageConfig",
        "logprobs",
        "maxOutputTokens",
        "mediaResolution",
        "presencePenalty",
        "responseFormat",
        "responseJsonSchema",
        "responseLogprobs",
        "responseMimeType",
        "responseModalities",
        "responseSchema",
        "seed",
        "speechConfig",
        "stopSequences",
        "temperature",
        "thinkingConfig",
        "topK",
        "topP",
    }
)
_NAME = re.compile(r"[a-zA-Z_][\w.:-]{0,127}", re.ASCII)
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto", "MODE_UNSPECIFIED": "auto"}
_THINKING_MODEL = re.compile(r"gemini-(?:2\.5|[3-9])|thinking", re.IGNORECASE)
_LEVELS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}


def read_gemini(model: str, stream: bool, body: Body) -> Request:
    """What a request asks for; `model` and `stream` stand in its path. Raises `BadRequest`."""
    fields = camel(body, _FIELDS, "")
    config = camel(_mapping(fields, "generationConfig"), _CONFIG, "generation_config")
    system = fields.get("systemInstruction")
    turns = () if system is None else (Turn(role="system", text=texts_of(system, "system_instruction")),)
    tools = tuple(_tools(fields.get("tools")))
    return Request(
        model=model,
        conversation=Conversation(turns=(*turns, *read_contents(fields.get("contents")))),
        offer=_offer(fields, tools),
        sampling=_sampling(config, model, stream),
        structure=_structure(config),
        tool_text=msgspec.json.encode(fields["tools"]).decode() if fields.get("tools") else "",
        body=fields,
    )


def read_count(model: str, body: Body) -> Request:
    """What a request to count tokens asks for: contents, or a whole request in `generateContentRequest`."""
    whole = body.get("generateContentRequest", body.get("generate_content_request"))
    return read_gemini(model, False, whole if isinstance(whole, dict) else body)


def camel(body: Body, known: frozenset[str], where: str) -> dict[str, Any]:
    """The fields under their names in camel case. Raises `BadRequest` for one that is not known."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        head, *rest = name.split("_")
        spelled = head + "".join(part.capitalize() for part in rest)
        if spelled not in known:
            place = f" at '{where}'" if where else ""
            what = f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.'
            raise BadRequest(what)
        if value is not None:
            found[spelled] = value
    return found


def _mapping(body: Body, name: str) -> Body:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise BadRequest(f"Invalid value at '{name}' (type.googleapis.com/google.protobuf.Struct)")
    return value


def thinking_config(body: Body) -> Body:
    """`thinkingConfig` of a request that was read."""
    config = camel(_mapping(body, "generationConfig"), _CONFIG, "generation_config")
    known = frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"})
    return camel(_mapping(config, "thinkingConfig"), known, "generation_config.thinking_config")


def _sampling(config: Body, model: str, stream: bool) -> Sampling:
    thinking = thinking_config({"generationConfig": config})
    level = str(thinking.get("thinkingLevel", "")).upper()
    stops = config.get("stopSequences", [])
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops) or len(stops) > 5:
        raise BadRequest("* GenerateContentRequest.generation_config.stop_sequences: at most 5 strings are supported.")
    limit = _integer(config, "maxOutputTokens", low=1)
    return Sampling(
        n=_integer(config, "candidateCount", low=1, high=8) or 1,
        limit=None if limit is None else min(limit, MAX_OUTPUT_TOKENS),
        stop=tuple(stop for stop in stops if stop),
        seed=_integer(config, "seed", low=-(2**31)) or 0,
        thinks=thinking.get("thinkingBudget") != 0 if thinking else _THINKING_MODEL.search(model) is not None,
        effort=_LEVELS.get(level, ""),
        stream=stream,
    )


def _integer(config: Body, name: str, *, low: int, high: int = 2**31 - 1) -> int | None:
    value = config.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise BadRequest(f"Invalid value at 'generation_config.{name}' (TYPE_INT32), {value!r}")
    if not low <= value <= high:
        raise BadRequest(f"* GenerateContentRequest.generation_config.{name}: must be from {low} to {high}.")
    return value


def _tools(listed: object) -> Iterator[Tool]:
    if listed is None:
        return
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise BadRequest("Invalid value at 'tools': expected a list of messages.")
    for index, item in enumerate(listed):
        declared = item.get("functionDeclarations", item.get("function_declarations", []))
        if not isinstance(declared, list):
            raise BadRequest(f"Invalid value at 'tools[{index}].function_declarations'.")
        for number, function in enumerate(declared):
            yield _function(function, f"tools[{index}].function_declarations[{number}]")


def _function(item: object, where: str) -> Tool:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(name, str) or not _NAME.fullmatch(name):
        what = "Invalid function name. Must start with a letter or an underscore."
        raise BadRequest(f"* GenerateContentRequest.{where}.name: {what}")
    json_schema = item.get("parametersJsonSchema", item.get("parameters_json_schema"))
    parameters = json_schema if json_schema is not None else _lowered(item.get("parameters"))
    description = item.get("description")
    return Tool(
        name=name,
        description=description if isinstance(description, str) else "",
        parameters=parameters if isinstance(parameters, dict) and parameters else EMPTY_PARAMETERS,
    )


def _lowered(schema: Any) -> Any:
    """A schema of Google's own as JSON schema: its types are in upper case there."""
    if isinstance(schema, list):
        return [_lowered(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    lowered = {key: part if key == "enum" else _lowered(part) for key, part in schema.items()}
    if isinstance(schema.get("type"), str):
        lowered["type"] = schema["type"].lower()
    return lowered


def _offer(body: Body, tools: tuple[Tool, ...]) -> Offer:
    config = camel(_mapping(body, "toolConfig"), frozenset({"functionCallingConfig", "retrievalConfig"}), "tool_config")
    calling = camel(
        _mapping(config, "functionCallingConfig"),
        frozenset({"mode", "allowedFunctionNames", "streamFunctionCallArguments"}),
        "tool_config.function_calling_config",
    )
    said = str(calling.get("mode", "AUTO"))
    if said not in _MODES:
        raise BadRequest(f"Invalid value at 'tool_config.function_calling_config.mode' (TYPE_ENUM), \"{said}\"")
    allowed = calling.get("allowedFunctionNames")
    if allowed:
        names = allowed if isinstance(allowed, list) else []
        tools = tuple(tool for tool in tools if tool.name in names)
    return Offer(tools=tools, mode=_MODES[said] if tools else "none")


def _structure(config: Body) -> Structure | None:
    kind = config.get("responseMimeType", "text/plain")
    given = config.get("responseJsonSchema")
    schema = given if given is not None else _lowered(config.get("responseSchema"))
    if schema is not None and kind != "application/json":
        raise BadRequest(
            "Function calling with a response mime type: 'text/plain' and a response schema is unsupported"
        )
    if kind != "application/json":
        return None
    return Structure(field="generation_config.response_schema", schema=schema if isinstance(schema, dict) else None)
