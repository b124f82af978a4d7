"""What a provider said when it failed: the message, code and field in the many shapes that error bodies have.

Only reading and cleaning; what an error means is `failures`' business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from hypereal.wire.fields import UNREADABLE

MESSAGE_LIMIT = 500
"""Characters of a provider's message that are kept."""

_SECRET = re.compile(
    r"""
    \b(?:Bearer|Basic)\s+[\w.~+/=*-]{6,}                           # an authorisation header echoed
    | (?<![\w-])(?:sk|ck|pk|rk|gsk|xai|hf|fw|tgp|org|proj|key|nvapi)[-_][\w*.-]{6,}  # keys and organisations by prefix
    | \bAIza[\w-]{10,}                                              # Google
    | (?<=[?&]key=)[^\s&"']+                                        # a key in a URL
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,} | \bABSK[\w+/=-]{10,}            # AWS
    | \bya29\.[\w.-]+                                               # a token of Google Cloud
    | \beyJ[\w-]{8,}\.[\w.-]+                                       # a JSON web token
    """,
    re.VERBOSE | re.IGNORECASE,
)
_KEY_ECHO = re.compile(r"(api[ _-]?key[^:=\n]{0,40}[:=]\s*)\S+", re.IGNORECASE)
_PAGE = re.compile(r"<\s*(?:!doctype|html|head|body|title|center|h1)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """`codes` are the lower-case type, code and status of the error, whatever the provider calls them.

    `is_page` tells a web page, which comes from a proxy in between, from an answer of the API. `wait` is a duration
    that the body asks for ("34s").
    """

    message: str = ""
    codes: frozenset[str] = frozenset()
    param: str | None = None
    wait: str | None = None
    is_page: bool = False


def clean(text: str) -> str:
    """One line of printable text without secrets, at most `MESSAGE_LIMIT` characters; empty for a web page."""
    if _PAGE.search(text):
        return ""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * MESSAGE_LIMIT]).split())
    line = _KEY_ECHO.sub(r"\1[removed]", _SECRET.sub("[removed]", line))
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"


def read_error(body: bytes) -> ErrorBody:
    """The error in a body of any shape; an empty `ErrorBody` for one that says nothing."""
    content = _decode(body)
    if content is None:
        text = body[: 4 * MESSAGE_LIMIT].decode("utf-8", errors="replace")
        return ErrorBody(message=clean(text), is_page=bool(_PAGE.search(text)))
    if isinstance(content, list) and content:  # Google's OpenAI-compatible endpoint
        content = content[0]
    if not isinstance(content, dict):
        return ErrorBody(message=clean(content) if isinstance(content, str) else "")
    return _read_object(content)


def _decode(body: bytes | str) -> Any:
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return None


def _read_object(content: dict[str, Any]) -> ErrorBody:
    error = content.get("error")
    if not isinstance(error, dict):
        # Ollama and xAI: "error" is the text. MiniMax: "base_resp". Mistral, vLLM, DashScope: fields at the top.
        base = content.get("base_resp")
        error = {**content, **base} if isinstance(base, dict) else content
    inner = _wrapped(error)
    if inner is not None:
        return inner
    problem = _validation_problem(error)
    return ErrorBody(
        message=clean(_message(error) or (problem[0] if problem else "")),
        codes=_codes(error),
        param=_text(error.get("param")) or (problem[1] if problem else None),
        wait=_wait(error),
    )


def _wrapped(error: dict[str, Any]) -> ErrorBody | None:
    """An error inside an error, as text: OpenRouter's `metadata.raw`, a message that is JSON. The outer codes stay."""
    metadata = error.get("metadata")
    raw = _text(metadata.get("raw")) if isinstance(metadata, dict) else None
    if raw is None:
        raw = _text(error.get("message")) or ""
        if not raw.startswith(("{", "[")) or _decode(raw) is None:
            return None
    inner = read_error(raw.encode())
    return replace(inner, codes=inner.codes | _codes(error)) if inner.message else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _message(error: dict[str, Any]) -> str:
    texts = (_text(error.get(name)) for name in ("message", "Message", "error", "msg", "status_msg", "detail"))
    return next((text for text in texts if text is not None), "")


def _validation_problem(error: dict[str, Any]) -> tuple[str, str] | None:
    """FastAPI's list of problems, which Mistral and vLLM send: the first one's text and field."""
    problems = error.get("detail", error.get("message"))
    if isinstance(problems, dict):
        problems = problems.get("detail")
    if not isinstance(problems, list) or not problems or not isinstance(problems[0], dict):
        return None
    location = problems[0].get("loc")
    field = ".".join(str(part) for part in location if part != "body") if isinstance(location, list) else ""
    text = _text(problems[0].get("msg")) or ""
    return (f"{field}: {text}" if field else text), field


def _codes(error: dict[str, Any]) -> frozenset[str]:
    values = [error.get(name) for name in ("type", "code", "status", "status_code")]
    shape = _text(error.get("__type"))  # AWS: com.amazon.coral.service#AccessDeniedException
    if shape is not None:
        values.append(shape.rpartition("#")[2])
    inner = error.get("innererror")  # Azure's content filter
    if isinstance(inner, dict):
        values.append(inner.get("code"))
    details = error.get("details")  # Google's ErrorInfo
    if isinstance(details, list):
        values.extend(item.get("reason") for item in details if isinstance(item, dict))
    return frozenset(str(value).lower() for value in values if isinstance(value, str | int) and value)


def _wait(error: dict[str, Any]) -> str | None:
    """Google's RetryInfo."""
    details = error.get("details")
    for item in details if isinstance(details, list) else ():
        if isinstance(item, dict) and (delay := _text(item.get("retryDelay"))):
            return delay
    return None
