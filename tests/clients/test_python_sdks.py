"""The official Python SDKs of OpenAI (Responses), Anthropic and Google, each also with another provider's model."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from google import genai
from google.genai import types
from openai.types.responses import FunctionToolParam

from tests.clients.programs import Bench

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
QUESTION = "What is the weather in Paris?"
OPENAI_TOOL: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": dict(WEATHER),
    "strict": True,
}
ANTHROPIC_TOOL: ToolParam = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": dict(WEATHER),
}
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"


@pytest.fixture
def responses(bench: Bench) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{bench.url}/v1", api_key=bench.key, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(bench: Bench) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=bench.url, api_key=bench.key, max_retries=0) as client:
        yield client


@pytest.fixture
def google(bench: Bench) -> Iterator[genai.Client]:
    client = genai.Client(api_key=bench.key, http_options=types.HttpOptions(base_url=bench.url))
    yield client
    client.close()


@pytest.mark.parametrize("model", ["gpt-5", "claude-sonnet-4-6", "gemini-3.1-pro"])
def test_a_response_goes_on_is_found_again_and_is_deleted(bench: Bench, responses: openai.OpenAI, model: str) -> None:
    first = responses.responses.create(model=model, input="My name is Alice.")
    second = responses.responses.create(model=model, input="What is my name?", previous_response_id=first.id)
    assert "Alice" in second.output_text
    assert second.previous_response_id == first.id
    assert responses.responses.retrieve(second.id).output_text == second.output_text
    responses.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        responses.responses.retrieve(second.id)
    bench.turn(endpoint=RESPONSES, model=model, count=2)


@pytest.mark.parametrize("model", ["gpt-5", "deepseek-v3.2", "claude-sonnet-4-6"])
def test_a_response_streams_and_uses_a_tool(bench: Bench, responses: openai.OpenAI, model: str) -> None:
    with responses.responses.stream(model=model, input=QUESTION, tools=[OPENAI_TOOL]) as stream:
        kinds = [event.type for event in stream]
        first = stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert (call.name, call.arguments.replace(" ", "")) == ("get_weather", '{"city":"Paris"}')
    second = responses.responses.create(
        model=model,
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 21 degrees"}],
        tools=[OPENAI_TOOL],
    )
    assert "21" in second.output_text
    bench.turn(endpoint=RESPONSES, model=model, count=2)


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gpt-5", "gemini-3.1-pro"])
def test_a_message_thinks_calls_a_tool_and_uses_its_result(
    bench: Bench, claude: anthropic.Anthropic, model: str
) -> None:
    thinking: anthropic.types.ThinkingConfigParam = {"type": "enabled", "budget_tokens": 1024}
    messages: list[MessageParam] = [{"role": "user", "content": QUESTION}]
    first = claude.messages.create(
        model=model, max_tokens=2048, messages=messages, tools=[ANTHROPIC_TOOL], thinking=thinking
    )
    assert first.stop_reason == "tool_use"
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert call.input == {"city": "Paris"}
    messages.append({"role": "assistant", "content": first.content})
    messages.append(
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "Sunny, 21 degrees"}],
        }
    )
    with claude.messages.stream(
        model=model, max_tokens=2048, messages=messages, tools=[ANTHROPIC_TOOL], thinking=thinking
    ) as stream:
        text = "".join(stream.text_stream)
        second = stream.get_final_message()
    assert "21" in text
    assert second.stop_reason == "end_turn"
    rows = bench.turn(endpoint=MESSAGES, model=model, count=2)
    assert [row["reasoning_tokens"] > 0 for row in rows] == [True, True]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_cache_is_filled_without_an_answer(bench: Bench, claude: anthropic.Anthropic, streams: bool) -> None:
    model = "claude-sonnet-4-6"
    messages: list[MessageParam] = [{"role": "user", "content": QUESTION}]
    system = f"Streams: {streams}. " + "Be brief. " * 1000
    filled: anthropic.types.Message
    if streams:
        with claude.messages.stream(model=model, max_tokens=0, messages=messages, system=system) as stream:
            filled = stream.get_final_message()
    else:
        filled = claude.messages.create(model=model, max_tokens=0, messages=messages, system=system)
    assert (filled.content, filled.stop_reason) == ([], "max_tokens")
    said = claude.messages.create(model=model, max_tokens=50, messages=messages, system=system)
    assert said.usage.cache_read_input_tokens == filled.usage.cache_creation_input_tokens
    first, second = bench.turn(endpoint=MESSAGES, model=model, count=2)
    assert (first["output_tokens"], first["cache_write_tokens"]) == (0, second["cache_read_tokens"])


def test_tokens_of_a_message_are_counted_for_nothing(bench: Bench, claude: anthropic.Anthropic) -> None:
    counted = claude.messages.count_tokens(model="claude-sonnet-4-6", messages=[{"role": "user", "content": QUESTION}])
    assert 5 < counted.input_tokens < 50
    said = claude.messages.create(
        model="claude-sonnet-4-6", max_tokens=50, messages=[{"role": "user", "content": QUESTION}]
    )
    assert said.usage.input_tokens == counted.input_tokens
    assert "claude-sonnet-4-6" in {model.id for model in claude.models.list()}
    billed = [row for row in bench.requests(2) if row["credits"]]
    assert [row["endpoint"] for row in billed] == [MESSAGES]


@pytest.mark.parametrize("model", ["gemini-3.1-pro", "gpt-5", "claude-sonnet-4-6"])
def test_a_chat_of_googles_sdk_calls_functions_by_itself(bench: Bench, google: genai.Client, model: str) -> None:
    asked = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "Sunny, 21 degrees"

    chat = google.chats.create(model=model, config=types.GenerateContentConfig(tools=[get_weather]))
    assert "21" in (chat.send_message(QUESTION).text or "")
    assert asked == ["Paris"]
    bench.turn(endpoint="/v1/models/{model}:generateContent", model=model, count=2)


@pytest.mark.parametrize("model", ["gemini-3.1-pro", "gpt-5"])
def test_googles_sdk_streams_and_counts(bench: Bench, google: genai.Client, model: str) -> None:
    chunks = list(google.models.generate_content_stream(model=model, contents="Count to five"))
    assert "5" in "".join(chunk.text or "" for chunk in chunks)
    usage = chunks[-1].usage_metadata
    assert usage is not None
    assert usage.total_token_count
    assert google.models.count_tokens(model=model, contents="Count to five").total_tokens
    billed = [row for row in bench.requests(2) if row["credits"]]
    assert [row["endpoint"] for row in billed] == ["/v1/models/{model}:streamGenerateContent"]


def test_googles_sdk_lists_models(google: genai.Client) -> None:
    assert "models/gemini-3.1-pro" in {model.name for model in google.models.list()}
