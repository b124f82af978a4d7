"""How long a provider asks to be left alone, in the forms in which they say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_S = 86_400.0
"""A longer wait is not believed: it is a clock that is off, or a limit that a request cannot wait for anyway."""

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0))
_TRY_AGAIN = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)", re.IGNORECASE)


def _bounded(seconds: float) -> float | None:
    return min(seconds, LONGEST_S) if seconds >= 0 else None  # NaN compares false


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def duration(text: str) -> float | None:
    """Seconds in OpenAI's notation ("1s", "6m0s", "120ms"), or None when it is something else."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        return None
    units = dict(_UNIT_S)
    return _bounded(sum(float(number) * units[unit] for number, unit in parts))


def _header_seconds(text: str, *, now: float) -> float | None:
    """`Retry-After`: seconds, or the date until which to wait."""
    seconds = _number(text)
    if seconds is not None:
        return _bounded(seconds)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return duration(text)
    return _bounded(max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now))


def _exhausted(headers: Mapping[str, str]) -> float | None:
    """When the last of OpenAI's rate-limit windows with nothing left opens again (`x-ratelimit-*`)."""
    waits = []
    for name, left in headers.items():
        if name.startswith("x-ratelimit-remaining-") and left.strip() == "0":
            reset = headers.get(name.replace("remaining", "reset"), "")
            wait = duration(reset) if _number(reset) is None else _bounded(float(reset))
            if wait is not None:
                waits.append(wait)
    return max(waits, default=None)


def _epoch(headers: Mapping[str, str], *, now: float) -> float | None:
    """OpenRouter's `X-RateLimit-Reset`: the time of the reset in milliseconds since the epoch."""
    moment = _number(headers.get("x-ratelimit-reset", ""))
    if moment is None or moment < 1e12:
        return None
    return _bounded(max(0.0, moment / 1000 - now))


def retry_after(headers: Mapping[str, str], *, message: str, wait: str | None, now: float) -> float | None:
    """Seconds to wait, or None when the provider did not say.

    `headers` have lower-case names; `message` and `wait` are from the error body; `now` is seconds since the epoch.
    The most explicit statement wins.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None and (found := _bounded(milliseconds / 1000)) is not None:
        return found
    if "retry-after" in headers and (found := _header_seconds(headers["retry-after"], now=now)) is not None:
        return found
    if wait is not None and (found := duration(wait)) is not None:
        return found
    hint = _TRY_AGAIN.search(message)
    for found in (duration(hint[1]) if hint else None, _exhausted(headers), _epoch(headers, now=now)):
        if found is not None:
            return found
    return None
