"""Where a request carries its key. Pure: whether the key is any good is the verifier's business."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from hypereal.kit.ids import KEY_PREFIX

PREFIX = KEY_PREFIX.encode()
SCHEME = b"bearer "
USUAL = b"Bearer " + PREFIX
KEY_HEADERS = (b"x-api-key", b"x-goog-api-key")


def extract_secret(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> bytes | None:
    """The caller's key, or None when there is none (api.md section 2).

    `headers` have lower-case names. The forms are tried in the contract's order: `Authorization: Bearer`, `x-api-key`,
    `x-goog-api-key`, `?key=` (percent-decoded). Clients that moved here may send another provider's key beside ours, so
    a value starting with `ck_` is preferred; without one, the first value found is returned: the verifier refuses it.
    """
    others: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name == b"authorization":
            if value.startswith(USUAL):
                return value[len(SCHEME) :].rstrip()
            others.append((name, value))
        elif name in KEY_HEADERS:
            others.append((name, value))
    if not others and not query:
        return None
    candidates = _in_order(others, query)
    return next((value for value in candidates if value.startswith(PREFIX)), candidates[0] if candidates else None)


def _in_order(headers: list[tuple[bytes, bytes]], query: bytes) -> list[bytes]:
    """Every value that could be a key, empty ones left out, in the contract's order."""
    found = [
        value[len(SCHEME) :]
        for name, value in headers
        if name == b"authorization" and value[: len(SCHEME)].lower() == SCHEME
    ]
    found += [value for wanted in KEY_HEADERS for name, value in headers if name == wanted]
    found += [unquote_to_bytes(part[4:]) for part in query.split(b"&") if part.startswith(b"key=")]
    return [stripped for value in found if (stripped := value.strip())]
