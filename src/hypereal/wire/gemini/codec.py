"""Google's format to and from the canonical conversation. One candidate is read: a conversation has one answer."""

from __future__ import annotations

from hypereal.wire.codec import Codec
from hypereal.wire.gemini.answer import read_reply, write_reply
from hypereal.wire.gemini.events import GeminiReader
from hypereal.wire.gemini.request import read_request, write_request
from hypereal.wire.gemini.writer import GeminiWriter

CODEC = Codec(
    read_request=read_request,
    write_request=write_request,
    read_reply=read_reply,
    write_reply=write_reply,
    reader=GeminiReader,
    writer=GeminiWriter,
)
