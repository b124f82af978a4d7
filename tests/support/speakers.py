"""Clients of the four formats: how each asks, and what it takes for an answer, for its end, and for an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from tests.support.http_client import Answer, Client, chat_body

MAX_TOKENS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One format's client.

    `is_ended` says whether a stream has the end that only a whole answer has; `error` gives the message of an error,
    whole or as the end of a stream, after checking that it is in the format's own shape.
    """

    name: str
    path: Callable[[str, bool], str]
    body: Callable[[str, Any, bool], dict[str, Any]]
    text: Callable[[Any], str]
    is_ended: Callable[[Answer], bool]
    error: Callable[[Any], str]

    def ask(self, client: Client, model: str, content: Any = "Hi", *, stream: bool = False, **more: Any) -> Answer:
        """Send a request; `more` are fields of its body."""
        return client.post(self.path(model, stream), {**self.body(model, content, stream), **more})

    def read(self, answer: Answer) -> str:
        """The generated text, of a stream or of a whole answer."""
        parts = answer.events if is_stream(answer) else [answer.json]
        return "".join(map(self.text, parts))

    def last_error(self, answer: Answer) -> str:
        """The message of the error that a client is left with."""
        return self.error(answer.events[-1] if is_stream(answer) else answer.json)


def is_stream(answer: Answer) -> bool:
    return answer.headers["content-type"].startswith("text/event-stream")


def _openai_error(value: Any) -> str:
    assert set(value["error"]) >= {"message", "type", "code", "param"}, value
    message: str = value["error"]["message"]
    return message


def _chat_text(part: Any) -> str:
    choices = part.get("choices", ())
    return "".join((c.get("delta") or c.get("message") or {}).get("content") or "" for c in choices)


def _message_body(model: str, content: Any, stream: bool) -> dict[str, Any]:
    return {**chat_body(model, content=content, stream=stream), "max_tokens": MAX_TOKENS}


def _message_text(part: Any) -> str:
    if part.get("type") == "message":
        return "".join(block.get("text", "") for block in part["content"])
    return str(part["delta"].get("text", "")) if part.get("type") == "content_block_delta" else ""


def _message_error(value: Any) -> str:
    assert value["type"] == "error", value
    assert value["error"]["type"].endswith(("_error", "_too_large")), value
    message: str = value["error"]["message"]
    return message


def _response_body(model: str, content: Any, stream: bool) -> dict[str, Any]:
    return {"model": model, "input": content, "stream": stream}


def _response_text(part: Any) -> str:
    if part.get("object") == "response":
        items = [item for item in part["output"] if item["type"] == "message"]
        return "".join(block["text"] for item in items for block in item["content"])
    return str(part["delta"]) if part.get("type") == "response.output_text.delta" else ""


def _response_error(value: Any) -> str:
    if value.get("type") == "response.failed":
        assert value["response"]["status"] == "failed", value
        message: str = value["response"]["error"]["message"]
        return message
    return _openai_error(value)


def _gemini_path(model: str, stream: bool) -> str:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{quote(model, safe='')}:{verb}"


def _gemini_body(model: str, content: Any, stream: bool) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": content}]}]}


def _gemini_text(part: Any) -> str:
    contents = [candidate.get("content") or {} for candidate in part.get("candidates", ())]
    return "".join(piece.get("text", "") for content in contents for piece in content.get("parts", ()))


def _gemini_is_ended(answer: Answer) -> bool:
    last: Any = answer.events[-1]
    return any(candidate.get("finishReason") for candidate in last.get("candidates", ()))


def _gemini_error(value: Any) -> str:
    error = value["error"]
    assert isinstance(error["code"], int), value
    assert error["status"].isupper(), value
    message: str = error["message"]
    return message


SPEAKERS: Mapping[str, Speaker] = MappingProxyType(
    {
        speaker.name: speaker
        for speaker in (
            Speaker(
                name="openai_chat",
                path=lambda model, stream: "/v1/chat/completions",
                body=lambda model, content, stream: chat_body(model, content=content, stream=stream),
                text=_chat_text,
                is_ended=lambda answer: answer.is_done,
                error=_openai_error,
            ),
            Speaker(
                name="anthropic",
                path=lambda model, stream: "/v1/messages",
                body=_message_body,
                text=_message_text,
                is_ended=lambda answer: bool(answer.events[-1]["type"] == "message_stop"),
                error=_message_error,
            ),
            Speaker(
                name="openai_responses",
                path=lambda model, stream: "/v1/responses",
                body=_response_body,
                text=_response_text,
                is_ended=lambda answer: bool(answer.events[-1]["type"] == "response.completed"),
                error=_response_error,
            ),
            Speaker(
                name="gemini",
                path=_gemini_path,
                body=_gemini_body,
                text=_gemini_text,
                is_ended=_gemini_is_ended,
                error=_gemini_error,
            ),
        )
    }
)
