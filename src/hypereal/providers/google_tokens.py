"""Access tokens of Google Cloud, fetched before they are needed and never on the path of a request.

A credentials file is what `GOOGLE_APPLICATION_CREDENTIALS` names: a service account's key, or what `gcloud auth
application-default login` wrote. References: RFC 7523; Google Identity, "Using OAuth 2.0 for server to server
applications".
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from hypereal.catalog.types import Upstream
from hypereal.kit.outgoing import OutgoingError, post_form

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
LIFETIME_S = 3600
"""How long an assertion may be good for: the longest that Google allows."""
EARLY_S = 600.0
"""A token is replaced so long before it expires, which leaves time for many failed tries."""
CHECK_S = 15.0
TIMEOUT_S = 10.0

log = structlog.get_logger(__name__)


class ServiceAccount(msgspec.Struct, frozen=True, tag_field="type", tag="service_account"):
    """The key of a service account."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = TOKEN_URL


class AuthorizedUser(msgspec.Struct, frozen=True, tag_field="type", tag="authorized_user"):
    """A person's own credentials."""

    client_id: str
    client_secret: str
    refresh_token: str
    token_uri: str = TOKEN_URL


class _Granted(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float


_CREDENTIALS = msgspec.json.Decoder(ServiceAccount | AuthorizedUser)


class CredentialsError(Exception):
    """A credentials file cannot be used; the text says why and holds nothing of what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    value: str = field(repr=False)
    expires_at: float


def read_credentials(file: str) -> ServiceAccount | AuthorizedUser:
    """The credentials in a file; raises `CredentialsError`."""
    try:
        credentials: ServiceAccount | AuthorizedUser = _CREDENTIALS.decode(Path(file).read_bytes())
    except OSError as exc:
        raise CredentialsError(f"{file} cannot be read: {exc.strerror}") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise CredentialsError(f"{file} holds neither a service account's key nor a user's credentials") from exc
    return credentials


def assertion(account: ServiceAccount, now: float) -> str:
    """What a service account signs to be given a token; raises `CredentialsError`."""
    # Imported here: a server that has no such upstream is spared its memory.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    try:
        key = serialization.load_pem_private_key(account.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise CredentialsError("the private key of the service account cannot be read") from exc
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CredentialsError("the private key of the service account is not an RSA key")
    header = {"alg": "RS256", "typ": "JWT", "kid": account.private_key_id}
    claims = {
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": int(now),
        "exp": int(now) + LIFETIME_S,
    }
    text = b".".join(_encoded(msgspec.json.encode(part)) for part in (header, claims))
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return b".".join((text, _encoded(signature))).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class GoogleTokens:
    """The tokens of one process, by credentials file. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tokens: dict[str, _Token] = {}

    def get(self, file: str) -> str | None:
        """The token for a credentials file, or None while there is none that is still good."""
        token = self._tokens.get(file)
        return token.value if token is not None and token.expires_at > self._clock() else None

    async def run(self, upstreams: Callable[[], Iterable[Upstream]]) -> None:
        """Keep a good token for each credentials file of the live upstreams, until cancelled."""
        while True:
            await self.refresh(upstreams())
            await asyncio.sleep(CHECK_S)

    async def refresh(self, upstreams: Iterable[Upstream]) -> None:
        """Fetch every token that is missing or about to expire; a failure is logged, and what is held stays."""
        files = {file for upstream in upstreams if (file := upstream.credential("file")) is not None}
        due = self._clock() + EARLY_S
        wanted = [file for file in files if file not in self._tokens or self._tokens[file].expires_at < due]
        for file, outcome in zip(wanted, await asyncio.gather(*map(self._fetch, wanted)), strict=True):
            if isinstance(outcome, _Token):
                self._tokens[file] = outcome
            else:
                log.warning("google.no_token", file=file, reason=outcome)

    async def _fetch(self, file: str) -> _Token | str:
        """A new token, or why there is none."""
        now = self._clock()
        try:
            credentials = await asyncio.to_thread(read_credentials, file)
            form = _form(credentials, now)
            granted = msgspec.convert(await post_form(credentials.token_uri, form, timeout_s=TIMEOUT_S), _Granted)
        except (CredentialsError, OutgoingError) as exc:
            return str(exc)
        except msgspec.ValidationError:
            return "the answer holds no token"
        return _Token(value=granted.access_token, expires_at=now + granted.expires_in)


def _form(credentials: ServiceAccount | AuthorizedUser, now: float) -> dict[str, str]:
    if isinstance(credentials, ServiceAccount):
        return {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": assertion(credentials, now),
        }
    return {
        "grant_type": "refresh_token",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "refresh_token": credentials.refresh_token,
    }
