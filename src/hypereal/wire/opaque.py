"""Seals: how a provider's opaque token travels through a client of another format and finds its way home.

A token that the client's own format made goes to the client as it is. Any other is sealed: wrapped, with its origin,
into base64 text, which every format accepts where it has room for such a token. When the client sends it back, the seal
says whom it belongs to; nobody else is ever shown it.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from hypereal.wire.conversation import Opaque

_MAGIC = b"hypere"  # six bytes: as base64 they are always the same eight characters
SEAL = base64.b64encode(_MAGIC).decode()
SEAL_IN_JSON = b'"' + SEAL.encode()
"""What a body contains that carries a sealed token."""
UNSIGNED = Opaque("", "")
"""Sealed in place of a token where reasoning has none: so marked, it is known for nothing that an upstream has made."""

_Sealed = tuple[str, str, str | None]


def seal(opaque: Opaque, dialect: str) -> str:
    """The text that stands for `opaque` in an answer of `dialect`."""
    if opaque.origin == dialect:
        return opaque.data
    return base64.b64encode(_MAGIC + msgspec.json.encode((opaque.origin, opaque.data, opaque.id))).decode()


def unseal(text: str, dialect: str, *, id: str | None = None) -> Opaque:  # noqa: A002 - the origin's word
    """What `text`, found in a request of `dialect`, stands for: a token of that format's own if it bears no seal.

    `id` is the name of the block that it was found in.
    """
    if text.startswith(SEAL):
        try:
            sealed = msgspec.json.decode(base64.b64decode(text, validate=True)[len(_MAGIC) :], type=_Sealed)
        except (msgspec.DecodeError, binascii.Error):
            return Opaque(dialect, text, id)
        return Opaque(*sealed)
    return Opaque(dialect, text, id)
