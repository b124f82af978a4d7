"""Outgoing HTTP off the hot path: one small answer at a time, with a deadline and a cap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

MAX_BYTES = 4 * 1024 * 1024


class OutgoingError(Exception):
    """No usable answer; the text says why and holds no secret."""


async def get_json(url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON that `url` answers with 200; raises `OutgoingError` otherwise. Follows no redirects."""
    return await _json("GET", url, timeout_s=timeout_s, headers=dict(headers or {}))


async def post_form(url: str, fields: Mapping[str, str], *, timeout_s: float) -> Any:
    """The JSON that `url` answers to a form with 200; raises `OutgoingError` otherwise. Follows no redirects."""
    return await _json("POST", url, timeout_s=timeout_s, data=dict(fields))


async def _json(method: str, url: str, *, timeout_s: float, **request: Any) -> Any:
    try:
        async with (
            httpx2.AsyncClient(timeout=timeout_s, trust_env=False) as client,
            client.stream(method, url, **request) as response,
        ):
            if response.status_code != 200:
                raise OutgoingError(f"status {response.status_code}")
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_BYTES:
                    raise OutgoingError("the answer is too long")
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        raise OutgoingError(type(exc).__name__) from exc
    try:
        return httpx2.Response(200, content=bytes(body)).json()
    except ValueError as exc:
        raise OutgoingError("the answer is not JSON") from exc
