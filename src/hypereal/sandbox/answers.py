"""The meaning of an answer: its choices as tokens, why each ended, and what was used. No wire format here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from hypereal.sandbox import replies, tokens
from hypereal.sandbox.conversation import Conversation
from hypereal.sandbox.faults import Faults
from hypereal.sandbox.hints import Hints, stable_number
from hypereal.sandbox.prompt_cache import Block, Cached
from hypereal.sandbox.request import BadRequest, Sampling
from hypereal.sandbox.scenarios import Step
from hypereal.sandbox.schema import fill
from hypereal.sandbox.schema_check import Unsatisfiable
from hypereal.sandbox.tools import Offer, Tool, ToolCall, decide

_REASONING = re.compile(r"thinking|reason|codex|gpt-5|(?:^|[/\-_.])(?:o[1345]|r1)(?:[\-_.:]|$)", re.IGNORECASE)
_REASONING_TOKENS = {"none": 0, "minimal": 16, "low": 64, "medium": 192, "high": 512, "xhigh": 1024, "max": 1024}
_MESSAGE_TOKENS = 4  # what OpenAI's counting guide adds for each message, and 3 for the reply's start
REPLY_TOKENS = 3
_MEDIA_TOKENS = {"image": 255, "audio": 128, "video": 1024, "file": 512}


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The shape that an answer must have: any JSON object, or a value of `schema`. `field` is where this was asked."""

    field: str
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a request asks for, in whatever format it came; `body` is all that it says.

    `tool_text` is the tools as they are counted. `blocks` is the prompt of a format that caches at breakpoints.
    """

    model: str
    conversation: Conversation
    offer: Offer
    sampling: Sampling
    structure: Structure | None = None
    tool_text: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call. `arguments` is JSON, or free text for a custom tool, split into tokens; `number` identifies it."""

    number: str
    tool: Tool
    arguments: Sequence[str]

    @property
    def name(self) -> str:
        return self.tool.name

    @property
    def text(self) -> str:
        return "".join(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer: thoughts, then text, as tokens, then calls. `finish` is OpenAI's finish reason.

    `stopped_by` is the stop sequence that ended it.
    """

    index: int
    pieces: Sequence[str]
    thoughts: Sequence[str] = ()
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    stopped_by: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def thinking(self) -> str:
        return "".join(self.thoughts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens used. `reasoning` is part of `completion`; what the cache read and wrote are parts of `prompt`."""

    prompt: int
    completion: int
    reasoning: int
    cache: Cached

    @property
    def cached(self) -> int:
        return self.cache.read


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that a rendering needs. `number` identifies it; `created` is in seconds since 1970.

    `is_redacted` has its thinking hidden, in a format that can do so.
    """

    number: str
    created: int
    request: Request
    choices: tuple[Choice, ...]
    usage: Usage
    is_redacted: bool = False

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def first(self) -> Choice:
        """The only choice, in formats that have no others."""
        return self.choices[0] if self.choices else Choice(index=0, pieces=())


def answer_choices(request: Request, faults: Faults, step: Step | None) -> tuple[Choice, ...]:
    """The choices of an answer. Raises `BadRequest` for tools and schemas that cannot be filled."""
    if faults.empty == "choices":
        return ()
    thought = reasoning_tokens(request)
    sampling = _without(request.sampling, thought)
    calls = _calls(request, faults, step)
    thoughts = tokens.split(_thinking(request, calls, step)) if thought else ()
    choices = []
    for index in range(sampling.n):
        if step is None and calls:
            choice = Choice(index=index, pieces=(), calls=_marked(request, calls, index))
        else:
            choice = text_choice(_said(request, step, index), index, sampling, faults)
            choice = replace(choice, calls=_marked(request, calls, index) if choice.finish == "stop" else ())
        choices.append(_limited_calls(replace(choice, thoughts=thoughts), sampling, request.offer))
    return tuple(choices)


def _calls(request: Request, faults: Faults, step: Step | None) -> list[ToolCall]:
    if step is not None:
        return step.tool_calls(request.offer)
    return decide(request.offer, request.conversation) if faults.tokens is None and faults.big is None else []


def _said(request: Request, step: Step | None, index: int) -> str:
    if step is not None:
        return step.said(request.conversation)
    if request.structure is not None:
        return _structured(request.structure, request.conversation)
    return replies.reply(request.conversation, request.sampling.seed + index)


def _thinking(request: Request, calls: Sequence[ToolCall], step: Step | None) -> str:
    if step is not None and step.thinking:
        return step.thinking
    return replies.thoughts(request.conversation, [call.tool.name for call in calls])


def _marked(request: Request, calls: Sequence[ToolCall], index: int) -> tuple[Call, ...]:
    """The calls with a number each, which the same request gets again."""
    if not calls:
        return ()
    said = request.conversation.transcript
    return tuple(
        Call(
            number=f"{stable_number(said, index, number, call.arguments):016x}{number:02d}",
            tool=call.tool,
            arguments=tokens.split(call.arguments),
        )
        for number, call in enumerate(calls)
    )


def _without(sampling: Sampling, thought: int) -> Sampling:
    """What is left to say once `thought` tokens are spent on reasoning."""
    return (
        sampling
        if sampling.limit is None
        else replace(sampling, limit=max(min(1, sampling.limit), sampling.limit - thought))
    )


def text_choice(said: str, index: int, sampling: Sampling, faults: Faults) -> Choice:
    """`said` as a choice, as far as the stop sequences and the token limit let it."""
    if faults.big is not None:
        return Choice(index=index, pieces=["x" * faults.big])
    pieces = tokens.split(said) if faults.tokens is None else tokens.filler(said, faults.tokens)
    stopped_by = None
    if sampling.stop:
        text = "".join(pieces)
        ends = [(at, stop) for stop in sampling.stop if (at := text.find(stop)) >= 0]
        if ends:
            end, stopped_by = min(ends)
            pieces = tokens.split(text[:end])
    if sampling.limit is not None and len(pieces) > sampling.limit:
        return Choice(index=index, pieces=pieces[: sampling.limit], finish="length")
    return Choice(index=index, pieces=pieces, stopped_by=stopped_by)


def _limited_calls(choice: Choice, sampling: Sampling, offer: Offer) -> Choice:
    """The choice with its calls cut off where the token limit is, as a real model's are."""
    if not choice.calls:
        return choice
    left = None if sampling.limit is None else sampling.limit - len(choice.pieces)
    kept: list[Call] = []
    for call in choice.calls:
        if left is not None and left <= 0:
            return replace(choice, calls=tuple(kept), finish="length")
        if left is not None and len(call.arguments) > left:
            kept.append(replace(call, arguments=call.arguments[:left]))
            return replace(choice, calls=tuple(kept), finish="length")
        kept.append(call)
        left = None if left is None else left - len(call.arguments)
    # A tool that the request named is answered with "stop", as OpenAI documents for `tool_choice`.
    finish = "stop" if offer.named is not None else "function_call" if offer.legacy else "tool_calls"
    return replace(choice, finish=finish)


def _structured(structure: Structure, conversation: Conversation) -> str:
    """The text of a structured answer."""
    if structure.schema is None:
        return msgspec.json.encode(_free_object(conversation)).decode()
    try:
        return msgspec.json.encode(fill(structure.schema, Hints(conversation.prompt))).decode()
    except Unsatisfiable as exc:
        raise BadRequest(f"Invalid schema for {structure.field}: {exc}", param=structure.field) from exc


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


def prompt_tokens(request: Request) -> list[str]:
    """The prompt as tokens: the tools, then the messages; media as placeholders."""
    found = tokens.split(request.tool_text)
    for turn in request.conversation.turns:
        found += ["\0"] * (_MESSAGE_TOKENS - 1) + [turn.role] + tokens.split(turn.text)
        for media in turn.media:
            found += [media.describe()] * media_tokens(media.kind)
    return found + ["\0"] * REPLY_TOKENS


def media_tokens(kind: str) -> int:
    """What an image, a sound or a file counts for."""
    return _MEDIA_TOKENS.get(kind, 0)


def usage_of(choices: Sequence[Choice], *, prompt: int, cache: Cached, reasoning: int) -> Usage:
    """The usage of an answer with these choices."""
    said = sum(_count(choice) for choice in choices)
    return Usage(prompt=prompt, cache=cache, completion=said + reasoning, reasoning=reasoning)


def _count(choice: Choice) -> int:
    written = sum(max(1, len(piece) // 8) for piece in choice.pieces)
    return written + sum(len(call.arguments) + tokens.count(call.name) + 3 for call in choice.calls)


def reasoning_tokens(request: Request) -> int:
    """How many tokens are thought before the answer; 0 for models that do not, at most half of the token limit."""
    return reasoning_for(request.model, request.sampling, request.conversation.prompt)


def reasoning_for(model: str, sampling: Sampling, prompt: str) -> int:
    thinks = sampling.thinks if sampling.thinks is not None else _REASONING.search(model) is not None
    if not thinks:
        return 0
    base = _REASONING_TOKENS.get(sampling.effort, _REASONING_TOKENS["medium"])
    thought = base + stable_number(prompt) % (base // 4 + 1) if base else 0
    return thought if sampling.limit is None else min(thought, sampling.limit // 2)
