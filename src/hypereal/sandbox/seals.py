"""Opaque tokens: what the sandbox gives to a client to be handed back untouched, and knows again.

They stand for signatures of thinking, encrypted reasoning and thought signatures. A token carries its text and a keyed
digest of it, so that no state is needed to tell a token of this sandbox from any other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib

_KEY = b"hypereal-sandbox"  # not a secret: the tokens only have to be told from those of other providers
_DIGEST_BYTES = 48
_MAX_TEXT_BYTES = 1 << 20


def seal(purpose: str, text: str) -> str:
    """The token for `text`: the same each time, and another one for each `purpose`."""
    packed = zlib.compress(text.encode("utf-8", "surrogatepass"))
    return base64.b64encode(_digest(purpose, packed) + packed).decode()


def unseal(purpose: str, token: object) -> str | None:
    """The text of a token that `seal` made for `purpose`; None for anything else."""
    if not isinstance(token, str):
        return None
    try:
        raw = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        return None
    digest, packed = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    # Only what the digest vouches for is unpacked; base64 has several spellings of some bytes, of which one is meant.
    if digest != _digest(purpose, packed) or base64.b64encode(raw).decode() != token:
        return None
    return zlib.decompressobj().decompress(packed, _MAX_TEXT_BYTES).decode("utf-8", "surrogatepass")


def _digest(purpose: str, packed: bytes) -> bytes:
    return hashlib.blake2b(packed, key=_KEY, person=purpose.encode()[:16], digest_size=_DIGEST_BYTES).digest()
