"""Reading a request's fields: what each may be, and the refusal of one that is not.

Fields that the sandbox does not use are ignored, as a lenient provider does; those it uses are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_OUTPUT_TOKENS = 200_000
MAX_CHOICES = 128
MAX_STOPS = 16


class BadRequest(Exception):
    """The request cannot be answered: `message` for the client, `param` the field, `code` as the format names it.

    `retry_after` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
        self.retry_after = retry_after


def read_integer(body: Mapping[str, Any], name: str, *, low: int, high: int) -> int | None:
    """An integer field within bounds, or None when absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"Invalid type for '{name}': expected an integer.", param=name, code="invalid_type")
    if not low <= value <= high:
        raise BadRequest(f"Invalid '{name}': expected {low} to {high}.", param=name, code="invalid_value")
    return value


def read_flag(body: Mapping[str, Any], name: str) -> bool:
    """A boolean field; False when absent or null."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise BadRequest(f"Invalid type for '{name}': expected a boolean.", param=name, code="invalid_type")
    return value


def read_model(body: Mapping[str, Any]) -> str:
    """The model asked for; every name is known here."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", param="model")
    return model


def read_mapping(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object field; empty when absent or null."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"Invalid type for '{name}': expected an object.", param=name, code="invalid_type")
    return value


def _read_stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    value = body.get("stop")
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops) or len(stops) > MAX_STOPS:
        raise BadRequest("Invalid 'stop': expected a string or a short list of strings.", param="stop")
    return tuple(stop for stop in stops if stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an answer is to be made and sent. `limit` is the most tokens it may have, None for no limit of its own.

    `logprobs` is None when no log probabilities are asked for, otherwise how many alternatives to show with each token.
    `thinks` is None when the model's name decides; `effort` is empty when nothing is said.
    """

    n: int = 1
    limit: int | None = None
    stop: tuple[str, ...] = ()
    seed: int = 0
    logprobs: int | None = None
    thinks: bool | None = None
    effort: str = ""
    stream: bool = False
    include_usage: bool = False


def read_sampling(body: Mapping[str, Any]) -> Sampling:
    """The fields that chat and text completions share. Raises `BadRequest`."""
    limits = [read_integer(body, name, low=1, high=10_000_000) for name in ("max_completion_tokens", "max_tokens")]
    given = [limit for limit in limits if limit is not None]
    stream = read_flag(body, "stream")
    options = read_mapping(body, "stream_options")
    if options and not stream:
        raise BadRequest("'stream_options' is only allowed when 'stream' is enabled.", param="stream_options")
    effort = body.get("reasoning_effort")
    return Sampling(
        n=read_integer(body, "n", low=1, high=MAX_CHOICES) or 1,
        limit=min(given[0], MAX_OUTPUT_TOKENS) if given else None,
        stop=_read_stop(body),
        seed=read_integer(body, "seed", low=-(2**63), high=2**63 - 1) or 0,
        logprobs=_read_logprobs(body),
        thinks=effort != "none" if isinstance(effort, str) else None,
        effort=effort if isinstance(effort, str) else "",
        stream=stream,
        include_usage=read_flag(options, "include_usage"),
    )


def _read_logprobs(body: Mapping[str, Any]) -> int | None:
    value = body.get("logprobs")
    if value is True:
        return read_integer(body, "top_logprobs", low=0, high=20) or 0
    if value is False or value is None:
        return None
    return read_integer(body, "logprobs", low=0, high=20)
