"""The formats in which the sandbox answers: for each how a request is read and how an answer is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hypereal.sandbox.answers import Answer, Request
from hypereal.sandbox.anthropic_format import ANTHROPIC as ANTHROPIC_GRAMMAR
from hypereal.sandbox.anthropic_format import anthropic_body, anthropic_events
from hypereal.sandbox.anthropic_request import read_anthropic
from hypereal.sandbox.chat_format import OPENAI, chat_body, chat_chunks
from hypereal.sandbox.chat_request import read_chat
from hypereal.sandbox.gemini_format import GEMINI, GEMINI_ARRAY, gemini_body, gemini_chunks
from hypereal.sandbox.gemini_request import read_gemini
from hypereal.sandbox.grammar import Event, Grammar
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.responses_format import RESPONSES as RESPONSES_GRAMMAR
from hypereal.sandbox.responses_format import compact_body, responses_body, responses_events, responses_failure
from hypereal.sandbox.responses_request import read_compact, read_responses


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format. `failure` makes the event that ends a stream in an error, where the error itself is not one."""

    grammar: Grammar
    read: Callable[[Mapping[str, Any]], Request]
    body: Callable[[Answer], Event]
    events: Callable[[Answer], Iterator[Event]]
    failure: Callable[[Answer, BadRequest, int], Event] | None = None


CHAT = Format(grammar=OPENAI, read=read_chat, body=chat_body, events=chat_chunks)
ANTHROPIC = Format(grammar=ANTHROPIC_GRAMMAR, read=read_anthropic, body=anthropic_body, events=anthropic_events)
RESPONSES = Format(
    grammar=RESPONSES_GRAMMAR,
    read=read_responses,
    body=responses_body,
    events=responses_events,
    failure=responses_failure,
)
COMPACTION = replace(RESPONSES, read=read_compact, body=compact_body)


def gemini(model: str, *, stream: bool, is_array: bool) -> Format:
    """Gemini's format for a request whose path names the model and whether it streams."""
    grammar = GEMINI_ARRAY if is_array else GEMINI
    return Format(grammar=grammar, read=partial(read_gemini, model, stream), body=gemini_body, events=gemini_chunks)
