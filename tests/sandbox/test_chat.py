"""Chat, text completions, embeddings and models, through the official client and plain HTTP."""

from __future__ import annotations

import base64
import itertools
import json
import math
from array import array
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, BadRequestError
from pydantic import BaseModel

from hypereal.sandbox.replies import reply_to_text

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
EMAIL: Any = {
    "type": "function",
    "function": {
        "name": "send_email",
        "parameters": {"type": "object", "properties": {"to": {"type": "string", "format": "email"}}},
    },
}


async def ask(sdk: AsyncOpenAI, text: Any, **fields: Any) -> Any:
    return await sdk.chat.completions.create(
        model=fields.pop("model", "sandbox"), messages=[{"role": "user", "content": text}], **fields
    )


async def said(sdk: AsyncOpenAI, text: str, **fields: Any) -> str:
    return str((await ask(sdk, text, **fields)).choices[0].message.content)


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Say hi in one word", "Hi"),
        ("What is 12 * (3 + 4)?", "12 * (3 + 4) = 84"),
        ("What is 7 plus 5? Only the number.", "12"),
        ("2+2", "2+2 = 4"),
        ("Count from 3 to 6", "3, 4, 5, 6"),
        ("Repeat after me: one fish", "one fish"),
        ('Say "pong"', "pong"),
        ("Say ha 3 times", "ha ha ha"),
        ("What is the capital of France? Answer in one word.", "Paris"),
        ("My name is Zoë", "Nice to meet you, Zoë!"),
        ("", "I received an empty message. What would you like to talk about?"),
    ],
)
async def test_the_answer_follows_from_the_prompt(sdk: AsyncOpenAI, prompt: str, answer: str) -> None:
    assert await said(sdk, prompt) == answer


async def test_an_unknown_prompt_is_quoted_and_dates_are_not_sums(sdk: AsyncOpenAI) -> None:
    assert "What happened on 2024-10-12 — 東京?" in await said(sdk, "What happened on 2024-10-12 — 東京?")
    assert "haiku" not in await said(sdk, "A haiku about rivers, please")
    assert "rivers" in await said(sdk, "A haiku about rivers, please")
    assert (await said(sdk, "List 3 fruits")).count("\n") == 2


async def test_earlier_messages_and_instructions_are_heeded(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(
        model="sandbox",
        messages=[
            {"role": "system", "content": "Answer in ALL CAPS."},
            {"role": "user", "content": "My name is Ada"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "What is my name?"},
        ],
    )
    assert answer.choices[0].message.content == "YOUR NAME IS ADA."


async def test_the_same_request_gets_the_same_answer_and_a_seed_another(sdk: AsyncOpenAI) -> None:
    first, second = await ask(sdk, "Tell me of llamas", seed=1), await ask(sdk, "Tell me of llamas", seed=1)
    assert first.id == second.id
    assert first.choices == second.choices
    assert (await ask(sdk, "Tell me of llamas", seed=2)).choices != first.choices
    several = await ask(sdk, "Tell me of llamas", n=3)
    assert len({choice.message.content for choice in several.choices}) == 3
    assert [choice.index for choice in several.choices] == [0, 1, 2]


async def test_limits_and_stops_end_an_answer(sdk: AsyncOpenAI) -> None:
    short = await ask(sdk, "Count to 50", max_completion_tokens=5)
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 5
    stopped = await ask(sdk, "Count to 50", stop=["4", "7"])
    assert stopped.choices[0].message.content == "1, 2, 3, "
    assert stopped.choices[0].finish_reason == "stop"


async def test_logprobs_have_their_shape(sdk: AsyncOpenAI) -> None:
    answer = await ask(sdk, "Say hi in one word", logprobs=True, top_logprobs=2)
    (token,) = answer.choices[0].logprobs.content
    assert (token.token, bytes(token.bytes)) == ("Hi", b"Hi")
    assert token.logprob <= 0
    assert token.top_logprobs[0].token == "Hi"
    assert len(token.top_logprobs) == 2


async def test_media_are_described(sdk: AsyncOpenAI) -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"x" * 300).decode()
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"y" * 30).decode(), "format": "mp3"}},
    ]
    answer = str((await ask(sdk, content)).choices[0].message.content)
    assert "2 images (image/png, 300 bytes; image/*, linked) and 1 audio (audio/mp3, 30 bytes)" in answer
    assert "What is this?" in answer


@pytest.mark.parametrize(("effort", "least"), [("minimal", 16), ("high", 512)])
async def test_reasoning_models_think(sdk: AsyncOpenAI, effort: str, least: int) -> None:
    answer = await ask(sdk, "Hello", model="openai/gpt-5-mini", reasoning_effort=effort)
    assert answer.model == "openai/gpt-5-mini"
    assert answer.usage.completion_tokens_details.reasoning_tokens >= least
    assert answer.usage.completion_tokens > answer.usage.completion_tokens_details.reasoning_tokens
    plain = await ask(sdk, "Hello", model="gpt-4o")
    assert plain.usage.completion_tokens_details.reasoning_tokens == 0


async def test_thoughts_are_shown_to_who_asks_for_an_effort(http: httpx2.AsyncClient) -> None:
    messages = [{"role": "user", "content": "Count to 3"}]
    body: Any = {"model": "m", "messages": messages, "reasoning_effort": "low"}
    whole = (await http.post("/v1/chat/completions", json=body)).json()
    thinking = whole["choices"][0]["message"]["reasoning_content"]
    assert "Count to 3" in thinking
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] >= 64
    streamed = (await http.post("/v1/chat/completions", json={**body, "stream": True})).text
    deltas = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in streamed.split("\n\n")[:-2]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == thinking
    quiet = (await http.post("/v1/chat/completions", json={**body, "reasoning_effort": "none"})).json()
    assert "reasoning_content" not in quiet["choices"][0]["message"]
    hidden = (await http.post("/v1/chat/completions", json={"model": "gpt-5", "messages": messages})).json()
    assert "reasoning_content" not in hidden["choices"][0]["message"]
    assert hidden["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


async def test_a_long_prefix_is_cached_the_second_time(sdk: AsyncOpenAI) -> None:
    text = " ".join(f"word{number}" for number in range(1500))
    first = await ask(sdk, text)
    second = await ask(sdk, text)
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    assert 1024 <= second.usage.prompt_tokens_details.cached_tokens <= second.usage.prompt_tokens
    assert second.usage.prompt_tokens_details.cached_tokens % 128 == 0
    assert (await ask(sdk, text, model="other")).usage.prompt_tokens_details.cached_tokens == 0


@pytest.mark.parametrize("include", [True, False])
async def test_a_stream_adds_up_to_the_whole_answer(sdk: AsyncOpenAI, include: bool) -> None:
    whole = await ask(sdk, "Count to 20", n=2)
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if include else {}
    chunks = [chunk async for chunk in await ask(sdk, "Count to 20", n=2, stream=True, **options)]
    texts = ["", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]
    assert chunks[0].choices[0].delta.role == "assistant"
    if include:
        assert chunks[-1].choices == []
        assert chunks[-1].usage == whole.usage
        assert chunks[-2].choices[0].finish_reason == "stop"
    else:
        assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_events_are_written_one_by_one_and_end_with_done(http: httpx2.AsyncClient) -> None:
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Count to 3"}]}
    answer = await http.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["x-sandbox"] == "1"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["model"] == "m" for event in events[:-2])
    assert '"usage"' not in answer.text


async def test_a_tool_is_called_and_its_result_used(sdk: AsyncOpenAI) -> None:
    first = await ask(sdk, "What's the weather in New York, in fahrenheit?", tools=[EMAIL, WEATHER])
    (call,) = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.choices[0].message.content is None
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "New York", "unit": "fahrenheit"}
    second = await sdk.chat.completions.create(
        model="sandbox",
        messages=[
            {"role": "user", "content": "What's the weather in New York?"},
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 72, "sky": "clear"}'},
        ],
        tools=[WEATHER],
    )
    assert second.choices[0].message.tool_calls is None
    assert second.choices[0].message.content == "Here is what I found: get_weather returned temperature 72, sky clear."


async def test_two_places_make_two_calls_whose_arguments_stream_in_pieces(sdk: AsyncOpenAI) -> None:
    stream = await ask(sdk, "Is the weather better in Paris or in London?", tools=[WEATHER], stream=True)
    names: dict[int, str] = {}
    arguments: dict[int, list[str]] = {}
    finish = None
    async for chunk in stream:
        for delta in chunk.choices[0].delta.tool_calls or []:
            if delta.id:
                names[delta.index] = delta.function.name
            arguments.setdefault(delta.index, []).append(delta.function.arguments)
        finish = chunk.choices[0].finish_reason
    assert names == {0: "get_weather", 1: "get_weather"}
    assert [json.loads("".join(arguments[index]))["city"] for index in (0, 1)] == ["Paris", "London"]
    assert len(arguments[0]) > 3
    assert finish == "tool_calls"
    single = await ask(sdk, "Weather in Paris and in London?", tools=[WEATHER], parallel_tool_calls=False)
    assert len(single.choices[0].message.tool_calls) == 1


async def test_tool_choice_is_honoured(sdk: AsyncOpenAI) -> None:
    assert (await ask(sdk, "Hello there", tools=[WEATHER])).choices[0].message.tool_calls is None
    none = await ask(sdk, "Weather in Rome?", tools=[WEATHER], tool_choice="none")
    assert none.choices[0].message.tool_calls is None
    required = await ask(sdk, "Hello there", tools=[WEATHER], tool_choice="required")
    assert required.choices[0].message.tool_calls[0].function.name == "get_weather"
    named = {"type": "function", "function": {"name": "send_email"}}
    specific = await ask(sdk, "Weather in Rome?", tools=[WEATHER, EMAIL], tool_choice=named)
    assert [call.function.name for call in specific.choices[0].message.tool_calls] == ["send_email"]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [EMAIL]}}
    limited = await ask(sdk, "Weather in Rome?", tools=[WEATHER, EMAIL], tool_choice=allowed)
    assert [call.function.name for call in limited.choices[0].message.tool_calls] == ["send_email"]
    with pytest.raises(BadRequestError):
        await ask(sdk, "Hi", tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "other"}})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_legacy_functions_are_called(sdk: AsyncOpenAI) -> None:
    answer = await ask(sdk, "Weather in Rome and in Oslo?", functions=[WEATHER["function"]])
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "function_call"
    assert json.loads(message.function_call.arguments)["city"] == "Rome"
    assert message.tool_calls is None


class Person(BaseModel):
    """What a client would parse."""

    name: str
    age: int
    friends: list[Person]
    nickname: str | None


async def test_structured_answers_parse(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.parse(
        model="sandbox",
        messages=[{"role": "user", "content": "I met Grace Hopper, age 42, yesterday."}],
        response_format=Person,
    )
    person = answer.choices[0].message.parsed
    assert person is not None
    assert (person.name, person.age) == ("Grace Hopper", 42)
    free = await said(sdk, "A JSON object with keys name and city", response_format={"type": "json_object"})
    assert list(json.loads(free)) == ["name", "city"]
    impossible = {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}, "required": ["a"]}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": impossible}}
    with pytest.raises(BadRequestError, match="Invalid schema"):
        await ask(sdk, "Hi", response_format=wanted)


async def test_text_completions(sdk: AsyncOpenAI) -> None:
    answer = await sdk.completions.create(model="m", prompt=["Say hi in one word", "2+3"], logprobs=1, echo=True)
    assert [choice.text for choice in answer.choices] == ["Say hi in one wordHi", "2+32+3 = 5"]
    assert answer.choices[0].logprobs is not None
    assert answer.choices[0].logprobs.text_offset is not None
    assert answer.choices[0].logprobs.text_offset[:2] == [0, 3]
    assert answer.usage is not None
    stream = await sdk.completions.create(
        model="m", prompt="Count to 9", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_embeddings_are_near_for_similar_texts(sdk: AsyncOpenAI) -> None:
    texts = ["the quick brown fox jumps", "a quick brown fox jumped", "stock prices fell sharply today"]
    answer = await sdk.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=256)
    vectors = [item.embedding for item in answer.data]
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in vectors)

    def likeness(left: int, right: int) -> float:
        return sum(a * b for a, b in zip(vectors[left], vectors[right], strict=True))

    assert likeness(0, 1) > 0.4 > likeness(0, 2)


async def test_embeddings_come_in_both_encodings_and_from_tokens(http: httpx2.AsyncClient) -> None:
    forms = {}
    for form in ("float", "base64"):
        answer = await http.post("/v1/embeddings", json={"model": "e", "input": "x y", "encoding_format": form})
        forms[form] = answer.json()["data"][0]["embedding"]
    assert list(array("f", base64.b64decode(forms["base64"]))) == pytest.approx(forms["float"])
    assert len(forms["float"]) == 1536
    batch = await http.post("/v1/embeddings", json={"model": "e", "input": [[1, 2, 3], [4]], "dimensions": 8})
    assert [len(item["embedding"]) for item in batch.json()["data"]] == [8, 8]
    assert batch.json()["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


async def test_models_and_health(sdk: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    assert "sandbox" in [model.id async for model in sdk.models.list()]
    assert (await sdk.models.retrieve("sandbox:fast")).id == "sandbox:fast"
    assert (await http.get("/healthz")).json() == {"status": "ok"}


MESSAGES = [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[1]", None),
        (b"[" * 100_000, None),
        ({"messages": MESSAGES}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": ["x"]}, "messages[0]"),
        ({"model": "m", "messages": [{"role": "king"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"model": "m", "messages": MESSAGES, "n": 0}, "n"),
        ({"model": "m", "messages": MESSAGES, "max_tokens": "9"}, "max_tokens"),
        ({"model": "m", "messages": MESSAGES, "stop": [1]}, "stop"),
        ({"model": "m", "messages": MESSAGES, "stream": "yes"}, "stream"),
        ({"model": "m", "messages": MESSAGES, "stream_options": {"include_usage": True}}, "stream_options"),
        ({"model": "m", "messages": MESSAGES, "tools": {}}, "tools"),
        ({"model": "m", "messages": MESSAGES, "tools": [{"type": "function"}]}, "tools[0].function.name"),
    ],
)
async def test_a_faulty_request_is_refused(http: httpx2.AsyncClient, body: Any, param: str | None) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await http.post("/v1/chat/completions", content=raw)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["param"] == param


async def test_unknown_paths_and_methods_are_refused(http: httpx2.AsyncClient) -> None:
    assert (await http.post("/v1/nothing")).status_code == 404
    assert (await http.get("/v1/chat/completions")).status_code == 405


def test_odd_prompts_get_an_answer_too() -> None:
    prompts = [
        "",
        "\n\t ",
        "🙂",
        "0/0",
        "9" * 3000,
        "count from x to y",
        "(((((1",
        "\u202e",
        "name two",
        "say",
        "haiku",
    ]
    for prompt, variation in itertools.product(prompts, (-3, 0, 2**63)):
        assert reply_to_text(prompt, variation)
