"""Embeddings: unit vectors made of hashed words, so that texts which share words lie near each other."""

from __future__ import annotations

import base64
import math
import random
from array import array
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hypereal.sandbox import tokens
from hypereal.sandbox.hints import STOP_WORDS, stable_number, words
from hypereal.sandbox.request import BadRequest, read_integer, read_model

MAX_INPUTS = 2048
MAX_DIMENSIONS = 4096
_DEFAULT_DIMENSIONS = 1536
_KNOWN_DIMENSIONS = {"text-embedding-3-large": 3072}
_SIGNS_PER_WORD = 24  # components that one word sets: enough to tell words apart, cheap for long texts
_MAX_WORDS = 4000


def embeddings_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an embeddings request. Raises `BadRequest`."""
    model = read_model(body)
    inputs = read_inputs(body)
    default = _KNOWN_DIMENSIONS.get(model.rpartition("/")[2], _DEFAULT_DIMENSIONS)
    dimensions = read_integer(body, "dimensions", low=1, high=MAX_DIMENSIONS) or default
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise BadRequest("Invalid 'encoding_format': expected 'float' or 'base64'.", param="encoding_format")
    data = []
    for index, item in enumerate(inputs):
        vector = embed(item, dimensions)
        shown = list(vector) if form == "float" else base64.b64encode(vector.tobytes()).decode()
        data.append({"object": "embedding", "index": index, "embedding": shown})
    used = sum(len(item) if isinstance(item, tuple) else tokens.count(item) for item in inputs)
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": used, "total_tokens": used}}


def read_inputs(body: Mapping[str, Any]) -> list[str | tuple[int, ...]]:
    """What is to be embedded: each text, or each list of token numbers. Raises `BadRequest`."""
    given = body.get("input")
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise BadRequest("Invalid 'input': expected a string, an array of strings or token arrays.", param="input")
    if all(type(item) is int for item in given):
        return [tuple(given)]
    if len(given) > MAX_INPUTS:
        raise BadRequest(f"Invalid 'input': at most {MAX_INPUTS} items.", param="input", code="array_above_max_length")
    return [_input(item) for item in given]


def _input(item: object) -> str | tuple[int, ...]:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and item and all(type(token) is int for token in item):
        return tuple(item)
    raise BadRequest("Invalid 'input': expected strings or arrays of token numbers.", param="input")


def embed(item: str | tuple[int, ...], dimensions: int) -> array[float]:
    """The unit vector (32-bit floats) of a text or of token numbers."""
    terms = [str(token) for token in item] if isinstance(item, tuple) else _terms(item)
    sums = [0.0] * dimensions
    for term in terms[:_MAX_WORDS]:
        for place, sign in _signs(term, dimensions):
            sums[place] += sign
    length = math.sqrt(sum(value * value for value in sums))
    if not length:
        sums[0], length = 1.0, 1.0
    return array("f", [value / length for value in sums])


def _terms(text: str) -> list[str]:
    """Words, the telling ones twice, so that they weigh more."""
    found = words(text) or list(text)
    return [word for word in found for _ in range(1 if word in STOP_WORDS else 2)]


@lru_cache(maxsize=4096)
def _signs(term: str, dimensions: int) -> tuple[tuple[int, float], ...]:
    source = random.Random(stable_number(term))
    return tuple((source.randrange(dimensions), source.choice((-1.0, 1.0))) for _ in range(_SIGNS_PER_WORD))
