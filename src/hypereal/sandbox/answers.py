"""The meaning of an answer: its choices as tokens, why each ended, and what was used. No wire format here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from hypereal.sandbox import replies, tokens
from hypereal.sandbox.conversation import Conversation
from hypereal.sandbox.faults import Faults
from hypereal.sandbox.hints import Hints, stable_number
from hypereal.sandbox.request import BadRequest, Sampling
from hypereal.sandbox.schema import fill
from hypereal.sandbox.schema_check import Unsatisfiable
from hypereal.sandbox.tools import Offer, decide

_REASONING = re.compile(r"thinking|reason|codex|gpt-5|(?:^|[/\-_.])(?:o[1345]|r1)(?:[\-_.:]|$)", re.IGNORECASE)
_REASONING_TOKENS = {"none": 0, "minimal": 16, "low": 64, "medium": 192, "high": 512, "xhigh": 1024}
_MESSAGE_TOKENS = 4  # what OpenAI's counting guide adds for each message, and 3 for the reply's start
_REPLY_TOKENS = 3
_MEDIA_TOKENS = {"image": 255, "audio": 128, "video": 1024, "file": 512}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call whose JSON arguments are split into tokens."""

    id: str
    name: str
    arguments: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer: text as tokens, or calls. `finish` is OpenAI's finish reason."""

    index: int
    pieces: Sequence[str]
    calls: tuple[Call, ...] = ()
    finish: str = "stop"

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens used. `reasoning` is part of `completion`, `cached` of `prompt`."""

    prompt: int
    cached: int
    completion: int
    reasoning: int

    def body(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that a rendering needs. `is_legacy` asks for `function_call` rather than `tool_calls`."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    is_legacy: bool = False


def chat_choices(
    conversation: Conversation, sampling: Sampling, *, offer: Offer, body: Mapping[str, Any], faults: Faults
) -> tuple[Choice, ...]:
    """The choices of a chat answer. Raises `BadRequest` for tools and schemas that cannot be filled."""
    calls = decide(offer, conversation) if faults.tokens is None and faults.big is None else []
    choices = []
    for index in range(sampling.n):
        if calls:
            marked = tuple(
                Call(
                    id=f"call_{stable_number(conversation.transcript, index, number, call.arguments):016x}{number:02d}",
                    name=call.name,
                    arguments=tokens.split(call.arguments),
                )
                for number, call in enumerate(calls)
            )
            choices.append(_calls_within(marked, index, sampling, offer))
            continue
        structured = _structured(body, conversation)
        said = structured if structured is not None else replies.reply(conversation, sampling.seed + index)
        choices.append(text_choice(said, index, sampling, faults))
    return tuple(choices)


def text_choice(said: str, index: int, sampling: Sampling, faults: Faults) -> Choice:
    """`said` as a choice, as far as the stop sequences and the token limit let it."""
    if faults.big is not None:
        return Choice(index=index, pieces=["x" * faults.big])
    pieces = tokens.split(said) if faults.tokens is None else tokens.filler(said, faults.tokens)
    if sampling.stop:
        text = "".join(pieces)
        ends = [at for stop in sampling.stop if (at := text.find(stop)) >= 0]
        pieces = tokens.split(text[: min(ends)]) if ends else pieces
    if sampling.limit is not None and len(pieces) > sampling.limit:
        return Choice(index=index, pieces=pieces[: sampling.limit], finish="length")
    return Choice(index=index, pieces=pieces)


def _calls_within(calls: tuple[Call, ...], index: int, sampling: Sampling, offer: Offer) -> Choice:
    """Calls cut off where the token limit is, as a real model's are."""
    left = sampling.limit
    kept: list[Call] = []
    for call in calls:
        if left is not None and len(call.arguments) > left:
            kept.append(Call(id=call.id, name=call.name, arguments=call.arguments[:left]))
            return Choice(index=index, pieces=(), calls=tuple(kept), finish="length")
        kept.append(call)
        left = None if left is None else left - len(call.arguments)
    # A tool that the request named is answered with "stop", as OpenAI documents for `tool_choice`.
    finish = "function_call" if offer.legacy else "stop" if offer.named is not None else "tool_calls"
    return Choice(index=index, pieces=(), calls=tuple(kept), finish="stop" if offer.named is not None else finish)


def _structured(body: Mapping[str, Any], conversation: Conversation) -> str | None:
    """The text of a structured answer, or None when plain text is wanted."""
    wanted = body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or kind not in ("json_object", "json_schema"):
        return None
    if kind == "json_object":
        return msgspec.json.encode(_free_object(conversation)).decode()
    inner = wanted.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if not isinstance(schema, dict):
        where = "response_format.json_schema.schema"
        raise BadRequest(f"Missing required parameter: '{where}'.", param=where)
    try:
        return msgspec.json.encode(fill(schema, Hints(conversation.prompt))).decode()
    except Unsatisfiable as exc:
        raise BadRequest(f"Invalid schema for response_format: {exc}", param="response_format") from exc


def _free_object(conversation: Conversation) -> dict[str, Any]:
    """An object with the keys that the prompt names ("with keys name and age"), otherwise with the reply."""
    text = f"{conversation.prompt}\n{conversation.system}"
    named = re.search(
        r"\b(?:keys?|fields?|properties)\b:?\s+((?:[\"'`]?\w+[\"'`]?(?:\s*,\s*(?:and\s+)?|\s+and\s+)?)+)", text
    )
    keys = [key for key in re.findall(r"\w+", named[1]) if key not in ("and", "only")] if named else []
    hints = Hints(conversation.prompt)
    if keys:
        return {key: hints.text(key) for key in keys[:50]}
    return {"answer": replies.reply(conversation, 0)}


def prompt_tokens(conversation: Conversation, body: Mapping[str, Any]) -> list[str]:
    """The prompt as tokens: the tools, then the messages; media as placeholders."""
    offered = body.get("tools") or body.get("functions")
    found = tokens.split(msgspec.json.encode(offered).decode()) if offered else []
    for turn in conversation.turns:
        found += ["\0"] * (_MESSAGE_TOKENS - 1) + [turn.role] + tokens.split(turn.text)
        for media in turn.media:
            found += [media.describe()] * _MEDIA_TOKENS.get(media.kind, 0)
    return found + ["\0"] * _REPLY_TOKENS


def usage_of(choices: Sequence[Choice], *, prompt: int, cached: int, reasoning: int) -> Usage:
    """The usage of an answer with these choices."""
    said = sum(_count(choice) for choice in choices)
    return Usage(prompt=prompt, cached=cached, completion=said + reasoning, reasoning=reasoning)


def _count(choice: Choice) -> int:
    written = sum(max(1, len(piece) // 8) for piece in choice.pieces)
    return written + sum(len(call.arguments) + tokens.count(call.name) + 3 for call in choice.calls)


def reasoning_tokens(model: str, sampling: Sampling, prompt: str) -> int:
    """How many tokens a reasoning model thinks before it answers; 0 for others, at most half of the token limit."""
    if not _REASONING.search(model):
        return 0
    base = _REASONING_TOKENS.get(sampling.effort, _REASONING_TOKENS["medium"])
    thought = base + stable_number(prompt) % (base // 4 + 1) if base else 0
    return thought if sampling.limit is None else min(thought, sampling.limit // 2)
