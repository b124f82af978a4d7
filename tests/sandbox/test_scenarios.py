"""Scripted conversations: one script, played turn by turn in every format."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hypereal.sandbox.__main__ import main
from hypereal.sandbox.app import SandboxConfig
from hypereal.sandbox.scenarios import Scenario, read_scenarios
from hypereal.sandbox.server import serving

Body = dict[str, Any]

FILE = """
[[scenario]]
name = "tidy"
match = "tidy up"

[[scenario.turn]]
thinking = "First I look around."
text = "Let me look."
directives = "status=529, times=1"
  [[scenario.turn.call]]
  tool = ["exec_command", "look"]
  arguments = { where = "here" }
  [[scenario.turn.call]]
  tool = "look"
  arguments = { where = "there" }

[[scenario.turn]]
text = "It says: {result}"
"""
PARAMETERS: Body = {"type": "object", "properties": {"where": {"type": "string"}}}
PROMPT = "Please tidy up."
SAID = [{"where": "here"}, {"where": "there"}]


@pytest.fixture
def scenarios(tmp_path: Path) -> tuple[Scenario, ...]:
    path = tmp_path / "scenarios.toml"
    path.write_text(FILE, encoding="utf-8")
    return read_scenarios(path)


@pytest.fixture
async def played(scenarios: tuple[Scenario, ...]) -> AsyncIterator[httpx2.AsyncClient]:
    config = SandboxConfig(chunks_per_second=0, scenarios=scenarios)
    async with serving(config) as url, httpx2.AsyncClient(base_url=url, timeout=20, verify=False) as client:
        yield client


async def twice(http: httpx2.AsyncClient, path: str, body: Body) -> Body:
    """The answer to a request whose turn first fails once."""
    headers = {"anthropic-version": "2023-06-01"}
    failed = await http.post(path, json=body, headers=headers)
    assert failed.status_code == 529
    answer = await http.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: Body = answer.json()
    return found


async def after(http: httpx2.AsyncClient, path: str, body: Body) -> str:
    answer = await http.post(path, json=body, headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_it_plays_in_chat(played: httpx2.AsyncClient) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}]
    body: Body = {
        "model": "m",
        "messages": [{"role": "user", "content": PROMPT}],
        "tools": tools,
        "reasoning_effort": "low",
    }
    message = (await twice(played, "/v1/chat/completions", body))["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("First I look around.", "Let me look.")
    assert [json.loads(call["function"]["arguments"]) for call in message["tool_calls"]] == SAID
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "dust"} for call in message["tool_calls"]]
    body["messages"] += [message, *results]
    assert "It says: dust" in await after(played, "/v1/chat/completions", body)


async def test_it_plays_for_anthropic(played: httpx2.AsyncClient) -> None:
    tools = [{"name": "look", "input_schema": PARAMETERS}]
    body: Body = {"model": "m", "max_tokens": 2000, "messages": [{"role": "user", "content": PROMPT}], "tools": tools}
    body["thinking"] = {"type": "adaptive"}
    content = (await twice(played, "/v1/messages", body))["content"]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use", "tool_use"]
    assert (content[0]["thinking"], content[1]["text"]) == ("First I look around.", "Let me look.")
    assert [block["input"] for block in content[2:]] == SAID
    results = [{"type": "tool_result", "tool_use_id": block["id"], "content": "dust"} for block in content[2:]]
    body["messages"] += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    assert "It says: dust" in await after(played, "/v1/messages", body)


async def test_it_plays_in_responses(played: httpx2.AsyncClient) -> None:
    tools = [{"type": "function", "name": "look", "parameters": PARAMETERS}]
    body: Body = {"model": "m", "input": [{"role": "user", "content": PROMPT}], "tools": tools}
    body["reasoning"] = {"summary": "auto"}
    output = (await twice(played, "/v1/responses", body))["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert output[0]["summary"][0]["text"] == "First I look around."
    assert [json.loads(item["arguments"]) for item in output[2:]] == SAID
    results = [{"type": "function_call_output", "call_id": item["call_id"], "output": "dust"} for item in output[2:]]
    body["input"] += [*output, *results]
    assert "It says: dust" in await after(played, "/v1/responses", body)


async def test_it_plays_for_gemini(played: httpx2.AsyncClient) -> None:
    tools = [{"functionDeclarations": [{"name": "look", "parameters": PARAMETERS}]}]
    body: Body = {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}], "tools": tools}
    body["generationConfig"] = {"thinkingConfig": {"includeThoughts": True}}
    path = "/v1beta/models/m:generateContent"
    content = (await twice(played, path, body))["candidates"][0]["content"]
    assert [part.get("text") for part in content["parts"]] == ["First I look around.", "Let me look.", None, None]
    assert [part["functionCall"]["args"] for part in content["parts"][2:]] == SAID
    result = {"functionResponse": {"name": "look", "response": {"output": "dust"}}}
    body["contents"] += [content, {"role": "user", "parts": [result, result]}]
    assert "It says: dust" in await after(played, path, body)


async def test_a_scenario_is_called_by_name_and_ends(played: httpx2.AsyncClient) -> None:
    async def said(text: str, *earlier: Body) -> httpx2.Response:
        messages = [{"role": "user", "content": text}, *earlier]
        return await played.post("/v1/chat/completions", json={"model": "m", "messages": messages})

    named = "Hello [[sandbox:scenario=tidy]]"
    spoken = {"role": "assistant", "content": "x"}
    assert "It says: " in (await said(named, spoken)).text
    over = await said(named, spoken, {"role": "user", "content": "<system-reminder>x</system-reminder>"}, spoken)
    assert "How can I help" in over.text
    untold = await said("Hello [[sandbox:scenario=tidy]]")
    assert (untold.status_code, "not among the tools" in untold.text) == (529, False)
    assert "not among the tools" in (await said("Hello [[sandbox:scenario=tidy]]")).text
    unknown = await said("Hello [[sandbox:scenario=other]]")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "unknown_scenario")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenario = 5", "'scenario' must be an array of tables"),
        ("[[scenario]]", "'name' is missing"),
        ("[[scenarios]]", "'scenarios' is not known"),
        ("[[scenario]]\nname = 'a'\nturns = 5", "'turns' is not known"),
        ("[[scenario]]\nname = 'a'\n[[scenario.turn]]\ntext = 5", "scenario 'a', turn 1: 'text' must be text"),
        ("[[scenario]]\nname = 'a'\n[[scenario.turn]]\n[[scenario.turn.call]]", "'tool' must be a name"),
        ("[[scenario]]\nname = 'a'\n[[scenario.turn]]\ncall = [{tool = 'x', arguments = 5}]", "'arguments' must be"),
        ("[[scenario", "Expected"),
    ],
)
def test_a_faulty_file_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    path = tmp_path / "scenarios.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["--scenarios", str(path)])
    assert message in capsys.readouterr().err


def test_a_missing_file_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--scenarios", "/nowhere.toml"])
    assert "No such file" in capsys.readouterr().err
