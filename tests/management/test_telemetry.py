"""Logs of every origin go through one chain, and no secret comes out of it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from hypereal.kit import telemetry

KEY = "ck_" + "Z9" * 24


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    names = ("", *telemetry.FOREIGN_LOGGERS)
    before = [(name, list(logging.getLogger(name).handlers), logging.getLogger(name).propagate) for name in names]
    level = root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    for name, handlers, propagate in before:
        logging.getLogger(name).handlers = handlers
        logging.getLogger(name).propagate = propagate
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"key {KEY} is unknown", KEY),
        (f"Authorization: Bearer {KEY}", KEY),
        ("Authorization: bearer eyJhbGciOi.payload.sig", "eyJhbGciOi"),
        ("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNz"),
        (f"GET /v1beta/models?alt=sse&key={KEY}&x=1", KEY),
        ("GET /v1/models?key=not-one-of-ours HTTP/1.1", "not-one-of-ours"),
        ("Incorrect API key provided: sk-proj-abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnop"),
        ("gsk_abcdefghijklmnopqrstuvwxyz failed", "abcdefghijklmnop"),
        ("AIzaSyA1234567890123456789012345678901", "SyA1234567890"),
        ("the key ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl", "QmVkcm9ja0FQ"),
        ("got ya29.c0ASRK0GbTxwAbCdEfGhIj", "c0ASRK0GbTxw"),
        ("postgresql://app:hunter2@db.internal/x", "hunter2"),
    ],
)
def test_redaction_masks_a_secret_wherever_it_stands(text: str, secret: str) -> None:
    assert secret not in telemetry.redact(text)
    assert telemetry.MASK in telemetry.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "ck_3uA7…9xLm was revoked",
        "monkey=1 in GET /v1/models?limit=5",
        "sky-scraper",
        "skyscraperconstruction",
        "the bearer of news",
    ],
)
def test_redaction_leaves_harmless_text_alone(text: str) -> None:
    assert telemetry.redact(text) == text


def test_json_lines_carry_the_event_its_fields_and_no_secret() -> None:
    stream = io.StringIO()
    telemetry.configure(level="info", log_format="json", stream=stream)
    log = structlog.get_logger("hypereal.test")
    log.info(
        "upstream.called", tries=2, headers={"Authorization": f"Bearer {KEY}", "accept": "*/*"}, urls=[f"/x?key={KEY}"]
    )
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["tries"]) == ("upstream.called", "info", 2)
    assert line["headers"] == {"Authorization": "***", "accept": "*/*"}
    assert line["urls"] == ["/x?key=***"]
    assert KEY not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_the_text_of_an_exception_is_redacted_too(log_format: telemetry.LogFormat) -> None:
    stream = io.StringIO()
    telemetry.configure(log_format=log_format, stream=stream)
    try:
        raise ValueError(f"refused {KEY}")
    except ValueError:
        structlog.get_logger().exception("request.failed")
    assert "ValueError: refused ck_***" in stream.getvalue()
    assert KEY not in stream.getvalue()


@pytest.fixture
def fresh_loggers() -> Iterator[None]:
    """The loggers of libraries as they are at the start of a process, whatever servers ran in this one before."""
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "some.library")]
    kept = [(one.level, one.propagate, one.handlers, one.disabled) for one in loggers]
    for one in loggers:
        one.level, one.propagate, one.handlers, one.disabled = logging.NOTSET, True, [], False
        one.manager._clear_cache()  # type: ignore[attr-defined]
    yield
    for one, (level, propagate, handlers, disabled) in zip(loggers, kept, strict=True):
        one.level, one.propagate, one.handlers, one.disabled = level, propagate, handlers, disabled
        one.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["uvicorn.error", "uvicorn.access", "some.library"])
@pytest.mark.usefixtures("fresh_loggers")
def test_loggers_of_libraries_come_out_of_the_same_chain(name: str) -> None:
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(io.StringIO()))
    stream = io.StringIO()
    telemetry.configure(log_format="json", stream=stream)
    logging.getLogger(name).warning('%s - "GET /v1/models?key=%s"', "127.0.0.1", KEY)
    (line,) = lines(stream)
    assert line["event"] == '127.0.0.1 - "GET /v1/models?key=***"'
    assert (line["logger"], line["level"]) == (name, "warning")


@pytest.mark.usefixtures("fresh_loggers")
def test_a_message_that_comes_in_colours_as_well_comes_once() -> None:
    stream = io.StringIO()
    telemetry.configure(log_format="json", stream=stream)
    logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "\x1b[36mStarted", "worker": 1})
    (line,) = lines(stream)
    assert (line["event"], line["worker"]) == ("Started", 1)
    assert "color_message" not in line


def test_events_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    telemetry.configure(level="warning", log_format="json", stream=stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    structlog.get_logger().error("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="not a log level"):
        telemetry.configure(level="chatty")
