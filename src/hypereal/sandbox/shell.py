"""Running commands: what coding agents offer a shell for, and what a prompt asks to be run in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from hypereal.sandbox.hints import STOP_WORDS, Hints
from hypereal.sandbox.schema import fill
from hypereal.sandbox.schema_check import Unsatisfiable

_NAMES = frozenset(
    {
        "bash",
        "exec",
        "exec_command",
        "execute_command",
        "local_shell",
        "run_command",
        "run_shell_command",
        "run_terminal_cmd",
        "shell",
        "shell_command",
        "terminal",
    }
)
_INPUTS = ("command", "cmd")
_RUN = re.compile(r"\b(?:run|execute|invoke)\b", re.IGNORECASE)
_TICKED = re.compile(r"`([^`\n]{1,1000})`")
_PLAIN = re.compile(
    r"\b(?:run|execute)\s+(?:the\s+)?(?:shell\s+|bash\s+)?(?:command\s*:?\s+)?([\w./~-]+(?:[^\S\n][^\n]*)?)",
    re.IGNORECASE,
)
_END = re.compile(r",?\s+(?:and|then)\s+(?:then\s+)?(?:tell|report|show|say|give|explain|print|describe)\b|[.!?]+\s*$")
_NOT_COMMANDS = STOP_WORDS | {"tests", "test", "code", "again", "command", "commands", "something", "anything"}


def is_shell(name: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a tool runs commands: by its name, and an input for the command."""
    return name.lower() in _NAMES and _input_name(parameters) is not None


def commands(prompt: str, *, is_said: bool = False) -> list[str]:
    """What the prompt wants run: each `command` in backticks, or the words after "run".

    `is_said` tells that the prompt speaks of the shell by name, which stands for "run".
    """
    if not is_said and _RUN.search(prompt) is None:
        return []
    ticked = [command.strip() for command in _TICKED.findall(prompt) if command.strip()]
    if ticked:
        return list(dict.fromkeys(ticked))
    found = _PLAIN.search(prompt)
    if found is None or found[1].split()[0].lower() in _NOT_COMMANDS:
        return []
    command = _END.split(found[1], maxsplit=1)[0].strip().strip("\"'")
    return [command] if command else []


def shell_arguments(parameters: Mapping[str, Any], command: str) -> str:
    """Arguments that run `command`, as JSON: only what the schema requires, for the rest changes how it runs."""
    name = _input_name(parameters) or "command"
    properties = parameters["properties"]
    wanted = properties[name] if isinstance(properties[name], dict) else {}
    required = [key for key in parameters.get("required") or () if key != name]
    value: dict[str, Any] = {name: ["bash", "-lc", command] if wanted.get("type") == "array" else command}
    rest = {"type": "object", "properties": {key: properties.get(key, True) for key in required}, "required": required}
    try:
        others = fill({**parameters, **rest}, Hints(command)) if required else {}
    except Unsatisfiable:
        others = {}
    return msgspec.json.encode({**value, **{key: others[key] for key in required if key in others}}).decode()


def _input_name(parameters: Mapping[str, Any]) -> str | None:
    properties = parameters.get("properties")
    return next((name for name in _INPUTS if isinstance(properties, dict) and name in properties), None)
