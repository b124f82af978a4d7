"""Identifiers and secrets: their shape, that they differ, and how a key is looked up."""

from __future__ import annotations

import hashlib
import re

import pytest

from hypereal.kit.ids import (
    MOST_ID_LENGTH,
    hash_key,
    is_plausible_id,
    new_id,
    new_key_secret,
    request_id_factory,
)


def test_identifiers_are_prefixed_safe_and_differ() -> None:
    made = {new_id("key") for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"key_[0-9A-Za-z]{20}", one) for one in made)
    assert re.fullmatch(r"acc_[0-9A-Za-z]{7}", new_id("acc", 7))


def test_secrets_have_the_documented_shape_and_differ() -> None:
    made = {new_key_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"ck_[0-9A-Za-z]{48}", one) for one in made)


@pytest.mark.parametrize("value", ["a\0b", "é", "\ud800", "line\n", "x" * (MOST_ID_LENGTH + 1)])
def test_what_the_database_would_refuse_is_no_id(value: str) -> None:
    assert not is_plausible_id(value)
    assert is_plausible_id(new_id("resp"))


def test_a_key_is_looked_up_by_its_digest() -> None:
    assert hash_key(b"ck_x") == hashlib.sha256(b"ck_x").digest()
    assert len(hash_key(b"")) == 32
    assert hash_key(b"a") != hash_key(b"b")


def test_request_ids_differ_within_and_between_processes() -> None:
    one, other = request_id_factory(), request_id_factory()
    made = [make() for _ in range(500) for make in (one, other)]
    assert len(set(made)) == 1000
    assert all(re.fullmatch(r"req_[0-9A-Za-z]{16}[0-9a-f]{8}", one_id) for one_id in made)
    assert len({one_id[:20] for one_id in made}) == 2
