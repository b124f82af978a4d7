"""The Responses API to and from the canonical conversation."""

from __future__ import annotations

from hypereal.wire.codec import Codec
from hypereal.wire.openai_responses.answer import read_reply, write_reply
from hypereal.wire.openai_responses.event_reader import ResponsesReader
from hypereal.wire.openai_responses.event_writer import ResponsesWriter
from hypereal.wire.openai_responses.request_in import read_request
from hypereal.wire.openai_responses.request_out import write_request

CODEC = Codec(
    read_request=read_request,
    write_request=write_request,
    read_reply=read_reply,
    write_reply=write_reply,
    reader=ResponsesReader,
    writer=ResponsesWriter,
)
