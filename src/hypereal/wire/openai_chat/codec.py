"""Chat Completions to and from the canonical conversation."""

from __future__ import annotations

from hypereal.wire.codec import Codec
from hypereal.wire.openai_chat.answer import read_reply, write_reply
from hypereal.wire.openai_chat.body import write_request
from hypereal.wire.openai_chat.events import ChatReader, ChatWriter
from hypereal.wire.openai_chat.request import read_request

CODEC = Codec(
    read_request=read_request,
    write_request=write_request,
    read_reply=read_reply,
    write_reply=write_reply,
    reader=ChatReader,
    writer=ChatWriter,
)
