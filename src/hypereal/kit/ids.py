"""Identifiers and key secrets: random, prefixed by kind, safe in a URL."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_PREFIX = "ck_"
KEY_RANDOM_CHARACTERS = 48  # api.md section 2 asks for at least 40
MOST_ID_LENGTH = 256  # ours have under 40 characters; some upstreams' have more


def new_id(prefix: str, length: int = 20) -> str:
    """A random identifier such as `key_3uA7Pq9xLm…`; 20 characters carry 119 bits."""
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(length))}"


def is_plausible_id(value: str) -> bool:
    """Whether `value` could be an id at all; the database refuses some strings with an error: NUL, lone surrogates, and
    some kilobytes in a key."""
    return value.isascii() and value.isprintable() and len(value) <= MOST_ID_LENGTH


def new_key_secret() -> str:
    """A fresh API key, shown to its owner once and stored only as `hash_key`."""
    return KEY_PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(KEY_RANDOM_CHARACTERS))


def hash_key(secret: bytes) -> bytes:
    """The 32-byte digest under which a key is stored and looked up.

    A plain SHA-256 is enough for 285 random bits: there is nothing to guess, so nothing to slow down.
    """
    return hashlib.sha256(secret).digest()


def request_id_factory() -> Callable[[], str]:
    """A maker of request ids for one process: a random prefix and a counter, as unique as random ids and cheaper."""
    prefix = "req_" + "".join(secrets.choice(ALPHABET) for _ in range(16))
    counter = itertools.count(1)
    return lambda: f"{prefix}{next(counter):08x}"
