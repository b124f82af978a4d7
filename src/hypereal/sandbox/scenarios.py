"""Scenarios: what the model says and does, turn by turn, read from a TOML file.

A scenario plays when a request names it (`[[sandbox:scenario=name]]`) or when the last user message contains its
`match`. Which turn it is follows from the conversation: how often the assistant has spoken since the user last did. So
nothing is kept between requests, and a request that is sent again gets the same turn.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hypereal.sandbox.conversation import Conversation
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.tools import Offer, ToolCall

RESULT = "{result}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    """A call of the first of `tools` that the client offers, by the order in which they are written."""

    tools: tuple[str, ...]
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn of the assistant. `{result}` in `text` is the last tool result; `directives` are as in a message."""

    thinking: str = ""
    text: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    directives: str = ""

    def said(self, conversation: Conversation) -> str:
        results = conversation.results
        return self.text.replace(RESULT, results[-1].text if results else "")

    def tool_calls(self, offer: Offer) -> list[ToolCall]:
        """The calls whose tools are offered. Raises `BadRequest` for one whose tool is not."""
        calls = []
        for call in self.calls:
            offered = {tool.name: tool for tool in offer.tools}
            tool = next((offered[name] for name in call.tools if name in offered), None)
            if tool is None:
                raise BadRequest(f"The scenario calls {' or '.join(call.tools)}, which is not among the tools.")
            given = call.arguments
            calls.append(
                ToolCall(tool=tool, arguments=given if isinstance(given, str) else msgspec.json.encode(given).decode())
            )
        return calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The turns of one script. `match` is empty for one that plays only by name."""

    name: str
    match: str = ""
    steps: tuple[Step, ...] = ()


def read_scenarios(path: Path) -> tuple[Scenario, ...]:
    """The scenarios in a file. Raises `ValueError` that says what is wrong, and `OSError`."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    _check(table, {"scenario"}, "the file")
    return tuple(
        _scenario(row, f"scenario {number}") for number, row in enumerate(_rows(table, "scenario", "the file"), 1)
    )


def step_for(scenarios: Sequence[Scenario], conversation: Conversation, name: str | None) -> Step | None:
    """The turn to play, None when no scenario plays or it is over. Raises `BadRequest` for a name not known."""
    scenario = _find(scenarios, conversation, name)
    if scenario is None or conversation.answered >= len(scenario.steps):
        return None
    return scenario.steps[conversation.answered]


def _find(scenarios: Sequence[Scenario], conversation: Conversation, name: str | None) -> Scenario | None:
    if name is None:
        prompt = conversation.prompt.lower() if scenarios else ""
        return next((item for item in scenarios if item.match and item.match.lower() in prompt), None)
    found = next((item for item in scenarios if item.name == name), None)
    if found is None:
        raise BadRequest(f"Unknown scenario '{name}'.", code="unknown_scenario")
    return found


def _scenario(row: Mapping[str, Any], where: str) -> Scenario:
    _check(row, {"name", "match", "turn"}, where)
    name = _text(row, "name", where)
    if not name:
        raise ValueError(f"{where}: 'name' is missing")
    where = f"scenario '{name}'"
    steps = tuple(_step(turn, f"{where}, turn {number}") for number, turn in enumerate(_rows(row, "turn", where), 1))
    return Scenario(name=name, match=_text(row, "match", where), steps=steps)


def _step(row: Mapping[str, Any], where: str) -> Step:
    _check(row, {"thinking", "text", "call", "directives"}, where)
    return Step(
        thinking=_text(row, "thinking", where),
        text=_text(row, "text", where),
        calls=tuple(_scripted_call(call, where) for call in _rows(row, "call", where)),
        directives=_text(row, "directives", where),
    )


def _scripted_call(row: Mapping[str, Any], where: str) -> ScriptedCall:
    _check(row, {"tool", "arguments"}, f"{where}, call")
    tool, arguments = row.get("tool"), row.get("arguments", {})
    tools = [tool] if isinstance(tool, str) else tool
    if not isinstance(tools, list) or not tools or not all(isinstance(name, str) for name in tools):
        raise ValueError(f"{where}: 'tool' must be a name, or a list of names")
    if not isinstance(arguments, dict | str):
        raise ValueError(f"{where}: 'arguments' must be a table, or text for a custom tool")
    return ScriptedCall(tools=tuple(tools), arguments=arguments)


def _rows(table: Mapping[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    rows = table.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{where}: '{name}' must be an array of tables")
    return rows


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{where}: '{name}' must be text")
    return value


def _check(row: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(row) - known)
    if unknown:
        raise ValueError(f"{where}: '{unknown[0]}' is not known")
