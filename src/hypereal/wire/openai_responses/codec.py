"""The Responses API to and from the canonical conversation."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Aim, Conversation, Reply, Written
from hypereal.wire.openai_responses import answer, request_in, request_out
from hypereal.wire.openai_responses.event_reader import ResponsesReader
from hypereal.wire.openai_responses.event_writer import ResponsesWriter


class ResponsesCodec:
    """The `Codec` of this format. Stateless."""

    def read_request(self, fields: Mapping[str, msgspec.Raw]) -> Conversation:
        return request_in.read_request(dict(fields))

    def write_request(self, conversation: Conversation, aim: Aim) -> Written:
        return request_out.write_request(conversation, aim)

    def read_reply(self, body: bytes) -> Reply:
        return answer.read_reply(body)

    def write_reply(self, reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
        return answer.write_reply(reply, envelope, usage)

    def reader(self) -> ResponsesReader:
        return ResponsesReader()

    def writer(self, envelope: Envelope) -> ResponsesWriter:
        return ResponsesWriter(envelope)
