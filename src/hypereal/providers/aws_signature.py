"""AWS Signature Version 4, as far as a POST with a body needs it.

Reference: AWS IAM User Guide, "Create a signed AWS API request"; tested against the vectors that AWS publishes.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from hypereal.providers.base import Headers

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """An AWS access key; `token` is the session's, for a temporary one."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def sign(
    key: AccessKey, *, region: str, service: str, host: str, path: str, headers: Headers, body: bytes, now: float
) -> Headers:
    """The headers that a signed POST has besides `headers`, which are signed with it.

    `path` is as it is sent, without a query; `now` is seconds since the epoch.
    """
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = [("x-amz-date", moment)]
    if key.token is not None:
        added.append(("x-amz-security-token", key.token))
    lines = sorted((name, " ".join(value.split())) for name, value in [("host", host), *headers, *added])
    names = ";".join(name for name, _ in lines)
    canonical = "\n".join(
        (
            "POST",
            quote(path, safe="/-_.~"),  # encoded once for the wire and once more here, as every service but S3 does
            "",
            *(f"{name}:{value}" for name, value in lines),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.digest(_signing_key(key.secret, scope), text.encode(), "sha256").hex()
    credential = f"{ALGORITHM} Credential={key.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return (*added, ("authorization", credential))


def _signing_key(secret: str, scope: str) -> bytes:
    derived = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        derived = hmac.digest(derived, part.encode(), "sha256")
    return derived
