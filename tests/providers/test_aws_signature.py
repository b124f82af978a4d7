"""AWS Signature Version 4 against the vectors of AWS's published test suite."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hypereal.providers.aws_signature import AccessKey, sign
from hypereal.providers.base import Headers

KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7"
    "mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d"
    "+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
NOW = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC).timestamp()


def signed(
    headers: Headers = (),
    body: bytes = b"",
    *,
    token: str | None = None,
    host: str = "example.amazonaws.com",
    path: str = "/",
) -> dict[str, str]:
    key = AccessKey(key_id=KEY_ID, secret=SECRET, token=token)
    added = sign(key, region="us-east-1", service="service", host=host, path=path, headers=headers, body=body, now=NOW)
    return dict(added)


@pytest.mark.parametrize(
    ("headers", "body", "names", "signature"),
    [
        ((), b"", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            (("my-header1", "value1"),),
            b"",
            "host;my-header1;x-amz-date",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
        (
            (("my-header1", "VALUE1"),),
            b"",
            "host;my-header1;x-amz-date",
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ),
        (
            (("content-type", "application/x-www-form-urlencoded"),),
            b"Param1=value1",
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
    ids=["post-vanilla", "post-header-key-sort", "post-header-value-case", "post-x-www-form-urlencoded"],
)
def test_a_published_request_gets_its_published_signature(
    headers: Headers, body: bytes, names: str, signature: str
) -> None:
    assert signed(headers, body) == {
        "x-amz-date": "20150830T123600Z",
        "authorization": (
            f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20150830/us-east-1/service/aws4_request, "
            f"SignedHeaders={names}, Signature={signature}"
        ),
    }


def test_the_token_of_a_session_is_sent_and_signed() -> None:
    added = signed(token=TOKEN)  # post-sts-header-before
    assert added["x-amz-security-token"] == TOKEN
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in added["authorization"]
    signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
    assert added["authorization"].endswith(f"Signature={signature}")


def test_a_path_that_is_encoded_for_the_wire_is_encoded_again_to_be_signed() -> None:
    """The signature is botocore's for the same request."""
    key = AccessKey(key_id=KEY_ID, secret=SECRET, token=TOKEN)
    added = sign(
        key,
        region="us-east-1",
        service="bedrock",
        host="bedrock-runtime.us-east-1.amazonaws.com",
        path="/model/global.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke",
        headers=(),
        body=b'{"a":1}',
        now=NOW,
    )
    signature = "1b2a373804a470b56f4580ea897f0bc360457e5890d5da4789f8be181836b93b"
    assert dict(added)["authorization"].endswith(f"Signature={signature}")


def test_a_key_is_not_printed() -> None:
    key = AccessKey(key_id=KEY_ID, secret=SECRET, token=TOKEN)
    assert SECRET not in repr(key)
    assert TOKEN not in repr(key)
