"""The requests that the benchmark sends: bodies of the sizes it promises, as files that the load tools read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.place import HOST

PATH = "/v1/chat/completions"
MODEL = "bench-model"
PACED_MODEL = "bench-model-paced"
SMALL_BYTES = 1_200
BIG_BYTES = 200_000

_SENTENCE = "The quick brown fox jumps over the lazy dog while the band plays on and the rain keeps falling. "


class Shape(StrEnum):
    """What is asked for."""

    JSON = "json"
    SSE = "sse"
    BIG = "big"
    PACED = "paced"
    MESSAGES = "messages"
    RESPONSES = "responses"
    GEMINI = "gemini"

    @property
    def is_translated(self) -> bool:
        """Whether the client speaks another format than the upstream: Chat Completions."""
        return self in _TRANSLATED

    @property
    def path(self) -> str:
        """Where it is asked for."""
        return _TRANSLATED.get(self, PATH)


_TRANSLATED: Mapping[Shape, str] = MappingProxyType(
    {
        Shape.MESSAGES: "/v1/messages",
        Shape.RESPONSES: "/v1/responses",
        Shape.GEMINI: f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse",
    }
)


def body(shape: Shape) -> bytes:
    """A request of the promised size for a shape."""
    return _translated_body(shape) if shape.is_translated else _chat_body(shape)


def _translated_body(shape: Shape) -> bytes:
    """The streaming request of `Shape.SSE` in the client's own format."""
    bare = json.dumps(_translated(shape, ""))
    return json.dumps(_translated(shape, _prose(SMALL_BYTES - len(bare)))).encode()


def _prose(size: int) -> str:
    return (_SENTENCE * (size // len(_SENTENCE) + 1))[:size]


def _translated(shape: Shape, prompt: str) -> dict[str, Any]:
    system = "You are a helpful assistant."
    document: dict[str, Any]
    if shape is Shape.MESSAGES:
        document = {"model": MODEL, "system": system, "messages": [{"role": "user", "content": prompt}]}
        document |= {"max_tokens": 256, "temperature": 0.7, "stream": True}
    elif shape is Shape.RESPONSES:
        document = {"model": MODEL, "instructions": system, "input": prompt, "store": False}
        document |= {"max_output_tokens": 256, "temperature": 0.7, "stream": True}
    else:
        document = {"systemInstruction": {"parts": [{"text": system}]}}
        document |= {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
        document |= {"generationConfig": {"maxOutputTokens": 256, "temperature": 0.7}}
    return document


def _chat_body(shape: Shape) -> bytes:
    """A chat completion request of exactly the promised size: a system message, a few turns, common settings."""
    size = BIG_BYTES if shape is Shape.BIG else SMALL_BYTES
    document: dict[str, Any] = {
        "model": PACED_MODEL if shape is Shape.PACED else MODEL,
        "messages": [{"role": "system", "content": "You are a helpful assistant."}],
        "temperature": 0.7,
        "max_tokens": 256,
    }
    if shape in {Shape.SSE, Shape.PACED}:
        document |= {"stream": True, "stream_options": {"include_usage": True}}
    turn = {"role": "user", "content": ""}
    document["messages"].append(turn)
    turn["content"] = _prose(size - len(json.dumps(document)))
    return json.dumps(document).encode()


def message(shape: Shape, port: int, headers: Mapping[str, str]) -> bytes:
    """The whole HTTP request, for tools that write it to the socket as it is."""
    payload = body(shape)
    lines = [f"POST {PATH} HTTP/1.1", f"Host: {HOST}:{port}", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(payload)}", "", ""]
    return "\r\n".join(lines).encode() + payload


def write_files(directory: Path) -> dict[Shape, Path]:
    """The bodies as files, by shape."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {shape: directory / f"{shape}.json" for shape in Shape}
    for shape, path in files.items():
        path.write_bytes(body(shape))
    return files
