"""The conversation, written as a request to Google."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

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
from tests.wire.gemini.asking import AIM, OLDER_AIM

OWN = Opaque("gemini", "own==")
THEIRS = Opaque("anthropic", "theirs", "t1")


def written(conversation: Conversation, aim: Aim = AIM) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = CODEC.write_request(conversation, aim)
    return json.loads(msgspec.json.encode(body.fields)), body.dropped


def turn(*content: Any, role: Role = "assistant", aim: Aim = AIM) -> tuple[Any, tuple[str, ...]]:
    """The parts that a message is written as, and what is left out of it."""
    fields, dropped = written(Conversation(messages=(Message(role, content),)), aim)
    return [part for one in fields["contents"] for part in one["parts"]], dropped


def test_options() -> None:
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


def test_what_google_cannot_say_is_named() -> None:
    cache = {"type": "ephemeral"}
    fields, dropped = written(
        Conversation(
            system=(Text("a", cache),),
            messages=(
                Message("user", (Text("Hi", cache), Media(kind="image", file_id="file-1"))),
                Message("assistant", (Thinking(text="Hm"), Thinking(text="Hm", opaque=THEIRS))),
                Message("assistant", (Foreign(origin="anthropic", kind="server_tool_use", raw=b"{}"),)),
                Message("user", (ToolResult(call_id="c", content=(Media(kind="image", file_id="f"),), cache=cache),)),
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
def test_a_service_tier_that_says_nothing_is_not_missed(tier: str) -> None:
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
def test_thinking_as_each_generation_takes_it(model: str, reasoning: Reasoning, config: Any) -> None:
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
def test_the_choice_of_tools(choice: ToolChoice, config: Any) -> None:
    fields, _ = written(Conversation(tool_choice=choice))
    assert fields["toolConfig"] == {"functionCallingConfig": config}


def test_neighbours_of_one_role_are_one_turn() -> None:
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


def test_a_signature_goes_back_untouched_to_where_it_was() -> None:
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


def test_calls_of_others_get_googles_word_for_no_signature() -> None:
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
def test_arguments_are_always_an_object(arguments: str, is_custom: bool, args: Any) -> None:
    parts, _ = turn(ToolCall(id="c", name="f", arguments=arguments, is_custom=is_custom))
    assert parts[0]["functionCall"]["args"] == args


def test_results_are_objects_that_name_their_function() -> None:
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
def test_files(media: Media, part: Any) -> None:
    assert turn(media, role="user") == ([part], ())


def test_googles_own_goes_back_as_it_came() -> None:
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
