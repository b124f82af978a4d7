"""Error bodies as providers document them, and what each must mean for a request."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hypereal.providers.base import Failure, FailureKind
from hypereal.providers.error_body import MESSAGE_LIMIT
from hypereal.providers.openai import OpenAIAdapter

FIXTURES = Path(__file__).parents[1] / "fixtures" / "upstreams"
CASES = sorted(FIXTURES.glob("*/*.json"))
NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z: what dates in the fixtures are relative to


def classified(case: dict[str, Any]) -> Failure:
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    return OpenAIAdapter(clock=lambda: NOW).classify(case["status"], case["headers"], body.encode())


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", CASES, ids=name_of)
def test_a_documented_error_means_what_it_should(path: Path) -> None:
    case = json.loads(path.read_text())
    expected = dict(case["expect"])
    says, hidden = expected.pop("says", ""), expected.pop("hides", [])
    failure = classified(case)
    actual = {name: getattr(failure, name) for name in expected}
    assert actual == expected
    assert says in failure.message
    for text in hidden:
        assert text not in failure.message
        assert text not in failure.detail


@pytest.mark.parametrize("path", CASES, ids=name_of)
def test_only_a_rejection_ends_the_request_and_only_it_quotes_the_provider(path: Path) -> None:
    failure = classified(json.loads(path.read_text()))
    assert failure.try_next is (failure.kind is not FailureKind.REJECTED)
    assert 400 <= failure.status <= 504
    assert failure.status != 422
    assert 0 < len(failure.message) <= MESSAGE_LIMIT
    assert not re.search(r"</?\w+>", failure.message)
    if failure.kind is not FailureKind.REJECTED:
        assert failure.message.startswith("The provider")
