"""What differs between the generations of Google's models: how thinking is asked for, and whether calls must be signed.

Reference: the Gemini API's guides on thinking and on thought signatures.
"""

from __future__ import annotations

import re
from typing import Any

from hypereal.wire.conversation import Reasoning, budget_of, effort_of

_NUMBER = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_NEWEST = (99, 0)
"""For a name without a number: such names (`gemini-flash-latest`) move with the newest models."""

# The spans of `thinkingBudget` of the 2.5 models; only those of flash can be told not to think.
_PRO_BUDGETS = 128, 32_768
_FLASH_BUDGETS = 512, 24_576
# Levels that every model of the later generations takes; "MINIMAL" only those of flash.
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}


def _generation(model: str) -> tuple[int, int]:
    found = _NUMBER.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def signs_calls(model: str) -> bool:
    """Whether the model refuses a history with a function call that bears no thought signature."""
    return _generation(model) >= (3, 0)


def sees_results(model: str) -> bool:
    """Whether the result of a function may hold files."""
    return _generation(model) >= (3, 0)


def thinks(model: str) -> bool:
    """Whether the model takes a `thinkingConfig` at all."""
    return _generation(model) >= (2, 5)


def _budget(reasoning: Reasoning, model: str) -> int:
    least, most = _PRO_BUDGETS if "pro" in model else _FLASH_BUDGETS
    if not reasoning.is_enabled:
        return least if "pro" in model else 0
    if reasoning.budget_tokens is None and reasoning.effort is None:
        return -1  # as much as the model thinks right
    wanted = reasoning.budget_tokens if reasoning.budget_tokens is not None else budget_of(reasoning.effort or "")
    return min(max(wanted, least), most)


def _level(reasoning: Reasoning, model: str) -> str | None:
    effort = reasoning.effort
    if not reasoning.is_enabled:
        effort = "minimal"
    elif reasoning.budget_tokens is not None:
        effort = effort_of(reasoning.budget_tokens)
    if effort is None:
        return None
    return "LOW" if effort == "minimal" and "pro" in model else _LEVELS.get(effort, "MEDIUM")


def thinking_config(reasoning: Reasoning, model: str) -> dict[str, Any]:
    """The `thinkingConfig` that comes nearest, for a model that thinks: a budget for 2.5, a level for later ones."""
    config: dict[str, Any] = {}
    if _generation(model) < (3, 0):
        config["thinkingBudget"] = _budget(reasoning, model)
    elif level := _level(reasoning, model):
        config["thinkingLevel"] = level
    if reasoning.shows is not None and reasoning.is_enabled:
        config["includeThoughts"] = reasoning.shows
    return config
