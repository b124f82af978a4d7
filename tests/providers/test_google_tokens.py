"""Access tokens: granted for a signed assertion, kept while they are good, replaced ahead of need."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from hypereal.catalog.types import Upstream
from hypereal.providers.google_tokens import CredentialsError, GoogleTokens, ServiceAccount, assertion, read_credentials
from tests.providers.token_server import token_server

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def account(token_uri: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "k1",
        "private_key": pem(KEY),
        "client_email": "gateway@acme.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
        **fields,
    }


def upstream(directory: Path, content: dict[str, Any] | str, name: str = "key.json") -> Upstream:
    file = directory / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return Upstream(id="vertex", name="Vertex", base_url="https://x.test", credentials=(("file", str(file)),))


def file_of(upstream: Upstream) -> str:
    file = upstream.credential("file")
    assert file is not None
    return file


def part(text: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


def granted(token: str = "ya29.one", expires_in: object = 3600) -> tuple[int, str]:
    return 200, json.dumps({"access_token": token, "expires_in": expires_in, "token_type": "Bearer"})


async def test_a_service_account_is_granted_a_token_for_an_assertion_that_it_signed(tmp_path: Path) -> None:
    forms: list[dict[str, str]] = []

    def answer(form: dict[str, str]) -> tuple[int, str]:
        forms.append(form)
        return granted()

    clock = Clock()
    tokens = GoogleTokens(clock)
    async with token_server(answer) as url:
        vertex = upstream(tmp_path, account(url))
        assert tokens.get(file_of(vertex)) is None
        await tokens.refresh([vertex, Upstream(id="other", name="Other", base_url="https://o.test")])
    assert tokens.get(file_of(vertex)) == "ya29.one"
    (form,) = forms
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    header, claims, signature = form["assertion"].split(".")
    assert part(header) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert part(claims) == {
        "iss": "gateway@acme.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": url,
        "iat": 1_800_000_000,
        "exp": 1_800_003_600,
    }
    signed = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    KEY.public_key().verify(signed, f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())


async def test_a_users_credentials_are_exchanged_for_a_token(tmp_path: Path) -> None:
    forms: list[dict[str, str]] = []

    def answer(form: dict[str, str]) -> tuple[int, str]:
        forms.append(form)
        return granted()

    tokens = GoogleTokens()
    async with token_server(answer) as url:
        user = {
            "type": "authorized_user",
            "client_id": "c",
            "client_secret": "s",
            "refresh_token": "1//r",
            "token_uri": url,
        }
        vertex = upstream(tmp_path, user)
        await tokens.refresh([vertex])
    assert tokens.get(file_of(vertex)) == "ya29.one"
    assert forms == [{"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "1//r"}]


async def test_a_token_is_kept_until_ten_minutes_before_its_end_and_never_used_past_it(tmp_path: Path) -> None:
    names = iter(["ya29.one", "ya29.two"])
    clock = Clock()
    tokens = GoogleTokens(clock)
    async with token_server(lambda _: granted(next(names))) as url:
        vertex = upstream(tmp_path, account(url))
        for moment, expected in ((0, "ya29.one"), (2999, "ya29.one"), (3001, "ya29.two")):
            clock.now = 1_800_000_000.0 + moment
            await tokens.refresh([vertex])
            assert tokens.get(file_of(vertex)) == expected
    clock.now += 3601
    assert tokens.get(file_of(vertex)) is None


@pytest.mark.parametrize(
    "answer",
    [
        (400, '{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'),
        (500, "<html>oops</html>"),
        (200, "not json"),
        (200, "[]"),
        (200, '{"access_token":1,"expires_in":3600}'),
        (200, '{"access_token":"x"}'),
    ],
)
async def test_a_failure_keeps_the_token_that_is_still_good(tmp_path: Path, answer: tuple[int, str]) -> None:
    answers = iter([granted(), answer])
    clock = Clock()
    tokens = GoogleTokens(clock)
    async with token_server(lambda _: next(answers)) as url:
        vertex = upstream(tmp_path, account(url))
        await tokens.refresh([vertex])
        clock.now += 3500
        await tokens.refresh([vertex])
    assert tokens.get(file_of(vertex)) == "ya29.one"


async def test_one_file_that_cannot_be_used_does_not_keep_the_others_from_their_tokens(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens = GoogleTokens()
    async with token_server(lambda _: granted()) as url:
        good = upstream(tmp_path, account(url))
        bad = upstream(tmp_path, account(url, private_key="-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"), "bad.json")
        await tokens.refresh([bad, good])
    assert tokens.get(file_of(good)) == "ya29.one"
    assert tokens.get(file_of(bad)) is None
    assert "c2VjcmV0" not in capfd.readouterr().out


async def test_an_address_that_answers_nothing_is_no_crash(tmp_path: Path) -> None:
    tokens = GoogleTokens()
    for uri in ("http://127.0.0.1:1/token", "http://[bad", "no address"):
        vertex = upstream(tmp_path, account(uri))
        await tokens.refresh([vertex])
        assert tokens.get(file_of(vertex)) is None


async def test_tokens_are_kept_in_the_background_for_upstreams_as_they_come(tmp_path: Path) -> None:
    tokens = GoogleTokens()
    async with token_server(lambda _: granted()) as url:
        vertex = upstream(tmp_path, account(url))
        keeping = asyncio.create_task(tokens.run(lambda: [vertex]))
        async with asyncio.timeout(5):
            while tokens.get(file_of(vertex)) is None:
                await asyncio.sleep(0.01)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "holds neither"),
        ("[]", "holds neither"),
        ('{"type":"external_account","audience":"x"}', "holds neither"),
        ('{"type":"service_account","client_email":"x"}', "holds neither"),
        ("[" * 100_000, "holds neither"),
    ],
)
def test_a_file_without_credentials_is_named(tmp_path: Path, content: str, fault: str) -> None:
    with pytest.raises(CredentialsError, match=fault) as caught:
        read_credentials(file_of(upstream(tmp_path, content)))
    assert "key.json" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="cannot be read: No such file"):
        read_credentials(str(tmp_path / "gone.json"))


@pytest.mark.parametrize(
    ("key", "fault"),
    [("", "cannot be read"), ("secret words", "cannot be read"), (pem(ec.generate_private_key(ec.SECP256R1())), "RSA")],
)
def test_a_key_that_cannot_sign_is_named_and_not_shown(key: str, fault: str) -> None:
    with pytest.raises(CredentialsError, match=fault) as caught:
        assertion(ServiceAccount(client_email="x", private_key=key), 0.0)
    assert "secret words" not in str(caught.value)
