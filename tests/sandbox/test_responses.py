"""OpenAI's Responses: answers, the typed events, reasoning that goes back, and the refusals of the real API."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest
from openai import APIError, AsyncOpenAI, RateLimitError
from openai.types.responses import Response

Body = dict[str, Any]

WEATHER: Body = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
PATCH: Body = {"type": "custom", "name": "apply_patch", "description": "Change files"}
THINK: Body = {
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "store": False,
}


async def ask(sdk: AsyncOpenAI, given: Any, **fields: Any) -> Response:
    answer: Response = await sdk.responses.create(model="m", input=given, **fields)
    return answer


async def post(http: httpx2.AsyncClient, given: Any, **fields: Any) -> httpx2.Response:
    return await http.post("/v1/responses", json={"model": "m", "input": given, **fields})


def events_of(text: str) -> list[Body]:
    """The events of a stream, which are named as their data says and numbered in order."""
    found = []
    for number, part in enumerate(text.strip().split("\n\n")):
        name, _, data = part.partition("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        found.append(event)
    return found


def folded(events: list[Body]) -> list[Body]:
    """The output items that the events add up to; fails where deltas and wholes differ."""
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    items: list[Body] = []
    written = ""
    for event in events[2:-1]:
        kind = event["type"]
        assert event["output_index"] == len(items)
        if kind.endswith(".delta"):
            written += event["delta"]
        elif kind.endswith(("_text.done", "_arguments.done", "_input.done")):
            assert written == (event.get("text") or event.get("arguments") or event.get("input") or "")
            written = ""
        elif kind == "response.output_item.done":
            items.append(event["item"])
        if "item_id" in event:
            assert event["item_id"].startswith(("msg_", "rs_", "fc_", "ctc_"))
    return items


async def test_a_response_has_its_shape(sdk: AsyncOpenAI) -> None:
    answer = await ask(sdk, "Say hi in one word", instructions="Answer in ALL CAPS.", metadata={"a": "b"})
    assert answer.output_text == "HI"
    assert (answer.status, answer.object, answer.error, answer.incomplete_details) == (
        "completed",
        "response",
        None,
        None,
    )
    assert answer.metadata == {"a": "b"}
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.output_tokens == 1


async def test_a_limit_makes_it_incomplete(sdk: AsyncOpenAI) -> None:
    answer = await ask(sdk, "Count to 50", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 16


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        ("Count to 20", {}),
        ("Count to 20", THINK),
        ("Count to 50", {"max_output_tokens": 16}),
        ("Weather in Paris and in London?", {"tools": [WEATHER], **THINK}),
        ('apply_patch with "x = 1"', {"tools": [PATCH]}),
        ("", {}),
    ],
)
async def test_a_stream_adds_up_to_the_whole_answer(http: httpx2.AsyncClient, prompt: str, fields: Body) -> None:
    whole = (await post(http, prompt, **fields)).json()
    events = events_of((await post(http, prompt, stream=True, **fields)).text)

    def bare(items: list[Body]) -> list[Body]:
        return [{**item, "id": ""} for item in items]

    assert bare(folded(events)) == bare(whole["output"]) == bare(events[-1]["response"]["output"])
    assert events[-1]["type"] == f"response.{whole['status']}"
    assert events[-1]["response"]["usage"] == whole["usage"]
    assert events[0]["response"]["usage"] is None


async def test_the_official_client_reads_the_stream(sdk: AsyncOpenAI) -> None:
    async with sdk.responses.stream(model="m", input="Weather in Rome?", tools=[WEATHER], **THINK) as stream:  # type: ignore[list-item]
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert "response.reasoning_summary_text.delta" in kinds
    assert "response.function_call_arguments.done" in kinds
    assert [item.type for item in final.output] == ["reasoning", "function_call"]


async def test_calls_reasoning_and_results_go_round(http: httpx2.AsyncClient) -> None:
    question = {"role": "user", "content": "Weather in Paris and in London?"}
    first = (await post(http, [question], tools=[WEATHER], **THINK)).json()
    reasoning, *calls = first["output"]
    assert reasoning["type"] == "reasoning"
    assert "get_weather" in reasoning["summary"][0]["text"]
    assert [json.loads(call["arguments"])["city"] for call in calls] == ["Paris", "London"]
    outputs = [{"type": "function_call_output", "call_id": call["call_id"], "output": "wet"} for call in calls]
    last = (await post(http, [question, *first["output"], *outputs], tools=[WEATHER], **THINK)).json()
    text = last["output"][-1]["content"][0]["text"]
    assert text == "Here is what I found: get_weather returned wet; get_weather returned wet."
    single = (await post(http, [question], tools=[WEATHER], parallel_tool_calls=False)).json()
    assert [item["type"] for item in single["output"]] == ["function_call"]


async def test_encrypted_reasoning_of_others_is_refused(http: httpx2.AsyncClient) -> None:
    first = (await post(http, "Hello", **THINK)).json()
    reasoning = first["output"][0]
    wrong = {**reasoning, "encrypted_content": "gAAAAABo" + "x" * 40}
    refused = await post(http, [wrong, {"role": "user", "content": "Bye"}], **THINK)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "invalid_encrypted_content"
    bare = {"id": reasoning["id"], "type": "reasoning", "summary": []}
    lost = await post(http, [bare, {"role": "user", "content": "Bye"}], store=False)
    assert lost.status_code == 404
    assert "encrypted_content" not in (await post(http, "Hello", reasoning={"effort": "low"})).json()["output"][0]


async def test_reasoning_is_counted_and_can_be_turned_off(http: httpx2.AsyncClient) -> None:
    high = (await post(http, "Hello", reasoning={"effort": "high"})).json()["usage"]
    assert 512 <= high["output_tokens_details"]["reasoning_tokens"] < high["output_tokens"]
    none = (await post(http, "Hello", model="gpt-5", reasoning={"effort": "none"})).json()
    assert none["usage"]["output_tokens_details"]["reasoning_tokens"] == 0
    assert [item["type"] for item in none["output"]] == ["message"]


async def test_custom_and_grouped_tools_are_called(http: httpx2.AsyncClient) -> None:
    custom = (await post(http, 'apply_patch with "x = 1"', tools=[PATCH])).json()["output"][0]
    assert (custom["type"], custom["name"], custom["input"]) == ("custom_tool_call", "apply_patch", "x = 1")
    output = {"type": "custom_tool_call_output", "call_id": custom["call_id"], "output": "done"}
    after = await post(http, [{"role": "user", "content": "go"}, custom, output], tools=[PATCH])
    assert "apply_patch returned done" in after.text
    group = {"type": "namespace", "name": "sky", "description": "", "tools": [WEATHER]}
    grouped = (await post(http, "Weather in Rome?", tools=[group, {"type": "web_search"}])).json()["output"][0]
    assert (grouped["name"], grouped["namespace"]) == ("get_weather", "sky")
    lifted = {"type": "additional_tools", "role": "developer", "tools": [WEATHER]}
    among = await post(http, [lifted, {"role": "user", "content": "Weather in Rome?"}])
    assert among.json()["output"][0]["name"] == "get_weather"


async def test_tool_choice_is_honoured(http: httpx2.AsyncClient) -> None:
    async def called(choice: Any) -> list[str]:
        answer = (await post(http, "Weather in Rome?", tools=[WEATHER, PATCH], tool_choice=choice)).json()
        return [item["name"] for item in answer["output"] if "name" in item]

    assert await called("none") == []
    assert await called({"type": "custom", "name": "apply_patch"}) == ["apply_patch"]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]}
    assert await called(allowed) == ["apply_patch"]


async def test_media_are_acknowledged_and_json_follows_its_schema(http: httpx2.AsyncClient) -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"x" * 300).decode()
    content = [
        {"type": "input_image", "image_url": picture},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        {"type": "input_text", "text": "What is this?"},
    ]
    text = (await post(http, [{"role": "user", "content": content}])).text
    assert "2 images (image/png, 300 bytes; image/*, linked) and 1 file (application/pdf, 3 bytes)" in text
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    wanted = {"format": {"type": "json_schema", "name": "person", "schema": schema}}
    answer = (await post(http, "Ada, age 36", text=wanted)).json()
    assert json.loads(answer["output"][0]["content"][0]["text"]) == {"age": 36}


async def test_a_long_prefix_is_cached_the_second_time(http: httpx2.AsyncClient) -> None:
    text = " ".join(f"item{number}" for number in range(1500))
    cached = [(await post(http, text)).json()["usage"]["input_tokens_details"]["cached_tokens"] for _ in range(2)]
    assert cached[0] == 0
    assert cached[1] >= 1024


async def test_tokens_are_counted_and_a_conversation_made_compact(sdk: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    counted = await http.post("/v1/responses/input_tokens", json={"model": "m", "input": "Hello", "tools": [WEATHER]})
    charged = await ask(sdk, "Hello", tools=[WEATHER])
    assert charged.usage is not None
    assert counted.json() == {"object": "response.input_tokens", "input_tokens": charged.usage.input_tokens}
    talk = [{"role": "user", "content": "My name is Ada"}, {"role": "assistant", "content": "Hello"}]
    compact = (await http.post("/v1/responses/compact", json={"model": "m", "input": talk})).json()
    assert compact["object"] == "response.compaction"
    assert [item["type"] for item in compact["output"]] == ["message", "compaction"]
    after = await post(http, [*compact["output"], {"role": "user", "content": "What is my name?"}])
    assert "Your name is Ada." in after.text
    forged = {"type": "compaction", "encrypted_content": "AAAA"}
    assert (await post(http, [forged])).json()["error"]["code"] == "invalid_encrypted_content"
    triggered = (await post(http, [*talk, {"type": "compaction_trigger"}])).json()
    assert [item["type"] for item in triggered["output"]] == ["compaction"]
    assert (
        await http.post("/v1/responses/compact", json={"model": "m", "input": talk, "stream": True})
    ).status_code == 400


CALL: Body = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
SAID: Body = {"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "unknown_parameter"),
        ({"max_tokens": 5}, "max_tokens", "unknown_parameter"),
        ({"max_output_tokens": 5}, "max_output_tokens", "integer_below_min_value"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [5]}, "input[0]", "invalid_type"),
        ({"input": [{}]}, "input[0].type", "missing_required_parameter"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0]", "invalid_value"),
        ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
        ({"input": [SAID]}, "input[0].content[0]", "invalid_value"),
        (
            {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
            "input[0].content[0]",
            "invalid_value",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text", None),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url", None),
        ({"input": [CALL]}, "input", None),
        ({"input": [{**CALL, "id": "call_1"}]}, "input[0].id", "invalid_value"),
        ({"input": [{**CALL, "name": None}]}, "input[0].name", "missing_required_parameter"),
        ({"input": [{"type": "function_call_output", "call_id": "c1", "output": "x"}]}, "input", None),
        ({"input": [{"type": "reasoning"}]}, "input[0].summary", "missing_required_parameter"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
        ({"instructions": ["x"]}, "instructions", "invalid_type"),
        ({"tools": [{"type": "function", "function": {"name": "x"}}]}, "tools[0].name", "missing_required_parameter"),
        ({"tools": [{"name": "x"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "z"}}, "tool_choice", None),
        ({"tools": [WEATHER], "tool_choice": "any"}, "tool_choice", "invalid_value"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name", None),
    ],
)
async def test_what_openai_refuses_is_refused(
    http: httpx2.AsyncClient, fields: Body, param: str, code: str | None
) -> None:
    body = {"model": "m", "input": "x", **fields}
    answer = await http.post("/v1/responses", json={name: part for name, part in body.items() if part is not None})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert code is None or error["code"] == code


async def test_faults_speak_the_grammar_of_responses(sdk: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    async def stream(directives: str) -> str:
        return (await post(http, f"Count to 9 [[sandbox:{directives}]]", stream=True)).text

    with pytest.raises(RateLimitError):
        await ask(sdk, "x [[sandbox:status=429, code=insufficient_quota]]")
    failed = events_of(await stream("error-event, code=rate_limit_exceeded"))
    assert failed[-1]["type"] == "response.failed"
    assert failed[-1]["response"]["status"] == "failed"
    assert failed[-1]["response"]["error"]["code"] == "rate_limit_exceeded"
    assert "response.output_text.delta" in [event["type"] for event in failed]
    assert events_of(await stream("no-done"))[-1]["type"] == "response.output_item.done"
    assert "output_tokens" not in (await stream("no-usage")).replace("max_output_tokens", "")
    assert folded(events_of(await stream("empty=choices"))) == []
    assert sum(part.endswith('"delta":"te') for part in (await stream("garbage")).split("\n\n")) == 1
    assert "[DONE]" not in await stream("comments=1")
    with pytest.raises(httpx2.RemoteProtocolError):
        await stream("cut=40")
    with pytest.raises(APIError):
        await ask(sdk, "x [[sandbox:status=500]]")
    assert (await post(http, "x [[sandbox:no-usage]]")).json()["usage"] is None


@pytest.mark.parametrize(
    ("name", "properties", "arguments"),
    [
        ("exec_command", {"cmd": {"type": "string"}, "workdir": {"type": "string"}}, {"cmd": "echo hi"}),
        ("shell", {"command": {"type": "array", "items": {"type": "string"}}}, {"command": ["bash", "-lc", "echo hi"]}),
        ("run_shell_command", {"command": {"type": "string"}}, {"command": "echo hi"}),
    ],
)
async def test_shells_of_agents_are_called_with_the_command(
    http: httpx2.AsyncClient, name: str, properties: Body, arguments: Body
) -> None:
    schema = {"type": "object", "properties": properties, "required": list(properties)[:1]}
    tools = [{"type": "function", "name": name, "parameters": schema}, PATCH]
    aside = {"role": "user", "content": "<environment_context>run `rm x`</environment_context>"}
    question = {"role": "user", "content": [{"type": "input_text", "text": "run `echo hi`"}]}
    item = (await post(http, [aside, question], tools=tools)).json()["output"][0]
    assert (item["name"], json.loads(item["arguments"])) == (name, arguments)
    output = {"type": "function_call_output", "call_id": item["call_id"], "output": "hi\n"}
    after = (await post(http, [aside, question, item, output], tools=tools)).json()
    assert after["output"][0]["content"][0]["text"] == f"Here is what I found: {name} returned hi."
