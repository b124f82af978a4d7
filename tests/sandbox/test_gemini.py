"""Gemini: answers, both forms of stream, thoughts and their signatures, and Google's refusals."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

Body = dict[str, Any]

WEATHER: Body = {
    "functionDeclarations": [
        {
            "name": "get_weather",
            "description": "The weather at a place",
            "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
        }
    ]
}
THINK: Body = {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"}}}


def user(*parts: Any) -> Body:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


async def post(
    http: httpx2.AsyncClient, prompt: Any, *, method: str = "generateContent", **fields: Any
) -> httpx2.Response:
    base = fields.pop("base", "/v1beta/models/gemini-test")
    contents = [user(prompt)] if isinstance(prompt, str) else prompt
    return await http.post(f"{base}:{method}", json={"contents": contents, **fields})


async def ask(http: httpx2.AsyncClient, prompt: Any, **fields: Any) -> Body:
    answer = await post(http, prompt, **fields)
    assert answer.status_code == 200, answer.text
    found: Body = answer.json()
    return found


async def stream(http: httpx2.AsyncClient, prompt: str, **fields: Any) -> str:
    return (await post(http, prompt, method="streamGenerateContent?alt=sse", **fields)).text


def chunks_of(text: str) -> list[Body]:
    return [json.loads(part.removeprefix("data: ")) for part in text.strip().split("\n\n")]


def parts_of(answer: Body) -> list[Body]:
    parts: list[Body] = answer["candidates"][0]["content"]["parts"]
    return parts


def folded(chunks: list[Body]) -> list[Body]:
    """The parts of all chunks, with text of a kind joined and a signature on what it follows."""
    found: list[Body] = []
    for chunk in chunks:
        for part in parts_of(chunk):
            last = found[-1] if found else {}
            if "text" in part and "text" in last and part.get("thought") == last.get("thought"):
                last["text"] += part["text"]
                last.update({key: value for key, value in part.items() if key != "text"})
            elif part != {"text": ""}:
                found.append(dict(part))
    return found


@pytest.mark.parametrize("base", ["/v1beta/models/sandbox:fast", "/v1/models/sandbox:fast"])
async def test_an_answer_has_its_shape(http: httpx2.AsyncClient, base: str) -> None:
    system = {"parts": [{"text": "Answer in ALL CAPS."}]}
    answer = await ask(http, "Say hi in one word", base=base, systemInstruction=system)
    candidate = answer["candidates"][0]
    assert candidate["content"] == {"parts": [{"text": "HI"}], "role": "model"}
    assert (candidate["finishReason"], candidate["index"]) == ("STOP", 0)
    assert answer["modelVersion"] == "sandbox:fast"
    usage = answer["usageMetadata"]
    assert usage["candidatesTokenCount"] == 1
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + 1
    assert "thoughtsTokenCount" not in usage


async def test_limits_stops_and_candidates(http: httpx2.AsyncClient) -> None:
    short = await ask(http, "Count to 50", generationConfig={"maxOutputTokens": 5})
    assert short["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert short["usageMetadata"]["candidatesTokenCount"] == 5
    stopped = await ask(http, "Count to 50", generation_config={"stop_sequences": ["4"], "candidate_count": 2})
    assert [candidate["content"]["parts"][0]["text"] for candidate in stopped["candidates"]] == ["1, 2, 3, "] * 2


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        ("Count to 20", {}),
        ("Count to 20", THINK),
        ("Weather in Paris and in London?", {"tools": [WEATHER], **THINK}),
    ],
)
async def test_both_forms_of_stream_add_up_to_the_whole_answer(
    http: httpx2.AsyncClient, prompt: str, fields: Body
) -> None:
    whole = await ask(http, prompt, **fields)
    chunks = chunks_of(await stream(http, prompt, **fields))
    array = await post(http, prompt, method="streamGenerateContent", **fields)
    assert array.headers["content-type"].startswith("application/json")
    assert [{**chunk, "responseId": ""} for chunk in array.json()] == [{**chunk, "responseId": ""} for chunk in chunks]
    assert folded(chunks) == parts_of(whole)
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert not any("finishReason" in chunk["candidates"][0] for chunk in chunks[:-1])
    assert chunks[-1]["usageMetadata"] == whole["usageMetadata"]
    assert "candidatesTokenCount" not in chunks[0]["usageMetadata"]


async def test_thoughts_are_shown_when_asked_for_and_counted_apart(http: httpx2.AsyncClient) -> None:
    shown = await ask(http, "Hello", **THINK)
    thought, text = parts_of(shown)
    assert thought["thought"] is True
    assert text["thoughtSignature"]
    usage = shown["usageMetadata"]
    assert usage["thoughtsTokenCount"] >= 64
    kinds = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    assert usage["totalTokenCount"] == sum(usage[kind] for kind in kinds)
    hidden = await ask(http, "Hello", base="/v1beta/models/gemini-3-pro")
    assert len(parts_of(hidden)) == 1
    assert hidden["usageMetadata"]["thoughtsTokenCount"]
    off = {"thinkingConfig": {"thinkingBudget": 0}}
    none = await ask(http, "Hello", base="/v1beta/models/gemini-3-pro", generationConfig=off)
    assert "thoughtsTokenCount" not in none["usageMetadata"]


async def test_calls_signatures_and_results_go_round(http: httpx2.AsyncClient) -> None:
    question = user("Weather in Paris and in London?")
    first = await ask(http, [question], tools=[WEATHER], **THINK)
    calls = [part for part in parts_of(first) if "functionCall" in part]
    assert [call["functionCall"]["args"] for call in calls] == [{"city": "Paris"}, {"city": "London"}]
    assert ["thoughtSignature" in call for call in calls] == [True, False]
    results = [
        {"functionResponse": {"name": "get_weather", "response": {"output": "wet"}}},
        {"function_response": {"name": "get_weather", "response": {"sky": "grey"}}},
    ]
    talk = [question, first["candidates"][0]["content"], user(*results)]
    last = await ask(http, talk, tools=[WEATHER], **THINK)
    assert (
        parts_of(last)[-1]["text"] == "Here is what I found: get_weather returned wet; get_weather returned sky grey."
    )
    for signature, status in [
        ("AAAA", 400),
        (calls[0]["thoughtSignature"][:-4] + "AAAA", 400),
        (calls[0]["thoughtSignature"].replace("+", "-").replace("/", "_"), 200),
        ("skip_thought_signature_validator", 200),
        (5, 400),
    ]:
        talk[1] = {"role": "model", "parts": [{**calls[0], "thoughtSignature": signature}, calls[1]]}
        answer = await post(http, talk, tools=[WEATHER])
        assert answer.status_code == status
        assert status == 200 or answer.json()["error"]["message"] == "Corrupted thought signature."
    talk[1] = {"role": "model", "parts": [{"functionCall": call["functionCall"]} for call in calls]}
    assert (await post(http, talk, tools=[WEATHER])).status_code == 200


async def test_modes_of_calling_are_honoured(http: httpx2.AsyncClient) -> None:
    async def called(prompt: str, **config: Any) -> bool:
        answer = await ask(http, prompt, tools=[WEATHER], toolConfig={"functionCallingConfig": config})
        return "functionCall" in parts_of(answer)[0]

    assert await called("Hello", mode="ANY", allowedFunctionNames=["get_weather"])
    assert not await called("Weather in Rome?", mode="NONE")
    assert not await called("Weather in Rome?", mode="AUTO", allowedFunctionNames=["other"])


async def test_media_are_acknowledged_and_json_follows_either_schema(http: httpx2.AsyncClient) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"x" * 300).decode()}}
    video = {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/a.mp4"}}
    text = parts_of(await ask(http, [user(picture, video, "What is this?")]))[0]["text"]
    assert "1 image (image/png, 300 bytes) and 1 video (video/*, linked)" in text
    upper = {"type": "OBJECT", "properties": {"age": {"type": "INTEGER"}}, "required": ["age"]}
    lower = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    for name, schema in (("responseSchema", upper), ("responseJsonSchema", lower)):
        config = {"responseMimeType": "application/json", name: schema}
        answer = await ask(http, "Ada, age 36", generationConfig=config)
        assert json.loads(parts_of(answer)[0]["text"]) == {"age": 36}


async def test_tokens_are_counted_and_prefixes_cached(http: httpx2.AsyncClient) -> None:
    counted = await ask(http, "Hello", method="countTokens")
    assert counted["totalTokens"] == (await ask(http, "Hello"))["usageMetadata"]["promptTokenCount"]
    whole = {"generateContentRequest": {"model": "models/m", "contents": [user("Hello")]}}
    assert (await http.post("/v1beta/models/m:countTokens", json=whole)).json() == counted
    text = " ".join(f"thing{number}" for number in range(1500))
    assert "cachedContentTokenCount" not in (await ask(http, text))["usageMetadata"]
    assert (await ask(http, text))["usageMetadata"]["cachedContentTokenCount"] >= 1024


CALL: Body = {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {}}}]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"contents": []}, "* GenerateContentRequest.contents: contents is not specified"),
        ({"contents": [{"role": "user", "parts": []}]}, "* GenerateContentRequest.contents[0].parts: contents.parts"),
        ({"contents": [{"role": "user", "parts": [{}]}]}, "* GenerateContentRequest.contents[0].parts[0].data"),
        ({"contents": [{"role": "user", "parts": "x"}]}, "Invalid value at 'contents[0].parts'"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
        ({"contents": [user("x"), CALL, user("y")]}, "Please ensure that the number of function response parts"),
        ({"messages": []}, 'Invalid JSON payload received. Unknown name "messages": Cannot find field.'),
        ({"generationConfig": {"max_tokens": 5}}, 'Invalid JSON payload received. Unknown name "max_tokens" at'),
        ({"generationConfig": {"maxOutputTokens": "5"}}, "Invalid value at 'generation_config.maxOutputTokens'"),
        (
            {"generationConfig": {"thinkingConfig": {"effort": 1}}},
            'Invalid JSON payload received. Unknown name "effort"',
        ),
        ({"generationConfig": {"stopSequences": ["a"] * 6}}, "* GenerateContentRequest.generation_config.stop"),
        ({"tools": [{"functionDeclarations": [{"name": "1 x"}]}]}, "* GenerateContentRequest.tools[0].function_decl"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "auto"}}}, "Invalid value at 'tool_config.function_calling"),
    ],
)
async def test_what_google_refuses_is_refused(http: httpx2.AsyncClient, fields: Body, message: str) -> None:
    answer = await http.post("/v1beta/models/m:generateContent", json={"contents": [user("x")], **fields})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"].startswith(message)


async def test_faults_speak_googles_grammar(http: httpx2.AsyncClient) -> None:
    refused = await post(http, "x [[sandbox:status=429, retry-after=7]]")
    assert refused.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert refused.json()["error"]["details"][0]["retryDelay"] == "7s"
    assert refused.headers["retry-after"] == "7"
    failed = chunks_of(await stream(http, "Count to 9 [[sandbox:error-event, code=UNAVAILABLE]]"))
    assert failed[-1]["error"]["status"] == "UNAVAILABLE"
    assert parts_of(failed[0])[0]["text"] == "1"
    array = await post(http, "Count to 9 [[sandbox:error-event, comments=2]]", method="streamGenerateContent")
    assert array.json()[-1]["error"]["code"] == 500
    assert "finishReason" not in await stream(http, "Count to 9 [[sandbox:no-done]]")
    assert "TokenCount" not in await stream(http, "Count to 9 [[sandbox:no-usage]]")
    assert "usageMetadata" not in await ask(http, "x [[sandbox:no-usage]]")
    assert chunks_of(await stream(http, "x [[sandbox:empty=choices]]"))[0]["candidates"] == []
    assert (await stream(http, "Count to 9 [[sandbox:garbage]]")).count('[{"te\n\n') == 1
    with pytest.raises(httpx2.RemoteProtocolError):
        await stream(http, "Count to 9 [[sandbox:cut=40]]")
    with pytest.raises(json.JSONDecodeError):
        (await post(http, "Count to 9 [[sandbox:garbage]]", method="streamGenerateContent")).json()


async def test_paths_are_told_apart(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/models/sandbox:fast")).json()["id"] == "sandbox:fast"
    assert (await http.get("/v1beta/models")).json()["models"][0]["name"] == "models/sandbox"
    assert (await http.get("/v1beta/models/m:generateContent")).json()["error"]["code"] == 405
    assert (await http.post("/v1beta/models/m:embedContent", json={})).status_code == 404


async def test_a_shell_with_a_json_schema_is_called(http: httpx2.AsyncClient) -> None:
    schema = {
        "type": "object",
        "properties": {"command": {"type": "string"}, "is_background": {"type": "boolean"}},
        "required": ["command", "is_background"],
    }
    tool = {"functionDeclarations": [{"name": "run_shell_command", "parametersJsonSchema": schema}]}
    call = parts_of(await ask(http, "Run `echo hi` and `date`", tools=[tool]))
    assert [part["functionCall"]["args"]["command"] for part in call] == ["echo hi", "date"]
