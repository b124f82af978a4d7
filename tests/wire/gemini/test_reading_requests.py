"""Requests of Google's clients, read into the conversation."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.errors import InvalidRequest
from hypereal.wire.conversation import (
    Conversation,
    Foreign,
    ForeignTool,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from hypereal.wire.gemini import CODEC
from hypereal.wire.gemini.signatures import UNSIGNED
from hypereal.wire.opaque import seal
from tests.wire.gemini.asking import raw_fields
from tests.wire.gemini.canonical import PATIENT
from tests.wire.test_parsing import JSON_VALUES

FIELDS = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "stream", "x")
PARTS = ("text", "functionCall", "functionResponse", "inlineData", "fileData", "parts", "role", "functionDeclarations")


def read(**fields: Any) -> Conversation:
    return CODEC.read_request(raw_fields(fields))


def blocks(*parts: Any, role: str | None = "model") -> tuple[Any, ...]:
    (message,) = read(contents=[{"role": role, "parts": list(parts)}]).messages
    return message.blocks


def test_what_gemini_cli_sends() -> None:
    conversation = read(
        contents=[{"role": "user", "parts": [{"text": "list files"}]}],
        systemInstruction={"role": "user", "parts": [{"text": "You are an agent"}]},
        tools=[
            {
                "functionDeclarations": [
                    {"name": "ls", "description": "List", "parametersJsonSchema": {"type": "object"}}
                ]
            }
        ],
        generationConfig={
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": -1},
        },
    )
    assert conversation == Conversation(
        system=(Text("You are an agent"),),
        messages=(Message("user", (Text("list files"),)),),
        tools=(Tool(name="ls", description="List", schema={"type": "object"}),),
        temperature=1.0,
        top_p=0.95,
        top_k=64,
        reasoning=Reasoning(is_adaptive=True, shows=True),
    )


def test_every_option_in_either_spelling() -> None:
    config = {
        "max_output_tokens": 5,
        "stop_sequences": ["x"],
        "seed": -3,
        "presence_penalty": 0.5,
        "frequencyPenalty": -1,
        "top_k": 0,
        "candidate_count": 1,
        "responseModalities": ["TEXT"],
    }
    conversation = read(contents="Hi", generation_config=config, service_tier="FLEX", stream=True, labels={"a": "b"})
    assert conversation == Conversation(
        messages=(Message("user", (Text("Hi"),)),),
        stream=True,
        max_tokens=5,
        stop=("x",),
        seed=-3,
        presence_penalty=0.5,
        frequency_penalty=-1.0,
        service_tier="flex",
    )


def test_what_has_no_place_elsewhere_is_named_in_the_clients_words() -> None:
    conversation = read(
        contents=[],
        safetySettings=[],
        cachedContent="c",
        systemInstruction={"parts": [{"text": "a"}, {"inlineData": {"data": ""}}]},
        toolConfig={
            "retrievalConfig": {},
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
        },
        generationConfig={
            "candidateCount": 2,
            "speechConfig": {},
            "responseModalities": ["IMAGE"],
            "responseMimeType": "text/x.enum",
        },
    )
    assert conversation.dropped == (
        "safetySettings",
        "cachedContent",
        "systemInstruction",
        "retrievalConfig",
        "allowedFunctionNames",
        "candidateCount",
        "speechConfig",
        "responseModalities",
        "responseMimeType",
    )


@pytest.mark.parametrize(
    "system",
    ["Be brief", {"text": "Be brief"}, {"parts": [{"text": "Be brief"}]}, {"parts": {"text": "Be brief"}}],
)
def test_a_system_instruction_of_any_shape(system: Any) -> None:
    assert read(contents=[], systemInstruction=system).system == (Text("Be brief"),)


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({}, None),
        ({"thinkingBudget": 0, "includeThoughts": False}, Reasoning(is_enabled=False, shows=False)),
        ({"thinkingBudget": 100}, Reasoning(budget_tokens=100)),
        ({"thinkingLevel": "HIGH"}, Reasoning(effort="high")),
        ({"thinking_level": "THINKING_LEVEL_UNSPECIFIED"}, Reasoning(is_adaptive=True)),
        ({"includeThoughts": True}, Reasoning(is_adaptive=True, shows=True)),
    ],
)
def test_thinking(config: Any, reasoning: Reasoning | None) -> None:
    assert read(contents=[], generationConfig={"thinkingConfig": config}).reasoning == reasoning


@pytest.mark.parametrize(
    ("calling", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "VALIDATED"}, ToolChoice("auto")),
        ({"mode": "none"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("one", "f")),
        ({}, None),
    ],
)
def test_the_choice_of_tools(calling: Any, choice: ToolChoice | None) -> None:
    assert read(contents=[], toolConfig={"functionCallingConfig": calling}).tool_choice == choice


def test_tools_of_google_stay_as_they_are() -> None:
    tools = read(contents=[], tools=[{"googleSearch": {"a": 1}, "function_declarations": [{"name": "f"}]}]).tools
    assert tools == (
        Tool(name="f"),
        ForeignTool(origin="gemini", kind="googleSearch", raw=b'{"googleSearch":{"a":1}}'),
    )


def test_schemas_of_google_become_json_schemas() -> None:
    parameters = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True},
            "any_of": {"any_of": [{"type": "INTEGER", "format": "int32"}], "nullable": True},
            "list": {
                "type": "ARRAY",
                "items": {"type": "NUMBER", "nullable": True},
                "minItems": "2",
                "example": [1],
            },
            "open": {"type": "OBJECT", "additionalProperties": True, "nullable": False},
            "ref": {"ref": "#/defs/x"},
            "odd": 5,
            "untyped": {"nullable": True},
        },
        "defs": {"x": {"type": "BOOLEAN"}},
        "required": ["type"],
        "propertyOrdering": ["type"],
    }
    (tool,) = read(contents=[], tools=[{"functionDeclarations": [{"name": "f", "parameters": parameters}]}]).tools
    assert isinstance(tool, Tool)
    assert tool.schema == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["a", None]},
            "any_of": {"anyOf": [{"type": "integer", "format": "int32"}, {"type": "null"}]},
            "list": {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 2},
            "open": {"type": "object", "additionalProperties": True},
            "ref": {"$ref": "#/defs/x"},
            "odd": 5,
            "untyped": {},
        },
        "$defs": {"x": {"type": "boolean"}},
        "required": ["type"],
    }


def test_a_json_schema_stays_what_it_is() -> None:
    schema = {"type": ["object", "null"], "properties": 5, "items": [{"type": "string"}], "minItems": 1}
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    assert read(contents=[], generationConfig=config).output == OutputFormat(schema=schema)


def test_json_of_any_shape() -> None:
    config = {"responseMimeType": "application/json", "_responseJsonSchema": {"x": 1}}
    assert read(contents=[], generationConfig=config).output == OutputFormat(schema={"x": 1})
    config = {"responseMimeType": "application/json"}
    assert read(contents=[], generationConfig=config).output == OutputFormat()


def test_roles() -> None:
    roles = [
        read(contents=[{"role": role, "parts": []}]).messages[0].role for role in ("user", "model", "function", None)
    ]
    assert roles == ["user", "assistant", "user", "user"]
    assert read(contents=[{"role": "system", "parts": "x"}]).messages == (Message("system", (Text("x"),)),)


def test_a_signature_follows_what_bears_it() -> None:
    assert blocks({"text": "a", "thoughtSignature": "s"}) == (Text("a"), Thinking(opaque=Opaque("gemini", "s")))
    assert blocks({"text": "", "thoughtSignature": "s"}) == (Thinking(opaque=Opaque("gemini", "s")),)
    assert blocks({"thoughtSignature": "s"}) == (Thinking(opaque=Opaque("gemini", "s")),)
    assert blocks({"text": "a", "thought": True, "thoughtSignature": "s"}) == (
        Thinking(text="a", opaque=Opaque("gemini", "s")),
    )
    assert blocks({"text": "", "thought": True}, {"text": ""}, {}, {"thought": True}) == ()


def test_a_sealed_token_finds_its_way_home_whatever_the_alphabet() -> None:
    token = Opaque("anthropic", "?>~" * 5, "t1")
    sealed = seal(token, "gemini")
    for_urls = sealed.replace("+", "-").replace("/", "_")
    assert sealed != for_urls
    for text in (sealed, for_urls):
        assert blocks({"text": "", "thoughtSignature": text}) == (Thinking(opaque=token),)


def test_googles_word_for_no_signature_is_none() -> None:
    part = {"functionCall": {"name": "f"}, "thoughtSignature": UNSIGNED}
    assert blocks(part) == (ToolCall(id="call_0", name="f", arguments="{}"),)


def test_the_arguments_of_a_call_stay_byte_for_byte() -> None:
    raw = b'{"contents":[{"parts":[{"functionCall":{"id":"c","name":"f","args":{"b": 1.0,"a":"\\u00e9"}}}]}]}'
    (message,) = CODEC.read_request(msgspec.json.decode(raw, type=dict[str, msgspec.Raw])).messages
    assert message.blocks == (ToolCall(id="c", name="f", arguments='{"b": 1.0,"a":"\\u00e9"}'),)


def test_results_find_their_calls_by_id_by_name_and_by_place() -> None:
    calls = [{"name": "f"}, {"name": "g"}, {"name": "f", "id": "own"}, {"name": "g"}]
    results = [{"name": "g"}, {"name": "f", "id": "own"}, {"name": "f"}, {"name": "h"}, {"name": "z"}, {"id": "q"}]
    conversation = read(
        contents=[
            {"role": "model", "parts": [{"functionCall": call} for call in calls]},
            {"parts": [{"functionResponse": {**one, "response": {"output": "x"}}} for one in results]},
        ]
    )
    asked = [block.id for block in conversation.messages[0].blocks if isinstance(block, ToolCall)]
    answered = [block.call_id for block in conversation.messages[1].blocks if isinstance(block, ToolResult)]
    assert asked == ["call_0", "call_1", "own", "call_2"]
    assert answered == ["call_1", "own", "call_0", "call_2", "call_3", "q"]


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "done"}, "done", False),
        ({"error": "no"}, "no", True),
        ({"output": {"a": 1}}, '{"output":{"a":1}}', False),
        ({"a": 1, "b": "x"}, '{"a":1,"b":"x"}', False),
        ({"result": "x"}, '{"result":"x"}', False),
    ],
)
def test_what_a_function_answered(response: Any, text: str, is_error: bool) -> None:
    (result,) = blocks({"functionResponse": {"name": "f", "id": "c", "response": response}}, role="user")
    assert result == ToolResult(call_id="c", name="f", content=(Text(text),), is_error=is_error)


def test_a_result_may_be_nothing_or_hold_files() -> None:
    parts = [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}, {"x": 1}]
    none, files = blocks(
        {"functionResponse": {"name": "f", "id": "c"}},
        {"functionResponse": {"name": "f", "id": "c", "response": {"output": ""}, "parts": parts}},
    )
    assert none.content == ()
    assert files.content == (Media(kind="image", media_type="image/png", data="AA=="),)


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"inlineData": {"mimeType": "audio/wav", "data": "-_8=", "displayName": "a"}},
            Media(kind="audio", media_type="audio/wav", data="+/8=", name="a"),
        ),
        ({"inline_data": {}}, Media(kind="file", data="")),
        (
            {"fileData": {"fileUri": "https://x/a.PNG?b=c.pdf"}},
            Media(kind="image", url="https://x/a.PNG?b=c.pdf"),
        ),
        ({"file_data": {"file_uri": "http://[x"}}, Media(kind="file", url="http://[x")),
        (
            {"fileData": {"fileUri": "gs://b/a", "mimeType": "video/mp4"}},
            Media(kind="video", media_type="video/mp4", file_id="gs://b/a"),
        ),
    ],
)
def test_files(part: Any, media: Media) -> None:
    assert blocks(part) == (media,)
    assert blocks({**part, "thoughtSignature": "s"}) == (media, Thinking(opaque=Opaque("gemini", "s")))


def test_what_only_google_knows_stays_byte_for_byte() -> None:
    raw = b'{"thoughtSignature" : "s", "executableCode":{"code" : "1"}}'
    body = b'{"contents":[{"role":"model","parts":[' + raw + b"]}]}"
    (message,) = CODEC.read_request(msgspec.json.decode(body, type=dict[str, msgspec.Raw])).messages
    assert message.blocks == (Foreign(origin="gemini", kind="executableCode", raw=raw),)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"contents": 5}, "contents"),
        ({"contents": [5]}, "contents"),
        ({"contents": [{"parts": 5}]}, "parts"),
        ({"contents": [{"parts": [5]}]}, "parts"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "text"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "functionCall.name"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": 5}}]}]}, "args"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": 5}}]}]}, "response"),
        ({"tools": [5]}, "tools"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "functionDeclarations.name"),
        ({"toolConfig": 5}, "toolConfig"),
        ({"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": [5]}}}, "allowedFunctionNames"),
        ({"generationConfig": {"temperature": 3}}, "temperature"),
        ({"generationConfig": {"stopSequences": "x"}}, "stopSequences"),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": -2}}}, "thinkingBudget"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        read(**fields)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("contents", b'["\xff"]'),
        ("contents", b'["\\ud800 and more"]'),
        ("parameters", b'[{"functionDeclarations": [{"name": "f", "parameters": {"description": "\xff"}}]}]'),
    ],
)
def test_what_is_not_unicode_is_refused(name: str, raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match=name):
        CODEC.read_request({"contents" if name == "contents" else "tools": msgspec.Raw(raw)})


@PATIENT
@given(st.sampled_from(FIELDS), st.sampled_from(PARTS), JSON_VALUES)
def test_no_value_of_a_field_is_a_crash(field: str, part: str, value: Any) -> None:
    for fields in ({field: value}, {field: {part: value}}, {"contents": [{"parts": [{part: value}]}]}):
        with contextlib.suppress(InvalidRequest):
            assert isinstance(read(**fields), Conversation)


def test_a_schema_of_any_depth_is_no_crash() -> None:
    def declared(depth: int) -> dict[str, msgspec.Raw]:
        schema = b'{"items":' * depth + b"{}" + b"}" * depth
        return {"tools": msgspec.Raw(b'[{"functionDeclarations":[{"name":"f","parameters":' + schema + b"}]}]")}

    assert CODEC.read_request(declared(100)).tools
    for depth in (900, 200_000):
        with pytest.raises(InvalidRequest):
            CODEC.read_request(declared(depth))
