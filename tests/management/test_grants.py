"""A key hands on no more than it has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hypereal.api.grants import UNRESTRICTED, check_grant
from hypereal.errors import Forbidden
from hypereal.identity.principal import Limits
from tests.management.conftest import principal

MOMENT = datetime(2030, 1, 1, tzinfo=UTC)
RESTRICTED = principal(
    scopes=frozenset({"keys:write", "inference"}),
    allowed_models=frozenset({"gpt-5"}),
    spending_limit=100,
    expires_at=MOMENT.timestamp(),
    key_limits=Limits(requests_per_hour=10, requests_per_minute=9, tokens_per_minute=8, concurrency=7),
)
WITHIN: dict[str, Any] = {
    "scopes": ["inference"],
    "allowed_models": ["gpt-5"],
    "spending_limit": 100,
    "expires_at": MOMENT,
    "requests_per_hour": 10,
    "requests_per_minute": 9,
    "tokens_per_minute": 8,
    "concurrency": 7,
}


def test_a_key_without_restrictions_hands_on_anything() -> None:
    check_grant(principal(), UNRESTRICTED)
    check_grant(principal(), WITHIN)


def test_a_restricted_key_hands_on_the_same_restrictions() -> None:
    check_grant(RESTRICTED, WITHIN)
    check_grant(RESTRICTED, {})


@pytest.mark.parametrize("field", sorted(UNRESTRICTED))
def test_each_restriction_can_neither_be_dropped_nor_left_out(field: str) -> None:
    with pytest.raises(Forbidden, match=field.replace("_", " ")):
        check_grant(RESTRICTED, {**WITHIN, field: None})


@pytest.mark.parametrize("field", ["spending_limit", "requests_per_hour", "concurrency"])
def test_a_number_can_not_be_raised(field: str) -> None:
    with pytest.raises(Forbidden):
        check_grant(RESTRICTED, {field: WITHIN[field] + 1})


def test_a_key_outlives_no_key_that_made_it() -> None:
    with pytest.raises(Forbidden, match="expires at"):
        check_grant(RESTRICTED, {"expires_at": MOMENT.replace(year=2031)})
