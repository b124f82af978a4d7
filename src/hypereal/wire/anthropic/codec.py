"""Anthropic's format as one side of a translation."""

from __future__ import annotations

from hypereal.wire.anthropic.answer import read_reply, write_reply
from hypereal.wire.anthropic.event_reader import MessagesEventReader
from hypereal.wire.anthropic.event_writer import MessagesEventWriter
from hypereal.wire.anthropic.request import read_request, write_request
from hypereal.wire.codec import Codec

CODEC = Codec(
    read_request=read_request,
    write_request=write_request,
    read_reply=read_reply,
    write_reply=write_reply,
    reader=MessagesEventReader,
    writer=MessagesEventWriter,
)
