"""The four formats as upstreams speak them: which one a path belongs to, and what is answered in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tests.support import anthropic_format, gemini_format, openai_format, responses_format
from tests.support.openai_format import event

COUNTED = 42
"""Tokens that an upstream counts, whatever it is asked to count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How an upstream of one format answers, errs and gives up in the middle; `adapter` is the gateway's for it."""

    adapter: str
    answer: Callable[..., dict[str, Any]]
    events: Callable[..., list[bytes]]
    error: Callable[[int, str], dict[str, Any]]
    error_event: Callable[[str], bytes]
    count: Mapping[str, Any]


def _openai_error(status: int, message: str) -> dict[str, Any]:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error", 503: "overloaded"}
    return {"error": {"message": message, "type": kinds.get(status, "server_error"), "param": None, "code": None}}


def _openai_error_event(message: str) -> bytes:
    return event({"error": {"message": message, "type": "server_error", "code": 500}})


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "openai_chat": Format(
            adapter="openai",
            answer=openai_format.answer,
            events=openai_format.events,
            error=_openai_error,
            error_event=_openai_error_event,
            count={},
        ),
        "anthropic": Format(
            adapter="anthropic",
            answer=anthropic_format.answer,
            events=anthropic_format.events,
            error=anthropic_format.error,
            error_event=anthropic_format.error_event,
            count={"input_tokens": COUNTED},
        ),
        "openai_responses": Format(
            adapter="openai",
            answer=responses_format.answer,
            events=responses_format.events,
            error=responses_format.error,
            error_event=responses_format.error_event,
            count={"object": "response.input_tokens", "input_tokens": COUNTED},
        ),
        "gemini": Format(
            adapter="google",
            answer=gemini_format.answer,
            events=gemini_format.events,
            error=gemini_format.error,
            error_event=gemini_format.error_event,
            count={"totalTokens": COUNTED},
        ),
    }
)
_COUNT = re.compile(r"count_tokens$|:countTokens|/input_tokens$")
_IN_PATH = re.compile(r"/models/([^:?]+):")


def format_of(path: str) -> str:
    """The format that is spoken at a path, by its name in `FORMATS`."""
    if "/messages" in path:
        return "anthropic"
    if "/responses" in path:
        return "openai_responses"
    return "gemini" if _IN_PATH.search(path) else "openai_chat"


def counts_tokens(path: str) -> bool:
    return _COUNT.search(path) is not None


def model_in(path: str) -> str:
    """The model that a path names, percent-encoded as it came; empty where it names none."""
    named = _IN_PATH.search(path)
    return named[1] if named else ""
