"""Errors in the shape of each family, as a body and as the event that ends a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hypereal.errors import (
    Conflict,
    Gone,
    HeadTooLarge,
    HyperealError,
    InsufficientCredits,
    Internal,
    MethodNotAllowed,
    PayloadTooLarge,
    RateLimited,
    UnknownModel,
    UpstreamFailed,
)
from hypereal.wire.base import Family
from hypereal.wire.families import render, render_event

POOR = InsufficientCredits(required=5, available=1.5)
UNKNOWN = UnknownModel("Unknown model 'x'", param="model", available_models=["a"])
POOR_TEXT = "Insufficient credits"


@pytest.mark.parametrize(
    ("family", "error", "body"),
    [
        (
            Family.NATIVE,
            POOR,
            {"error": POOR_TEXT, "message": POOR_TEXT, "code": "insufficient_credits", "required": 5, "available": 1.5},
        ),
        (
            Family.NATIVE,
            UNKNOWN,
            {
                "error": "Unknown model 'x'",
                "message": "Unknown model 'x'",
                "code": "model_not_found",
                "param": "model",
                "available_models": ["a"],
            },
        ),
        (
            Family.OPENAI,
            POOR,
            {
                "error": {
                    "type": "insufficient_credits",
                    "message": POOR_TEXT,
                    "code": "insufficient_credits",
                    "param": None,
                    "required": 5,
                    "available": 1.5,
                }
            },
        ),
        (
            Family.ANTHROPIC,
            POOR,
            {
                "type": "error",
                "error": {"type": "billing_error", "message": POOR_TEXT, "required": 5, "available": 1.5},
                "request_id": "req_1",
            },
        ),
        (
            Family.GEMINI,
            UNKNOWN,
            {
                "error": {
                    "code": 400,
                    "message": "Unknown model 'x'",
                    "status": "INVALID_ARGUMENT",
                    "type": "invalid_request_error",
                    "available_models": ["a"],
                }
            },
        ),
    ],
)
def test_an_error_has_the_shape_of_its_family(family: Family, error: HyperealError, body: dict[str, Any]) -> None:
    assert json.loads(render(family, error, "req_1")) == body
    prefix = b"event: error\n" if family is Family.ANTHROPIC else b""
    assert render_event(family, error, "req_1") == prefix + b"data: " + render(family, error, "req_1") + b"\n\n"


@pytest.mark.parametrize(
    ("error", "anthropic", "gemini"),
    [
        (RateLimited(), "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (UpstreamFailed(), "api_error", "UNAVAILABLE"),
        (Conflict(), "invalid_request_error", "ABORTED"),
        (MethodNotAllowed(), "invalid_request_error", "INVALID_ARGUMENT"),
        (Gone(), "invalid_request_error", "INVALID_ARGUMENT"),
        (PayloadTooLarge(), "request_too_large", "INVALID_ARGUMENT"),
        (HeadTooLarge(), "invalid_request_error", "INVALID_ARGUMENT"),
        (Internal(), "api_error", "INTERNAL"),
    ],
)
def test_a_status_has_the_name_of_its_family(error: HyperealError, anthropic: str, gemini: str) -> None:
    assert json.loads(render(Family.ANTHROPIC, error, "r"))["error"]["type"] == anthropic
    assert json.loads(render(Family.GEMINI, error, "r"))["error"]["status"] == gemini


def test_text_from_outside_cannot_end_an_event() -> None:
    event = render_event(Family.OPENAI, UpstreamFailed("one\n\ndata: [DONE]\r\n\r\n"), "r")
    assert event.count(b"\n") == 2
    assert event.endswith(b"\n\n")
