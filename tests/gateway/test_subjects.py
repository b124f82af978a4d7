"""Subjects: the account's limits, then the key's, made once for each principal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypereal.gateway import subjects as module
from hypereal.gateway.subjects import Subjects
from hypereal.identity.principal import Limits, Principal

PRINCIPAL = Principal(
    account_id="acc_1",
    wallet_id="acc_1",
    key_id="key_1",
    account_limits=Limits(requests_per_hour=1000, concurrency=8),
    key_limits=Limits(requests_per_minute=5, tokens_per_minute=900),
)


def test_the_account_comes_before_the_key() -> None:
    account, key = Subjects().of(PRINCIPAL)
    assert (account.id, account.noun, account.requests_per_hour, account.concurrency) == ("acc_1", "account", 1000, 8)
    assert (key.id, key.noun, key.requests_per_minute, key.tokens_per_minute) == ("key_1", "key", 5, 900)
    assert (account.requests_per_minute, key.requests_per_hour) == (None, None)


def test_they_are_made_once_for_a_principal_and_anew_for_a_changed_one() -> None:
    subjects = Subjects()
    first = subjects.of(PRINCIPAL)
    assert subjects.of(PRINCIPAL) is first
    changed = replace(PRINCIPAL, key_limits=Limits(requests_per_minute=6))
    assert subjects.of(changed)[1].requests_per_minute == 6
    assert subjects.of(changed) is subjects.of(changed)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAPACITY", 3)
    subjects = Subjects()
    for number in range(10):
        subjects.of(replace(PRINCIPAL, key_id=f"key_{number}"))
        assert len(subjects._made) <= 3
    assert subjects.of(PRINCIPAL)[1].id == "key_1"
