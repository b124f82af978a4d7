"""llm-comply holds the four formats to their published specifications, for models of every provider."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.clients.programs import Bench

PROGRAM = (sys.executable, "-m", "llm_comply.cli")
FORMATS: dict[str, tuple[str, Sequence[str]]] = {
    "open-responses": ("/v1", ()),
    "openai-chat": ("/v1", ()),
    "anthropic": ("/v1", ("--auth-header", "x-api-key", "--no-bearer", "-H", "anthropic-version:2023-06-01")),
    "google-genai": ("", ("--auth-header", "x-goog-api-key", "--no-bearer")),
}
MODELS = ("gpt-5", "deepseek-v3.2", "claude-haiku-4-5", "gemini-3.1-pro")
COMPACTS = {"gpt-5", "deepseek-v3.2"}
"""Models with an upstream that speaks Responses: nobody else can make a conversation compact."""


def results(bench: Bench, kind: str, model: str) -> list[dict[str, Any]]:
    """What the suite says of each of its tests."""
    path, options = FORMATS[kind]
    command = [*PROGRAM, "--format", kind, "--json", "-u", bench.url + path, "-k", bench.key, "-m", model, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    report: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return report


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_as_specified_whoever_answers(bench: Bench, kind: str, model: str) -> None:
    report = results(bench, kind, model)
    failed: dict[str, list[str]] = {
        result["id"]: result.get("errors") or [""] for result in report if result["status"] == "failed"
    }
    if model not in COMPACTS:
        assert failed.pop("compact-response", ["HTTP 400"])[0].startswith("HTTP 400")
    assert not failed
    # The suite itself leaves out thinking for models whose names it does not know to think.
    assert sum(result["status"] == "skipped" for result in report) <= 1
    assert len(report) >= 9
