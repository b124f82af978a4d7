"""Frameworks over the SDKs: OpenAI's agents, and LangChain."""

from __future__ import annotations

import asyncio

import pytest
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from pydantic import SecretStr

from tests.clients.programs import Bench

QUESTION = "What is the weather in Paris?"


def weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny, 21 degrees in {city}"


@pytest.mark.parametrize("model", ["gpt-5", "claude-sonnet-4-6"])
def test_an_agent_uses_its_tool(bench: Bench, model: str) -> None:
    set_tracing_disabled(True)

    async def ask() -> str:
        async with AsyncOpenAI(base_url=f"{bench.url}/v1", api_key=bench.key, max_retries=0) as client:
            agent = Agent(
                name="Forecaster",
                model=OpenAIResponsesModel(model=model, openai_client=client),
                tools=[function_tool(weather)],
            )
            return str((await Runner.run(agent, QUESTION)).final_output)

    assert "21" in asyncio.run(ask())
    bench.turn(endpoint="/v1/responses", model=model, count=2)


@pytest.mark.parametrize("model", ["gpt-5", "gemini-3.1-pro"])
def test_langchain_chats_streams_and_calls_a_tool(bench: Bench, model: str) -> None:
    chat = ChatOpenAI(model=model, base_url=f"{bench.url}/v1", api_key=SecretStr(bench.key), max_retries=0)
    assert "5" in "".join(str(chunk.content) for chunk in chat.stream("Count to five"))
    answer = chat.bind_tools([tool(weather)]).invoke(QUESTION)
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    bench.turn(endpoint="/v1/chat/completions", model=model, count=2)
