"""Google's format to and from the canonical conversation."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Aim, Conversation, Reply, Written
from hypereal.wire.gemini.answer import read_reply, write_reply
from hypereal.wire.gemini.events import GeminiReader
from hypereal.wire.gemini.request import read_request, write_request
from hypereal.wire.gemini.writer import GeminiWriter


class GeminiCodec:
    """See `wire.codec.Codec`. One candidate is read: a conversation has one answer."""

    def read_request(self, fields: Mapping[str, msgspec.Raw]) -> Conversation:
        return read_request(fields)

    def write_request(self, conversation: Conversation, aim: Aim) -> Written:
        return write_request(conversation, aim)

    def read_reply(self, body: bytes) -> Reply:
        return read_reply(body)

    def write_reply(self, reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
        return write_reply(reply, envelope, usage)

    def reader(self) -> GeminiReader:
        return GeminiReader()

    def writer(self, envelope: Envelope) -> GeminiWriter:
        return GeminiWriter(envelope)
