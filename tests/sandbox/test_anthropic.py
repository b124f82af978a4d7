"""Anthropic's messages: answers, streams, thinking, caching, and the refusals of the real API."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

from hypereal.sandbox.anthropic_messages import THINKING
from hypereal.sandbox.prompt_cache import Block, BreakpointCache, Cached
from hypereal.sandbox.seals import seal, unseal

Body = dict[str, Any]

VERSION = {"anthropic-version": "2023-06-01"}
WEATHER: Body = {
    "name": "get_weather",
    "description": "The weather at a place",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
THINK: Body = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}


async def post(http: httpx2.AsyncClient, content: Any, **fields: Any) -> httpx2.Response:
    messages = fields.pop("messages", [{"role": "user", "content": content}])
    body = {"model": "claude-test", "max_tokens": 1000, "messages": messages, **fields}
    return await http.post("/v1/messages", json=body, headers=VERSION)


async def ask(http: httpx2.AsyncClient, content: Any, **fields: Any) -> Body:
    answer = await post(http, content, **fields)
    assert answer.status_code == 200, answer.text
    found: Body = answer.json()
    return found


def events_of(text: str) -> list[Body]:
    """The events of a stream; each is named as its data says."""
    found = []
    for part in text.strip().split("\n\n"):
        name, _, data = part.partition("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def folded(events: list[Body]) -> Body:
    """The message that the events of a stream add up to; fails where the grammar is broken."""
    assert [event["type"] for event in (events[0], events[-2], events[-1])] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    message: Body = events[0]["message"]
    assert message["content"] == []
    assert message["usage"]["output_tokens"] == 1
    inputs: dict[int, str] = {}
    is_open = False
    for event in events[1:-2]:
        if event["type"] == "ping":
            continue
        assert is_open == (event["type"] != "content_block_start")
        is_open = event["type"] != "content_block_stop"
        if event["type"] == "content_block_start":
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
        elif event["type"] == "content_block_delta":
            _apply(message["content"][-1], event["delta"], inputs, event["index"])
    assert not is_open
    for index, text in inputs.items():
        message["content"][index]["input"] = json.loads(text or "{}")
    message["usage"].update(events[-2]["usage"])
    return {**message, **events[-2]["delta"]}


def _apply(block: Body, delta: Body, inputs: dict[int, str], index: int) -> None:
    if delta["type"] == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
    else:
        name = delta["type"].removesuffix("_delta")
        block[name] += delta[name]


async def test_a_message_has_its_shape(http: httpx2.AsyncClient) -> None:
    answer = await ask(http, "Say hi in one word", system="Answer in ALL CAPS.")
    assert answer["id"].startswith("msg_01")
    assert (answer["type"], answer["role"], answer["model"]) == ("message", "assistant", "claude-test")
    assert answer["content"] == [{"type": "text", "text": "HI", "citations": None}]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)
    usage = answer["usage"]
    assert usage["output_tokens"] == 1
    assert usage["input_tokens"] > 5
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}


async def test_why_an_answer_ended(http: httpx2.AsyncClient) -> None:
    short = await ask(http, "Count to 50", max_tokens=5)
    assert (short["stop_reason"], short["usage"]["output_tokens"]) == ("max_tokens", 5)
    stopped = await ask(http, "Count to 50", stop_sequences=["4", "7"])
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "4")
    assert stopped["content"][0]["text"] == "1, 2, 3, "


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        ("Count to 20", {}),
        ("Count to 20", THINK),
        ("Count to 20", {**THINK, "thinking": {"type": "adaptive", "display": "omitted"}}),
        ("Weather in Paris and in London?", {"tools": [WEATHER]}),
        ("Weather in Rome?", {"tools": [WEATHER], **THINK}),
        ("Count to 20 [[sandbox:redacted]]", THINK),
        ("ping", {"tools": [{"name": "ping", "input_schema": {"type": "object"}}]}),
    ],
)
async def test_a_stream_adds_up_to_the_whole_answer(
    http: httpx2.AsyncClient, prompt: str, fields: dict[str, Any]
) -> None:
    whole = await ask(http, prompt, **fields)
    events = events_of((await post(http, prompt, stream=True, **fields)).text)
    assert {"type": "ping"} in events
    made = folded(events)
    assert {**made, "id": ""} == {**whole, "id": ""}


async def test_two_places_make_two_calls_and_results_are_used(http: httpx2.AsyncClient) -> None:
    question = {"role": "user", "content": "Weather in Paris and in London?"}
    first = await ask(http, None, messages=[question], tools=[WEATHER], **THINK)
    thinking, *calls = first["content"]
    assert first["stop_reason"] == "tool_use"
    assert thinking["type"] == "thinking"
    assert "get_weather" in thinking["thinking"]
    assert [(call["name"], call["input"]) for call in calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "London"}),
    ]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": '{"sky": "grey"}'} for call in calls]
    results[1]["content"] = [{"type": "text", "text": "wet"}]
    messages = [question, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": results}]
    last = await ask(http, None, messages=messages, tools=[WEATHER], **THINK)
    assert (
        last["content"][1]["text"] == "Here is what I found: get_weather returned sky grey; get_weather returned wet."
    )
    single = {"type": "auto", "disable_parallel_tool_use": True}
    alone = await ask(http, question["content"], tools=[WEATHER], tool_choice=single)
    assert len(alone["content"]) == 1


async def test_an_agents_asides_are_not_the_users_words(http: httpx2.AsyncClient) -> None:
    reminder = {"type": "text", "text": "<system-reminder>Mind the tests.</system-reminder>"}
    assert (await ask(http, [reminder, {"type": "text", "text": "2+2"}]))["content"][0]["text"] == "2+2 = 4"
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, reminder]},
        {"role": "system", "content": "Be brief."},
    ]
    answer = await ask(http, None, messages=messages, tools=[WEATHER])
    assert answer["content"][0]["text"] == "Here is what I found: get_weather returned sunny."


async def test_images_and_documents_are_acknowledged(http: httpx2.AsyncClient) -> None:
    data = base64.b64encode(b"x" * 300).decode()
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "four"}},
        {"type": "text", "text": "What is this?"},
    ]
    text = (await ask(http, content))["content"][0]["text"]
    assert "2 images (image/png, 300 bytes; image/*, linked) and 1 file (text/plain, 4 bytes)" in text


async def test_a_structured_answer_follows_its_schema(http: httpx2.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    wanted = {"format": {"type": "json_schema", "schema": schema}}
    answer = await ask(http, "Ada, age 36", output_config=wanted)
    assert json.loads(answer["content"][0]["text"]) == {"age": 36}


@pytest.mark.parametrize("display", ["summarized", "omitted"])
async def test_a_signature_is_known_again_and_a_foreign_one_refused(http: httpx2.AsyncClient, display: str) -> None:
    thinking: Body = {"thinking": {"type": "adaptive", "display": display}}
    first = await ask(http, "Hello", **thinking)
    assert first["content"] == (await ask(http, "Hello", **thinking))["content"]
    block = first["content"][0]
    assert (block["thinking"] == "") == (display == "omitted")
    talk: list[Body] = [{"role": "user", "content": "Hello"}, {}, {"role": "user", "content": "Bye"}]
    for changed, status in [
        (block, 200),
        ({**block, "signature": block["signature"][:-4] + "AAAA"}, 400),
        ({**block, "signature": "ErUBCkYIBRgCIkD"}, 400),
        ({**block, "thinking": "Something else."}, 400),
    ]:
        talk[1] = {"role": "assistant", "content": [changed, *first["content"][1:]]}
        answer = await post(http, None, messages=talk, **thinking)
        assert answer.status_code == status
        if status == 400:
            message = "messages.1.content.0: Invalid `signature` in `thinking` block"
            assert answer.json()["error"] == {"type": "invalid_request_error", "message": message}


async def test_redacted_thinking_goes_back_and_forth(http: httpx2.AsyncClient) -> None:
    prompt = "Hello [[sandbox:redacted]]"
    first = await ask(http, prompt, **THINK)
    assert first["content"][0]["type"] == "redacted_thinking"
    talk = [{"role": "user", "content": prompt}, {"role": "assistant", "content": first["content"]}]
    assert (await post(http, None, messages=[*talk, {"role": "user", "content": "Bye"}], **THINK)).status_code == 200
    first["content"][0]["data"] = "AAAA"
    assert (await post(http, None, messages=[*talk, {"role": "user", "content": "Bye"}], **THINK)).status_code == 400


def test_seals_know_only_themselves() -> None:
    token = seal(THINKING, "café \ud800")
    assert unseal(THINKING, token) == "café \ud800"
    assert seal(THINKING, "café \ud800") == token
    for wrong in (None, 5, "", "é", token + "\n", token[:-8], seal("other", "café \ud800"), "A" * 100):
        assert unseal(THINKING, wrong) is None


LONG = " ".join(f"word{number}" for number in range(1500))


def marked(text: str, **control: str) -> list[Body]:
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", **control}}]


async def test_a_prefix_is_written_once_and_read_afterwards(http: httpx2.AsyncClient) -> None:
    system = marked("First. " + LONG)
    first = (await ask(http, "Hello", system=system))["usage"]
    second = (await ask(http, "Something else", system=system))["usage"]
    written = first["cache_creation_input_tokens"]
    assert written >= 1024
    assert first["cache_creation"] == {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0}
    assert (first["cache_read_input_tokens"], second["cache_creation_input_tokens"]) == (0, 0)
    assert second["cache_read_input_tokens"] == written
    assert second["input_tokens"] < 20
    other = (await ask(http, "Hello", system=system, model="other"))["usage"]
    assert other["cache_read_input_tokens"] == 0


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"tools": [WEATHER]}], ids=["whole", "stream", "tool"])
async def test_a_limit_of_nothing_only_fills_the_cache(http: httpx2.AsyncClient, fields: Body) -> None:
    system = marked(f"Filled by {sorted(fields)}. " + LONG)
    answer = await post(http, "Weather in Rome?", system=system, max_tokens=0, **fields)
    body = folded(events_of(answer.text)) if fields.get("stream") else answer.json()
    usage = body["usage"]
    assert (body["content"], body["stop_reason"], usage["output_tokens"]) == ([], "max_tokens", 0)
    assert usage["cache_creation_input_tokens"] >= 1024
    later = await ask(http, "Hello", system=system, tools=fields.get("tools", []))
    assert later["usage"]["cache_read_input_tokens"] == usage["cache_creation_input_tokens"]


async def test_a_conversation_grows_its_cached_prefix(http: httpx2.AsyncClient) -> None:
    system = marked("Second. " + LONG, ttl="1h")
    talk: list[Body] = [{"role": "user", "content": marked(LONG)}]
    first = (await ask(http, None, messages=talk, system=system))["usage"]
    assert all(value >= 1024 for value in first["cache_creation"].values())
    talk[0]["content"][0].pop("cache_control")
    talk += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": marked("And now?")}]
    second = (await ask(http, None, messages=talk, system=system))["usage"]
    assert second["cache_read_input_tokens"] == first["cache_creation_input_tokens"]
    assert 0 < second["cache_creation_input_tokens"] < 40


async def test_short_prefixes_are_not_cached(http: httpx2.AsyncClient) -> None:
    for _ in range(2):
        usage = (await ask(http, marked("Too short.")))["usage"]
        assert usage["cache_creation_input_tokens"] == usage["cache_read_input_tokens"] == 0


def test_what_was_cached_is_forgotten_in_time_unless_read() -> None:
    now = [0.0]
    cache = BreakpointCache(capacity=3, clock=lambda: now[0])
    blocks = [Block(text="a", tokens=1024, ttl=300), Block(text="b", tokens=10)]
    assert cache.remember("m", blocks) == Cached(written_5m=1024)
    for now[0] in (200, 400):
        assert cache.remember("m", blocks) == Cached(read=1024)
    now[0] = 701
    assert cache.remember("m", blocks) == Cached(written_5m=1024)
    for number in range(9):
        cache.remember(str(number), blocks)
    assert len(cache) == 3


async def test_tokens_are_counted_as_they_are_charged(http: httpx2.AsyncClient) -> None:
    body: Body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "tools": [WEATHER]}
    counted = (await http.post("/v1/messages/count_tokens", json=body, headers=VERSION)).json()
    charged = (await http.post("/v1/messages", json={**body, "max_tokens": 5}, headers=VERSION)).json()
    assert counted == {"input_tokens": charged["usage"]["input_tokens"]}
    refused = await http.post("/v1/messages/count_tokens", json={**body, "max_tokens": 5}, headers=VERSION)
    assert refused.json()["error"]["message"] == "max_tokens: Extra inputs are not permitted"


USER: Body = {"role": "user", "content": "x"}
CALL: Body = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}]}
RESULT: Body = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "y"}]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": None}, "model: Field required"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": ["x"]}, "messages.0: Input should be"),
        ({"messages": [{"role": "system", "content": "x"}]}, 'messages: Unexpected role "system"'),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, 'messages: Unexpected role "tool"'),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages: first message must use"),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, "messages.0.name: Extra inputs"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "messages: text content blocks"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text.text: Field"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0: Input tag"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content.0.image.source"),
        ({"messages": [{"role": "user", "content": CALL["content"]}]}, "messages.0.content.0: `tool_use` blocks"),
        ({"messages": [USER, CALL]}, "messages.1: `tool_use` ids were found without"),
        ({"messages": [USER, CALL, USER]}, "messages.1: `tool_use` ids were found without"),
        ({"messages": [USER, RESULT]}, "messages.1.content.0: unexpected `tool_use_id`"),
        ({"messages": [USER, CALL, RESULT, RESULT]}, "messages.3.content.0: unexpected `tool_use_id`"),
        ({"messages": [USER, CALL, RESULT], **THINK}, "messages.1.content.0.type: Expected `thinking`"),
        ({"messages": [USER, {"role": "assistant", "content": "so "}]}, "messages: final assistant content"),
        ({"top_p": 1, "n": 1}, "n: Extra inputs are not permitted"),
        ({"system": [{"type": "text", "text": ""}]}, "system: text content blocks"),
        ({"stop_sequences": [" "]}, "stop_sequences: each"),
        ({"stream": 1}, "stream: Input should be"),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "tools.0.custom.name: String"),
        ({"tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{"type": "function", "function": {}}], "tool_choice": "auto"}, "tool_choice: Input should be"),
        ({"tools": [{**WEATHER, "parameters": {}}]}, "tools.0.custom.parameters: Extra inputs"),
        ({"tools": [WEATHER, WEATHER]}, "tools: Tool names must be unique."),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "z"}}, "Tool 'z' not found"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice may only be specified"),
        ({"tools": [WEATHER], "tool_choice": {"type": "any"}, **THINK}, "Thinking may not be enabled"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "thinking.enabled.budget_tokens: Input"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "`max_tokens` must be greater"),
        ({"temperature": 0.5, **THINK}, "`temperature` may only be set to 1"),
        ({"system": marked("x") * 5}, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        ({"system": marked("x", ttl="2h")}, "system.0.cache_control.ephemeral.ttl"),
    ],
)
async def test_what_anthropic_refuses_is_refused(
    http: httpx2.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    body = {"model": "m", "max_tokens": 100, "messages": [USER], **fields}
    body = {name: value for name, value in body.items() if value is not None}
    answer = await http.post("/v1/messages", json=body, headers=VERSION)
    assert answer.status_code == 400, answer.text
    error = answer.json()
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert error["error"]["message"].startswith(message)


async def test_the_version_of_the_api_must_be_said(http: httpx2.AsyncClient) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [USER]}
    answer = await http.post("/v1/messages", json=body)
    assert answer.json()["error"]["message"] == "anthropic-version: header is required"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (402, "billing_error"),
        (429, "rate_limit_error"),
        (529, "overloaded_error"),
    ],
)
async def test_errors_have_anthropics_shape(http: httpx2.AsyncClient, status: int, kind: str) -> None:
    answer = await post(http, f"x [[sandbox:status={status}, retry-after=3]]", stream=True)
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "3")
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == kind
    assert answer.json()["request_id"].startswith("req_")


async def test_faults_speak_anthropics_grammar(http: httpx2.AsyncClient) -> None:
    async def stream(directives: str) -> str:
        return (await post(http, f"Count to 9 [[sandbox:{directives}]]", stream=True)).text

    failed = events_of(await stream("error-event, code=overloaded_error"))
    assert failed[-1]["error"]["type"] == "overloaded_error"
    assert "content_block_delta" in [event["type"] for event in failed]
    assert events_of(await stream("no-done"))[-1]["type"] == "message_delta"
    assert "input_tokens" not in await stream("no-usage")
    assert folded(events_of(await stream("empty=choices")))["content"] == []
    broken = [part for part in (await stream("garbage")).split("\n\n") if part.endswith('{"te')]
    assert len(broken) == 1
    crlf = await stream("crlf")
    assert crlf.count("\n") == crlf.count("\r\n") > 30
    assert await stream("empty") == ""
    commented = await stream("comments=1")
    assert commented.startswith(": keep-alive\n\nevent: message_start\n")
    with pytest.raises(httpx2.RemoteProtocolError):
        await stream("cut=40")
    with pytest.raises(httpx2.RemoteProtocolError):
        await stream("garbage=chunk")
    assert "usage" not in await ask(http, "x [[sandbox:no-usage]]")
    assert (await ask(http, "x [[sandbox:error-event]]"))["type"] == "error"


SHELL: Body = {
    "name": "Bash",
    "input_schema": {
        "type": "object",
        "properties": {
            "command": {"type": "string"},
            "description": {"type": "string"},
            "run_in_background": {"type": "boolean"},
        },
        "required": ["command"],
    },
}


async def test_a_coding_agents_shell_runs_what_the_prompt_says(http: httpx2.AsyncClient) -> None:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("Read", "Write", "TodoWrite")] + [SHELL]
    answer = await ask(http, "Please run `echo hi` and tell me what it prints", tools=tools)
    assert [(block["name"], block["input"]) for block in answer["content"]] == [("Bash", {"command": "echo hi"})]
    named = await ask(http, "Use the TodoWrite tool", tools=tools)
    assert [block["name"] for block in named["content"]] == ["TodoWrite"]
    assert (await ask(http, "Write a todo list about reading", tools=tools))["stop_reason"] == "end_turn"
