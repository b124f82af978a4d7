"""Where a key is looked for in a request (api.md section 2)."""

from __future__ import annotations

import pytest

from hypereal.api.auth import extract_secret

OURS = b"ck_" + b"a" * 48
OTHER = b"ck_" + b"b" * 48


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"authorization", b"Bearer " + OURS)], b""),
        ([(b"authorization", b"bearer   " + OURS + b" ")], b""),
        ([(b"x-api-key", OURS)], b""),
        ([(b"x-goog-api-key", b" " + OURS)], b""),
        ([], b"key=" + OURS),
        ([], b"alt=sse&key=ck%5F" + OURS[3:]),
    ],
)
def test_every_form_of_the_key_is_found(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    assert extract_secret([(b"host", b"x"), *headers], query) == OURS


def test_the_forms_are_tried_in_the_order_of_the_contract() -> None:
    forms = [(b"x-goog-api-key", b"ck_goog"), (b"x-api-key", b"ck_x"), (b"authorization", b"Bearer ck_bearer")]
    assert extract_secret(forms, b"key=ck_query") == b"ck_bearer"
    assert extract_secret(forms[:2], b"key=ck_query") == b"ck_x"
    assert extract_secret(forms[:1], b"key=ck_query") == b"ck_goog"
    assert extract_secret([], b"key=ck_query&key=ck_second") == b"ck_query"


def test_a_key_of_ours_wins_over_a_foreign_one_in_an_earlier_place() -> None:
    assert extract_secret([(b"authorization", b"Bearer sk-foreign"), (b"x-api-key", OURS)], b"") == OURS
    assert extract_secret([(b"x-api-key", b"sk-foreign")], b"key=" + OTHER) == OTHER


def test_a_foreign_key_is_returned_for_the_verifier_to_refuse() -> None:
    assert extract_secret([(b"authorization", b"Bearer sk-foreign")], b"") == b"sk-foreign"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], b""),
        ([], b"monkey=ck_1&keys=ck_2"),
        ([(b"authorization", b"Basic dXNlcjpwYXNz")], b""),
        ([(b"authorization", b"Bearer ")], b""),
        ([(b"x-api-key", b"")], b"key="),
    ],
)
def test_no_key_is_found_where_there_is_none(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    assert extract_secret(headers, query) is None
