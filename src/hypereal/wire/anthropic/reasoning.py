"""How much to think: `thinking` and `output_config.effort`, in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hypereal.wire.anthropic.shapes import Dropped, read_as
from hypereal.wire.conversation import Aim, Reasoning, budget_of, effort_of
from hypereal.wire.fields import NULL

LEAST_BUDGET = 1024
"""The least `budget_tokens` that Anthropic takes."""
EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_THINKS = ("thinking", "redacted_thinking")


class _Thinking(msgspec.Struct, gc=False):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _OutputConfig(msgspec.Struct, gc=False):
    effort: str | None = None
    format: msgspec.Raw = NULL


_decode_thinking = msgspec.json.Decoder(_Thinking).decode
_decode_config = msgspec.json.Decoder(_OutputConfig).decode


def read_output_config(fields: Mapping[str, msgspec.Raw]) -> tuple[str | None, msgspec.Raw]:
    """The effort and the format that `output_config` asks for."""
    config = read_as(fields, "output_config", _decode_config) or _OutputConfig()
    return config.effort, config.format


def read_reasoning(fields: Mapping[str, msgspec.Raw], effort: str | None, dropped: Dropped) -> Reasoning | None:
    """None when the client says nothing about it."""
    thinking = read_as(fields, "thinking", _decode_thinking)
    if thinking is None:
        return Reasoning(effort=effort) if effort is not None else None
    shows = {"omitted": False, "summarized": True, "updates": True}.get(thinking.display or "")
    if thinking.type == "disabled":
        return Reasoning(is_enabled=False, effort=effort)
    if thinking.type == "enabled":
        return Reasoning(budget_tokens=thinking.budget_tokens, effort=effort, shows=shows)
    if thinking.type not in ("adaptive", "between_tools"):
        dropped["thinking"] = None
    return Reasoning(is_adaptive=True, effort=effort, shows=shows)


def _fitting_budget(wanted: int, max_tokens: int) -> int | None:
    """A budget that leaves room for the answer: as wanted if it fits, else three quarters of the limit, which the
    client set for both together; None when that is less than Anthropic takes."""
    budget = max(wanted, LEAST_BUDGET)
    if budget >= max_tokens:
        budget = max_tokens * 3 // 4
    return budget if budget >= LEAST_BUDGET else None


def is_in_open_loop_without_thinking(turns: Sequence[tuple[str, list[Any]]]) -> bool:
    """Whether results are being returned to a turn that began without thinking: it can't begin to think now."""
    position = len(turns) - 1
    has_calls = False
    while position > 0 and turns[position][0] == "user" and _kind(turns[position][1][0]) == "tool_result":
        has_calls = True
        if _kind(turns[position - 1][1][0]) in _THINKS:
            return False
        position -= 2
    return has_calls


def _kind(block: Any) -> str | None:
    return block.get("type") if isinstance(block, dict) else None


def _shown(thinking: dict[str, Any], reasoning: Reasoning) -> dict[str, Any]:
    if reasoning.shows is None:
        return thinking
    return {**thinking, "display": "summarized" if reasoning.shows else "omitted"}


def _effort(reasoning: Reasoning) -> str | None:
    if reasoning.effort is None and reasoning.budget_tokens is not None:
        return effort_of(reasoning.budget_tokens)
    effort = "low" if reasoning.effort == "minimal" else reasoning.effort
    return effort if effort in EFFORTS else None


def write_reasoning(
    reasoning: Reasoning | None, aim: Aim, max_tokens: int, turns: Sequence[tuple[str, list[Any]]]
) -> tuple[dict[str, Any] | None, str | None, bool]:
    """`thinking`, `output_config.effort`, and whether thinking that was asked for is left out.

    A model that thinks adaptively takes efforts; an older one a budget, and no effort.
    """
    if reasoning is None:
        return None, None, False
    if not reasoning.is_enabled or reasoning.effort == "none":
        return {"type": "disabled"}, None, False
    if aim.thinks_adaptively:
        if reasoning.budget_tokens is not None and reasoning.budget_tokens < 1:
            return {"type": "disabled"}, None, False
        return _shown({"type": "adaptive"}, reasoning), _effort(reasoning), False
    wanted = reasoning.budget_tokens if reasoning.budget_tokens is not None else budget_of(reasoning.effort or "medium")
    budget = _fitting_budget(wanted, max_tokens)
    if budget is None or is_in_open_loop_without_thinking(turns):
        return None, None, True
    return _shown({"type": "enabled", "budget_tokens": budget}, reasoning), None, False
