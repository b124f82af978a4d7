"""What of a provider's words may be shown: one line, cut, without secrets or pages."""

from __future__ import annotations

import json

import pytest

from hypereal.providers.error_body import MESSAGE_LIMIT, clean, read_error


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-AbCdEf0123456789",
        "sk-or-v1-0123456789abcdef",
        "ck_0123456789abcdef0123456789",
        "gsk_0123456789abcdef",
        "xai-0123456789abcdef",
        "AIzaSyA0123456789abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
        "ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl",
        "ya29.c0ASRK0GbTxwAbCdEf",
        "org-Ab12Cd34Ef56",
        "Bearer abcdef0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ],
)
def test_a_secret_in_a_message_is_removed(secret: str) -> None:
    shown = clean(f"The credential {secret} was not accepted.")
    assert secret not in shown
    assert "[removed]" in shown


def test_a_key_in_a_url_or_after_its_name_is_removed() -> None:
    assert clean("GET https://x.test/v1?key=0123abcd&a=1 failed").count("0123abcd") == 0
    assert clean("Incorrect API key provided: 0123abcd.") == "Incorrect API key provided: [removed]"


@pytest.mark.parametrize(
    "text", ["The task-based limit", "risk-free", "Use the keyword tool_choice", "monkey-patching"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert clean(text) == text


def test_a_message_is_one_printable_line_of_bounded_length() -> None:
    assert clean("a\r\nb\x00c\t d") == "a b c d"
    assert len(clean("word " * 1000)) == MESSAGE_LIMIT
    assert clean("word " * 1000).endswith("…")


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><p>x", b"  <HTML><body>x</body>", b"oops <h1>502</h1>"])
def test_a_web_page_says_nothing(body: bytes) -> None:
    error = read_error(body)
    assert error.message == ""
    assert error.is_page


def test_a_page_inside_an_error_object_says_nothing() -> None:
    assert read_error(json.dumps({"error": {"message": "<html><body>502</body></html>"}}).encode()).message == ""


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "m", "details": "none"}},
        {"error": {"message": "m", "details": [1, {"retryDelay": 5}]}},
        {"error": {"message": "m", "innererror": "x", "metadata": "y"}},
        {"error": {"message": "m", "metadata": {"raw": ""}}},
        {"error": {"message": "m", "metadata": {"raw": "<html></html>"}}},
        {"detail": [{"msg": "m"}]},
        {"error": ["m"], "message": "m"},
        "m",
    ],
)
def test_odd_shapes_are_read_as_far_as_they_go(body: object) -> None:
    assert read_error(json.dumps(body).encode()).message == "m"


@pytest.mark.parametrize("body", [{"detail": []}, {"detail": ["x"]}, {"detail": {"detail": 3}}, {}, {"error": {}}, 3])
def test_a_body_without_words_has_no_message(body: object) -> None:
    assert read_error(json.dumps(body).encode()).message == ""


def test_plain_text_is_a_message() -> None:
    error = read_error(b"upstream connect error")
    assert error.message == "upstream connect error"
    assert not error.is_page
    assert read_error(b'{"error": {"message": "{not json"}}').message == "{not json"
