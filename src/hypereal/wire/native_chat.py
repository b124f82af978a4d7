"""`POST /v1/chat` (once `/v1/spicy-chat`): the product's own chat, a Chat Completion with other defaults.

Streaming unless told otherwise, `temperature` 0.8, `max_tokens` 4096, a default model, and `creditsUsed` in the answer
and in the last chunk before `[DONE]` (api.md section 4).
"""

from __future__ import annotations

from typing import Any

import msgspec

from hypereal.kit.money import Micro, credits_number
from hypereal.wire.base import Context, Endpoint, Envelope, Family, Usage
from hypereal.wire.fields import (
    Fields,
    estimate_input,
    read_flag,
    read_integer,
    read_list,
    read_number,
    read_text,
)
from hypereal.wire.openai_chat.native import MAX_CHOICES, OpenAIDialect
from hypereal.wire.openai_chat.stream import ChatStream

DEFAULT_TEMPERATURE = msgspec.Raw(b"0.8")
DEFAULT_MAX_TOKENS = 4096
SHOWN = ("id", "object", "created", "model", "choices", "usage")


class NativeChat(OpenAIDialect):
    """The native chat dialect; upstream it is Chat Completions."""

    def __init__(self) -> None:
        super().__init__("messages")

    def _envelope(self, endpoint: Endpoint, body: bytes, fields: Fields, context: Context) -> Envelope:
        read_list(fields, "messages")
        self._shows_usage(fields)  # always does; refuses what is no object
        temperature = read_number(fields, "temperature", 0.0, 2.0)
        limit = read_integer(fields, "max_tokens", 1) or read_integer(fields, "max_completion_tokens", 1)
        limit = limit or DEFAULT_MAX_TOKENS
        stream = read_flag(fields, "stream")
        stream = endpoint.stream_default if stream is None else stream
        filled = {
            **fields,
            "temperature": fields["temperature"] if temperature is not None else DEFAULT_TEMPERATURE,
            "max_tokens": msgspec.Raw(b"%d" % limit),
            "stream": msgspec.Raw(b"true" if stream else b"false"),
        }
        filled.pop("max_completion_tokens", None)  # said once, as `max_tokens`: an upstream may heed either
        return Envelope(
            endpoint=endpoint,
            model=read_text(fields, "model"),
            stream=stream,
            max_output_tokens=limit,
            choices=read_integer(fields, "n", 1, MAX_CHOICES) or 1,
            shows_usage=True,
            input_estimate=estimate_input(body),
            body=msgspec.json.encode(filled),
            fields=filled,
            intent=read_text(fields, "intent"),
        )

    def render_answer(self, envelope: Envelope, body: bytes, usage: Usage, charged: Micro) -> bytes:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        shown: dict[str, Any] = {name: fields[name] for name in SHOWN if name in fields}
        return msgspec.json.encode({**shown, "creditsUsed": credits_number(charged)})

    def stream(self, envelope: Envelope) -> ChatStream:
        return ChatStream(envelope, family=Family.NATIVE, adds_credits=True)
