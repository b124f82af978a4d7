"""Thought signatures: Google's opaque tokens on the parts of an answer, and what to do where one is missing or sealed.

The later models refuse a history whose function calls bear no signature. For calls that another model made Google
documents a word to put in its place.
"""

from __future__ import annotations

import msgspec

from hypereal.errors import InvalidRequest
from hypereal.wire.conversation import Opaque
from hypereal.wire.fields import Fields, read_flag, read_text
from hypereal.wire.gemini.generations import signs_calls
from hypereal.wire.gemini.spelling import as_object, read_items
from hypereal.wire.opaque import SEAL, SEAL_IN_JSON, unseal

NAME = "gemini"
UNSIGNED = "skip_thought_signature_validator"
"""Stands where a function call of another model has no signature (Google's guide "Thought signatures", questions)."""

_STANDARD = str.maketrans("-_", "+/")


def read_signature(text: str | None) -> Opaque | None:
    """The token in a `thoughtSignature` of a client's request."""
    if not text or text == UNSIGNED:
        return None
    if text.startswith(SEAL):
        text = text.translate(_STANDARD)  # Google's Python SDK sends bytes back in the alphabet for URLs
    return unseal(text, NAME)


def _without_seal(raw: msgspec.Raw, model: str) -> msgspec.Raw | None:
    """A part with no token of another provider; None when nothing of it is left."""
    if SEAL_IN_JSON not in bytes(raw):
        return raw
    part = as_object(raw, "parts")
    opaque = read_signature(read_text(part, "thoughtSignature"))
    if opaque is None:
        return raw
    if opaque.origin == NAME:
        token = opaque.data
    elif read_flag(part, "thought") or read_text(part, "text") == "":
        return None  # reasoning of another provider is no prose
    elif "functionCall" in part and signs_calls(model):
        token = UNSIGNED
    else:
        del part["thoughtSignature"]
        return msgspec.Raw(msgspec.json.encode(part))
    return msgspec.Raw(msgspec.json.encode({**part, "thoughtSignature": token}))


def _turn(raw: msgspec.Raw, model: str) -> msgspec.Raw | None:
    if SEAL_IN_JSON not in bytes(raw):
        return raw
    turn = as_object(raw, "contents")
    parts = [kept for part in read_items(turn, "parts") if (kept := _without_seal(part, model)) is not None]
    return msgspec.Raw(msgspec.json.encode({**turn, "parts": parts})) if parts else None


def without_seals(fields: Fields, model: str) -> msgspec.Raw:
    """The `contents` of a request without what answers of other providers left in them; all else byte for byte.

    Contents that cannot be read are left to the upstream, which will say what is wrong with them.
    """
    try:
        turns = [kept for raw in read_items(fields, "contents") if (kept := _turn(raw, model)) is not None]
    except InvalidRequest:
        return fields["contents"]
    return msgspec.Raw(msgspec.json.encode(turns))
