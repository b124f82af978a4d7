"""Anthropic's format as one side of a translation."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hypereal.wire.anthropic.answer import read_reply, write_reply
from hypereal.wire.anthropic.event_reader import MessagesEventReader
from hypereal.wire.anthropic.event_writer import MessagesEventWriter
from hypereal.wire.anthropic.request import read_request, write_request
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.codec import EventReader, EventWriter
from hypereal.wire.conversation import Aim, Conversation, Reply, Written


class AnthropicCodec:
    """The `Codec` of Messages."""

    def read_request(self, fields: Mapping[str, msgspec.Raw]) -> Conversation:
        return read_request(fields)

    def write_request(self, conversation: Conversation, aim: Aim) -> Written:
        return write_request(conversation, aim)

    def read_reply(self, body: bytes) -> Reply:
        return read_reply(body)

    def write_reply(self, reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
        return write_reply(reply, envelope, usage)

    def reader(self) -> EventReader:
        return MessagesEventReader()

    def writer(self, envelope: Envelope) -> EventWriter:
        return MessagesEventWriter(envelope)
