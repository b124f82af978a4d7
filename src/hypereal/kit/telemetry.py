"""Logging: structlog and the standard library's loggers through one chain, with secrets taken out last.

An event is a name and fields (`log.info("hold.settled", wallet=…)`). Redaction is the last step before rendering, so
that a secret can't slip in by way of an exception's text or another library's message. Metrics are not here.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["console", "json"]

MASK = "***"
SECRET_FIELDS = frozenset(
    {
        "api-key",
        "api_key",
        "apikey",
        "authorization",
        "cookie",
        "password",
        "proxy-authorization",
        "secret",
        "set-cookie",
        "x-api-key",
        "x-goog-api-key",
    }
)
PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Our keys; a preview such as `ck_3uA7…9xLm` is too short to match and may be shown.
    (re.compile(r"ck_[A-Za-z0-9]{8,}"), f"ck_{MASK}"),
    # Providers' keys: OpenAI and those that copied its prefix, Google, Groq, xAI.
    (re.compile(r"\b(sk|pk|rk|gsk|xai)[-_][A-Za-z0-9_-]{16,}"), rf"\1-{MASK}"),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{20,}"), f"AIza{MASK}"),
    # API keys of Bedrock, access tokens of Google Cloud.
    (re.compile(r"\bABSK[A-Za-z0-9+/=-]{16,}"), f"ABSK{MASK}"),
    (re.compile(r"\bya29\.[A-Za-z0-9._-]{16,}"), f"ya29.{MASK}"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (
        re.compile(r"([?&](?:key|api[_-]?key|access_token|token|signature|sig)=)[^&\s\"'#]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    # The password in a database address.
    (re.compile(r"(\w://[^\s:/@]*:)[^\s@/]+@"), rf"\1{MASK}@"),
)
# Loggers that bring handlers of their own; theirs are removed so that everything passes through the one chain. Not
# uvicorn.access: whether that one speaks is its `access_log` setting, which lives in the logger's `propagate`.
FOREIGN_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "alembic", "sqlalchemy.engine")


def redact(text: str) -> str:
    """`text` with everything that looks like a credential masked."""
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The structlog processor: masks secrets in every field, however deep."""
    return {key: _clean_field(key, value) for key, value in event.items()}


def configure(*, level: str = "info", log_format: LogFormat = "console", stream: TextIO | None = None) -> None:
    """Set up logging for this process; call it once, first thing. `stream` is standard error unless given."""
    target = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _drop_coloured_copy,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact_event,
                _renderer(log_format, is_terminal=target.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_number(level))
    for name in FOREIGN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.captureWarnings(True)


def _drop_coloured_copy(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """uvicorn sends its messages twice, the second time with terminal colours."""
    event.pop("color_message", None)
    return event


def _number(level: str) -> int:
    numbers = logging.getLevelNamesMapping()
    if level.upper() not in numbers:
        raise ValueError(f"{level!r} is not a log level")
    return numbers[level.upper()]


def _renderer(log_format: LogFormat, *, is_terminal: bool) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=is_terminal, exception_formatter=structlog.dev.plain_traceback, pad_level=False
    )


def _clean_field(name: object, value: object) -> object:
    if isinstance(name, str) and name.lower() in SECRET_FIELDS and value is not None:
        return MASK
    return _clean(value)


def _clean(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {key: _clean_field(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    if isinstance(value, bytes):
        return redact(value.decode("utf-8", "replace"))
    return redact(str(value))
