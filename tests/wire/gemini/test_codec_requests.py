"""Conversations in Google's format, in and out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.errors import InvalidRequest
from hypereal.wire.conversation import (
    Aim,
    Conversation,
    Foreign,
    ForeignTool,
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
    ToolChoice,
    ToolResult,
)
from hypereal.wire.gemini import CODEC
from hypereal.wire.gemini.signatures import UNSIGNED
from hypereal.wire.opaque import seal
from tests.wire.gemini.asking import AIM, OLDER_AIM, raw_fields
from tests.wire.gemini.canonical import PATIENT
from tests.wire.test_parsing import JSON_VALUES

FIELDS = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "stream", "x")
PARTS = ("text", "functionCall", "functionResponse", "inlineData", "fileData", "parts", "role", "functionDeclarations")
OWN = Opaque("gemini", "own==")
THEIRS = Opaque("anthropic", "theirs", "t1")


def read(**fields: Any) -> Conversation:
    return CODEC.read_request(raw_fields(fields))


def blocks(*parts: Any, role: str | None = "model") -> tuple[Any, ...]:
    (message,) = read(contents=[{"role": role, "parts": list(parts)}]).messages
    return message.blocks


def written(conversation: Conversation, aim: Aim = AIM) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = CODEC.write_request(conversation, aim)
    return json.loads(msgspec.json.encode(body.fields)), body.dropped


def turn(*content: Any, role: Role = "assistant", aim: Aim = AIM) -> tuple[Any, tuple[str, ...]]:
    """The parts that a message is written as, and what is left out of it."""
    fields, dropped = written(Conversation(messages=(Message(role, content),)), aim)
    return [part for one in fields["contents"] for part in one["parts"]], dropped


class TestReading:
    def test_what_gemini_cli_sends(self) -> None:
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

    def test_every_option_in_either_spelling(self) -> None:
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
        conversation = read(
            contents="Hi", generation_config=config, service_tier="FLEX", stream=True, labels={"a": "b"}
        )
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

    def test_what_has_no_place_elsewhere_is_named_in_the_clients_words(self) -> None:
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
    def test_a_system_instruction_of_any_shape(self, system: Any) -> None:
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
    def test_thinking(self, config: Any, reasoning: Reasoning | None) -> None:
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
    def test_the_choice_of_tools(self, calling: Any, choice: ToolChoice | None) -> None:
        assert read(contents=[], toolConfig={"functionCallingConfig": calling}).tool_choice == choice

    def test_tools_of_google_stay_as_they_are(self) -> None:
        tools = read(contents=[], tools=[{"googleSearch": {"a": 1}, "function_declarations": [{"name": "f"}]}]).tools
        assert tools == (
            Tool(name="f"),
            ForeignTool(origin="gemini", kind="googleSearch", raw=b'{"googleSearch":{"a":1}}'),
        )

    def test_schemas_of_google_become_json_schemas(self) -> None:
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

    def test_a_json_schema_stays_what_it_is(self) -> None:
        schema = {"type": ["object", "null"], "properties": 5, "items": [{"type": "string"}], "minItems": 1}
        config = {"responseMimeType": "application/json", "responseSchema": schema}
        assert read(contents=[], generationConfig=config).output == OutputFormat(schema=schema)

    def test_json_of_any_shape(self) -> None:
        config = {"responseMimeType": "application/json", "_responseJsonSchema": {"x": 1}}
        assert read(contents=[], generationConfig=config).output == OutputFormat(schema={"x": 1})
        config = {"responseMimeType": "application/json"}
        assert read(contents=[], generationConfig=config).output == OutputFormat()

    def test_roles(self) -> None:
        roles = [
            read(contents=[{"role": role, "parts": []}]).messages[0].role
            for role in ("user", "model", "function", None)
        ]
        assert roles == ["user", "assistant", "user", "user"]
        assert read(contents=[{"role": "system", "parts": "x"}]).messages == (Message("system", (Text("x"),)),)

    def test_a_signature_follows_what_bears_it(self) -> None:
        assert blocks({"text": "a", "thoughtSignature": "s"}) == (Text("a"), Thinking(opaque=Opaque("gemini", "s")))
        assert blocks({"text": "", "thoughtSignature": "s"}) == (Thinking(opaque=Opaque("gemini", "s")),)
        assert blocks({"thoughtSignature": "s"}) == (Thinking(opaque=Opaque("gemini", "s")),)
        assert blocks({"text": "a", "thought": True, "thoughtSignature": "s"}) == (
            Thinking(text="a", opaque=Opaque("gemini", "s")),
        )
        assert blocks({"text": "", "thought": True}, {"text": ""}, {}, {"thought": True}) == ()

    def test_a_sealed_token_finds_its_way_home_whatever_the_alphabet(self) -> None:
        token = Opaque("anthropic", "?>~" * 5, "t1")
        sealed = seal(token, "gemini")
        for_urls = sealed.replace("+", "-").replace("/", "_")
        assert sealed != for_urls
        for text in (sealed, for_urls):
            assert blocks({"text": "", "thoughtSignature": text}) == (Thinking(opaque=token),)

    def test_googles_word_for_no_signature_is_none(self) -> None:
        part = {"functionCall": {"name": "f"}, "thoughtSignature": UNSIGNED}
        assert blocks(part) == (ToolCall(id="call_0", name="f", arguments="{}"),)

    def test_the_arguments_of_a_call_stay_byte_for_byte(self) -> None:
        raw = b'{"contents":[{"parts":[{"functionCall":{"id":"c","name":"f","args":{"b": 1.0,"a":"\\u00e9"}}}]}]}'
        (message,) = CODEC.read_request(msgspec.json.decode(raw, type=dict[str, msgspec.Raw])).messages
        assert message.blocks == (ToolCall(id="c", name="f", arguments='{"b": 1.0,"a":"\\u00e9"}'),)

    def test_results_find_their_calls_by_id_by_name_and_by_place(self) -> None:
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
    def test_what_a_function_answered(self, response: Any, text: str, is_error: bool) -> None:
        (result,) = blocks({"functionResponse": {"name": "f", "id": "c", "response": response}}, role="user")
        assert result == ToolResult(call_id="c", name="f", content=(Text(text),), is_error=is_error)

    def test_a_result_may_be_nothing_or_hold_files(self) -> None:
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
    def test_files(self, part: Any, media: Media) -> None:
        assert blocks(part) == (media,)
        assert blocks({**part, "thoughtSignature": "s"}) == (media, Thinking(opaque=Opaque("gemini", "s")))

    def test_what_only_google_knows_stays_byte_for_byte(self) -> None:
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
    def test_a_bad_field_is_named(self, fields: dict[str, Any], named: str) -> None:
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
    def test_what_is_not_unicode_is_refused(self, name: str, raw: bytes) -> None:
        with pytest.raises(InvalidRequest, match=name):
            CODEC.read_request({"contents" if name == "contents" else "tools": msgspec.Raw(raw)})

    @PATIENT
    @given(st.sampled_from(FIELDS), st.sampled_from(PARTS), JSON_VALUES)
    def test_no_value_of_a_field_is_a_crash(self, field: str, part: str, value: Any) -> None:
        for fields in ({field: value}, {field: {part: value}}, {"contents": [{"parts": [{part: value}]}]}):
            with contextlib.suppress(InvalidRequest):
                assert isinstance(read(**fields), Conversation)

    def test_a_schema_of_any_depth_is_no_crash(self) -> None:
        def declared(depth: int) -> dict[str, msgspec.Raw]:
            schema = b'{"items":' * depth + b"{}" + b"}" * depth
            return {"tools": msgspec.Raw(b'[{"functionDeclarations":[{"name":"f","parameters":' + schema + b"}]}]")}

        assert CODEC.read_request(declared(100)).tools
        for depth in (900, 200_000):
            with pytest.raises(InvalidRequest):
                CODEC.read_request(declared(depth))


class TestWriting:
    def test_options(self) -> None:
        fields, dropped = written(
            Conversation(
                system=(Text("Be brief"), Text("")),
                messages=(Message("user", (Text("Hi"),)),),
                max_tokens=100_000,
                temperature=0.5,
                top_p=0.9,
                top_k=3,
                stop=("x",),
                seed=5,
                presence_penalty=0.1,
                frequency_penalty=0.2,
                service_tier="flex",
                parallel_tool_calls=True,
                output=OutputFormat(schema={"type": "object"}, name="n"),
                user="u",
                cache_key="k",
            )
        )
        assert fields == {
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "systemInstruction": {"parts": [{"text": "Be brief"}]},
            "serviceTier": "flex",
            "generationConfig": {
                "maxOutputTokens": 65_536,
                "temperature": 0.5,
                "topP": 0.9,
                "topK": 3,
                "stopSequences": ["x"],
                "seed": 5,
                "presencePenalty": 0.1,
                "frequencyPenalty": 0.2,
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object"},
            },
        }
        assert dropped == ()

    def test_what_google_cannot_say_is_named(self) -> None:
        cache = {"type": "ephemeral"}
        fields, dropped = written(
            Conversation(
                system=(Text("a", cache),),
                messages=(
                    Message("user", (Text("Hi", cache), Media(kind="image", file_id="file-1"))),
                    Message("assistant", (Thinking(text="Hm"), Thinking(text="Hm", opaque=THEIRS))),
                    Message("assistant", (Foreign(origin="anthropic", kind="server_tool_use", raw=b"{}"),)),
                    Message(
                        "user", (ToolResult(call_id="c", content=(Media(kind="image", file_id="f"),), cache=cache),)
                    ),
                ),
                tools=(
                    Tool(name="f", strict=True, cache=cache),
                    Tool(name="g", is_custom=True, grammar={}),
                    ForeignTool(origin="anthropic", kind="web_search", raw=b"{}"),
                ),
                stop=("1", "2", "3", "4", "5", "6"),
                seed=2**40,
                parallel_tool_calls=False,
                verbosity="low",
                service_tier="scale",
                reasoning=Reasoning(effort="high"),
            ),
            Aim(model="gemini-2.0-flash", max_output_tokens=8192, default_output_tokens=8192),
        )
        assert dropped == (
            "cache_control",
            "file_id",
            "thinking",
            "server_tool_use",
            "strict",
            "grammar",
            "web_search",
            "parallel_tool_calls",
            "reasoning",
            "stop",
            "seed",
            "verbosity",
            "service_tier",
        )
        assert fields["generationConfig"] == {"stopSequences": ["1", "2", "3", "4", "5"]}
        assert [one["role"] for one in fields["contents"]] == ["user"]
        assert fields["tools"][0]["functionDeclarations"][1]["parametersJsonSchema"]["required"] == ["input"]

    @pytest.mark.parametrize("tier", ["auto", "default"])
    def test_a_service_tier_that_says_nothing_is_not_missed(self, tier: str) -> None:
        assert written(Conversation(service_tier=tier)) == ({"contents": []}, ())

    @pytest.mark.parametrize(
        ("model", "reasoning", "config"),
        [
            ("gemini-2.5-pro", Reasoning(is_enabled=False, shows=True), {"thinkingBudget": 128}),
            ("gemini-2.5-flash", Reasoning(is_enabled=False), {"thinkingBudget": 0}),
            (
                "gemini-2.5-flash",
                Reasoning(is_adaptive=True, shows=True),
                {"thinkingBudget": -1, "includeThoughts": True},
            ),
            ("gemini-2.5-flash", Reasoning(budget_tokens=100_000), {"thinkingBudget": 24_576}),
            ("gemini-2.5-flash", Reasoning(budget_tokens=1), {"thinkingBudget": 512}),
            ("gemini-2.5-pro", Reasoning(effort="max"), {"thinkingBudget": 32_768}),
            ("gemini-2.5-pro", Reasoning(effort="low"), {"thinkingBudget": 2048}),
            ("gemini-3-pro", Reasoning(is_enabled=False), {"thinkingLevel": "LOW"}),
            ("gemini-3-flash", Reasoning(is_enabled=False), {"thinkingLevel": "MINIMAL"}),
            (
                "gemini-3.1-pro",
                Reasoning(effort="minimal", shows=False),
                {"thinkingLevel": "LOW", "includeThoughts": False},
            ),
            ("gemini-3.1-pro", Reasoning(effort="xhigh"), {"thinkingLevel": "HIGH"}),
            ("gemini-flash-latest", Reasoning(effort="unheard-of"), {"thinkingLevel": "MEDIUM"}),
            ("gemini-3-pro", Reasoning(budget_tokens=2000), {"thinkingLevel": "LOW"}),
            ("gemini-3-pro", Reasoning(is_adaptive=True), None),
        ],
    )
    def test_thinking_as_each_generation_takes_it(self, model: str, reasoning: Reasoning, config: Any) -> None:
        aim = Aim(model=model, max_output_tokens=8192, default_output_tokens=8192)
        fields, dropped = written(Conversation(reasoning=reasoning), aim)
        assert fields.get("generationConfig", {}).get("thinkingConfig") == config
        assert dropped == ()

    @pytest.mark.parametrize(
        ("choice", "config"),
        [
            (ToolChoice("auto"), {"mode": "AUTO"}),
            (ToolChoice("none"), {"mode": "NONE"}),
            (ToolChoice("required"), {"mode": "ANY"}),
            (ToolChoice("one", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ],
    )
    def test_the_choice_of_tools(self, choice: ToolChoice, config: Any) -> None:
        fields, _ = written(Conversation(tool_choice=choice))
        assert fields["toolConfig"] == {"functionCallingConfig": config}

    def test_neighbours_of_one_role_are_one_turn(self) -> None:
        fields, _ = written(
            Conversation(
                messages=(
                    Message("user", (Text("a"),)),
                    Message("system", (Text("b"),)),
                    Message("assistant", (Text(""),)),
                    Message("user", (Text("c"),)),
                    Message("assistant", (Text("d"),)),
                )
            )
        )
        assert [(one["role"], len(one["parts"])) for one in fields["contents"]] == [("user", 3), ("model", 1)]

    def test_a_signature_goes_back_untouched_to_where_it_was(self) -> None:
        token = Thinking(opaque=OWN)
        picture = Media(kind="image", media_type="image/png", data="AA==")
        parts, dropped = turn(Text("a"), token, token, picture, token, Thinking(text="b", opaque=OWN), token)
        sign = {"thoughtSignature": "own=="}
        assert parts == [
            {"text": "a", **sign},
            {"text": "", **sign},
            {"inlineData": {"mimeType": "image/png", "data": "AA=="}, **sign},
            {"text": "b", "thought": True, **sign},
            {"text": "", **sign},
        ]
        assert dropped == ()

    def test_calls_of_others_get_googles_word_for_no_signature(self) -> None:
        calls = [ToolCall(id=str(n), name="f", arguments="{}", opaque=THEIRS if n else None) for n in range(2)]
        parts, dropped = turn(*calls)
        assert [part.get("thoughtSignature") for part in parts] == [UNSIGNED, None]
        assert dropped == ("thinking",)
        parts, _ = turn(*calls, aim=OLDER_AIM)
        assert [part.get("thoughtSignature") for part in parts] == [None, None]
        parts, _ = turn(ToolCall(id="c", name="f", arguments="{}", opaque=OWN), calls[0])
        assert [part.get("thoughtSignature") for part in parts] == ["own==", None]

    @pytest.mark.parametrize(
        ("arguments", "is_custom", "args"),
        [
            ('{"a": 1}', False, {"a": 1}),
            ("", False, {}),
            ('{"a": ', False, {"input": '{"a": '}),
            ("[1]", False, {"input": "[1]"}),
            ("*** patch", True, {"input": "*** patch"}),
            ('{"a": 1}', True, {"input": '{"a": 1}'}),
        ],
    )
    def test_arguments_are_always_an_object(self, arguments: str, is_custom: bool, args: Any) -> None:
        parts, _ = turn(ToolCall(id="c", name="f", arguments=arguments, is_custom=is_custom))
        assert parts[0]["functionCall"]["args"] == args

    def test_results_are_objects_that_name_their_function(self) -> None:
        picture = Media(kind="image", media_type="image/png", data="AA==")
        conversation = Conversation(
            messages=(
                Message("assistant", (ToolCall(id="c", name="f", arguments="{}"),)),
                Message(
                    "user",
                    (
                        ToolResult(call_id="c", content=(Text("a"), Text("b"), picture)),
                        ToolResult(call_id="d", content=(), name="g", is_error=True),
                        ToolResult(call_id="e", content=()),
                    ),
                ),
            )
        )
        part = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
        first = {"id": "c", "name": "f", "response": {"output": "a\nb"}}
        others = [
            {"functionResponse": {"id": "d", "name": "g", "response": {"error": ""}}},
            {"functionResponse": {"id": "e", "name": "e", "response": {"output": ""}}},
        ]
        newer = written(conversation)[0]["contents"][1]["parts"]
        assert newer == [{"functionResponse": {**first, "parts": [part]}}, *others]
        older = written(conversation, OLDER_AIM)[0]["contents"][1]["parts"]
        assert older == [{"functionResponse": first}, part, *others]

    @pytest.mark.parametrize(
        ("media", "part"),
        [
            (Media(kind="image", data="A"), {"inlineData": {"mimeType": "image/jpeg", "data": "A"}}),
            (
                Media(kind="file", url="https://x/a.csv"),
                {"fileData": {"mimeType": "text/csv", "fileUri": "https://x/a.csv"}},
            ),
            (
                Media(kind="image", url="https://x/a"),
                {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x/a"}},
            ),
            (Media(kind="video", file_id="gs://a"), {"fileData": {"fileUri": "gs://a"}}),
            (
                Media(kind="file", file_id="gs://a", media_type="text/csv"),
                {"fileData": {"mimeType": "text/csv", "fileUri": "gs://a"}},
            ),
        ],
    )
    def test_files(self, media: Media, part: Any) -> None:
        assert turn(media, role="user") == ([part], ())

    def test_googles_own_goes_back_as_it_came(self) -> None:
        raw = b'{"executableCode":{"code":\n"1"}}'
        tool = ForeignTool(origin="gemini", kind="googleSearch", raw=b'{"googleSearch":{}}')
        fields, dropped = written(
            Conversation(
                messages=(Message("assistant", (Foreign(origin="gemini", kind="executableCode", raw=raw),)),),
                tools=(tool, Tool(name="f", description="d", schema={"a": 1})),
            )
        )
        assert fields["contents"][0]["parts"] == [{"executableCode": {"code": "1"}}]
        assert fields["tools"] == [
            {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": {"a": 1}}]},
            {"googleSearch": {}},
        ]
        assert dropped == ()
