"""Chat Completions to and from the canonical conversation: the codec of `openai_chat`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Aim, Conversation, Reply, Written
from hypereal.wire.openai_chat import answer
from hypereal.wire.openai_chat.body import write_request
from hypereal.wire.openai_chat.events import ChatReader, ChatWriter
from hypereal.wire.openai_chat.request import read_request


class ChatCodec:
    """The `Codec` of Chat Completions."""

    def read_request(self, fields: Mapping[str, msgspec.Raw]) -> Conversation:
        return read_request(fields)

    def write_request(self, conversation: Conversation, aim: Aim) -> Written:
        return write_request(conversation, aim)

    def read_reply(self, body: bytes) -> Reply:
        return answer.read_reply(body)

    def write_reply(self, reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
        return answer.write_reply(reply, envelope, usage)

    def reader(self) -> ChatReader:
        return ChatReader()

    def writer(self, envelope: Envelope) -> ChatWriter:
        return ChatWriter(envelope)
