"""Going on from a stored response: `previous_response_id` written out before a request is planned, and the answer kept.

Whatever upstream serves a request gets the whole conversation in it: no upstream's own store is relied upon, so every
model can go on from every answer, wherever the next one comes from.
"""

from __future__ import annotations

import msgspec
import structlog

from hypereal.errors import HyperealError, InvalidRequest, PreviousResponseNotFound
from hypereal.history import History, Kept
from hypereal.wire.base import Context, Envelope, Garbage
from hypereal.wire.fields import read_fields, read_text
from hypereal.wire.openai_responses.history import expand, input_items, output_items, response_id, whole_answer

NAMED = b'"previous_response_id"'

log = structlog.get_logger(__name__)
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Resumption:
    """Reads and keeps the stored responses of one process's requests."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def write_out(self, account_id: str, body: bytes, context: Context) -> tuple[bytes, Context] | HyperealError:
        """The body with everything in it that it goes on from, and the context that says from what."""
        fields = read_fields(body)
        if not isinstance(fields, dict):
            return fields
        try:
            previous = read_text(fields, "previous_response_id")
            if previous is None:
                return body, context
            kept = await self._history.find(account_id, previous)
            if kept is None:
                return PreviousResponseNotFound(
                    f"Previous response with id '{previous[:100]}' not found", param="previous_response_id"
                )
            whole = expand(fields, _decode_items(kept.input), output_items(kept.answer))
            return whole, msgspec.structs.replace(context, went_on_from=previous)
        except InvalidRequest as problem:
            return problem

    def keep(self, account_id: str, envelope: Envelope, answer: bytes, *, is_stream: bool) -> None:
        """Keep an answer (the body, or the end of the stream), unless its request said `store: false`."""
        fields = envelope.fields
        if bytes(fields.get("store", b"true")) == b"false":
            return
        try:
            whole = whole_answer(answer) if is_stream else answer
            items = msgspec.json.encode(input_items(fields))
            self._history.keep(Kept(account_id=account_id, id=response_id(whole), input=items, answer=whole))
        except (Garbage, InvalidRequest):
            log.warning("history.unreadable", request_id=envelope.request_id)
