"""OpenAI's own Python SDK, with nothing changed but the base URL and the key."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.support.server import Server

MODEL = "gpt-5"
CHEAP_MODEL = "gpt-5.4-nano"
EMBEDDING_MODEL = "text-embedding-3-small"
COMPLETION_MODEL = "gpt-3.5-turbo-instruct"
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Person(BaseModel):
    """What a structured answer is parsed into."""

    name: str
    age: int
    tags: list[str]


@pytest.fixture
def client(sandboxed: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{sandboxed.client.base_url}/v1", api_key=sandboxed.client.key, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(sandboxed: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"{sandboxed.client.base_url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=sandboxed.client.key, max_retries=0) as made:
        yield made


def ask(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_a_chat_completion(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=ask("What is 2 + 3?"))
    assert completion.model == MODEL
    assert completion.choices[0].finish_reason == "stop"
    assert "5" in (completion.choices[0].message.content or "")
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0


def test_the_headers_say_what_it_cost(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=CHEAP_MODEL, messages=ask("Hi"))
    assert float(raw.headers["x-hypereal-credits"]) > 0
    assert raw.headers["x-hypereal-provider"] == "sandbox"
    assert raw.headers["x-request-id"] == raw.request_id


def test_a_stream_gives_the_same_text_and_ends_with_usage(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=ask("Name three colours."))
    chunks = list(client.chat.completions.create(model=MODEL, messages=ask("Name three colours."), stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


def test_the_streaming_helper_accumulates_a_completion(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=ask("Say hi in one word")) as stream:
        kinds = [event.type for event in stream]
        completion = stream.get_final_completion()
    assert "content.delta" in kinds
    assert completion.choices[0].message.content


async def test_the_asynchronous_client_streams(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(model=MODEL, messages=ask("Count to five"), stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert "5" in text or "five" in text


def test_a_tool_is_called_and_its_result_is_used(client: openai.OpenAI) -> None:
    messages = ask("What is the weather in Paris?")
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    choice = first.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    messages.append(
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
            ],
        }
    )
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees"})
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert "21" in (second.choices[0].message.content or "")


def test_tool_calls_are_streamed_in_pieces_that_add_up(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=ask("What is the weather in Paris?"), tools=[WEATHER], stream=True
    )
    arguments = ""
    for chunk in stream:
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                arguments += (call.function.arguments or "") if call.function else ""
    assert json.loads(arguments) == {"city": "Paris"}


def test_a_structured_answer_is_parsed(client: openai.OpenAI) -> None:
    completion = client.chat.completions.parse(model=MODEL, messages=ask("Describe a person."), response_format=Person)
    parsed = completion.choices[0].message.parsed
    assert isinstance(parsed, Person)


def test_json_mode_answers_json(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=ask("Answer as JSON."), response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(completion.choices[0].message.content or ""), dict)


def test_an_image_part_is_accepted(client: openai.OpenAI) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    content = [{"type": "text", "text": "What is in it?"}, picture]
    completion = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])  # type: ignore[misc,list-item]
    assert completion.choices[0].message.content


def test_a_text_completion_and_its_stream(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=COMPLETION_MODEL, prompt="Say hi in one word")
    assert whole.choices[0].text
    parts = client.completions.create(model=COMPLETION_MODEL, prompt="Say hi in one word", stream=True)
    assert "".join(part.choices[0].text for part in parts if part.choices) == whole.choices[0].text


@pytest.mark.parametrize("dimensions", [256, 512])
def test_embeddings_are_unit_vectors_of_the_size_asked_for(client: openai.OpenAI, dimensions: int) -> None:
    answer = client.embeddings.create(model=EMBEDDING_MODEL, input=["one", "two"], dimensions=dimensions)
    assert [len(item.embedding) for item in answer.data] == [dimensions] * 2
    assert math.isclose(math.hypot(*answer.data[0].embedding), 1.0, rel_tol=1e-3)
    assert answer.usage.prompt_tokens > 0


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    listed = {model.id for model in client.models.list()}
    assert {MODEL, EMBEDDING_MODEL, COMPLETION_MODEL} <= listed
    assert client.models.retrieve(MODEL).owned_by


def test_an_unknown_model_is_a_bad_request_that_helps(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-5-tubro", messages=ask("Hi"))
    assert caught.value.code == "model_not_found"
    assert isinstance(caught.value.body, dict)
    assert "gpt-5" in caught.value.body["available_models"]
    assert caught.value.request_id


def test_a_wrong_key_is_an_authentication_error(client: openai.OpenAI) -> None:
    with client.with_options(api_key="ck_" + "w" * 48) as stranger, pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model=MODEL, messages=ask("Hi"))


def test_a_missing_model_is_a_not_found_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


@pytest.mark.parametrize(
    ("trigger", "error"),
    [
        ("status=429", openai.RateLimitError),
        ("status=400", openai.BadRequestError),
        ("status=503", openai.InternalServerError),
    ],
)
def test_an_upstreams_failure_is_the_sdks_own_exception(
    client: openai.OpenAI, trigger: str, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        client.chat.completions.create(model=CHEAP_MODEL, messages=ask(f"[[sandbox:{trigger}]]"))
    assert caught.value.request_id


def test_a_stream_that_breaks_is_an_error_and_not_a_short_answer(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="gpt-5.4-mini", messages=ask("[[sandbox:cut=40]] Count to twenty"), stream=True
    )
    with pytest.raises(openai.APIError):
        list(stream)
