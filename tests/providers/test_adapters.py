"""What every adapter promises, and how each one addresses and signs."""

from __future__ import annotations

from typing import Any

import pytest

from hypereal.catalog.types import Target, Upstream
from hypereal.providers import ADAPTERS, Adapter, FailureKind
from hypereal.providers.base import Address
from hypereal.wire.base import Kind

SECRET = "sk-live-0123456789abcdef"


def target(**fields: Any) -> Target:
    given = {"id": "up", "name": "Up", "base_url": "https://api.example.com/v1", "secret": SECRET, **fields}
    return Target(upstream=Upstream(**given), model="some/model:tag")


FORMATS = {
    Kind.CHAT: ("openai_chat", "openai_responses", "anthropic"),
    Kind.COMPLETION: ("openai_completion",),
    Kind.EMBEDDING: ("openai_embedding",),
    Kind.COUNT: ("openai_responses", "anthropic"),
}


def address_of(
    name: str, target: Target, kind: Kind = Kind.CHAT, *, dialect: str = "", stream: bool = False
) -> Address:
    return ADAPTERS[name].address(target, kind, dialect=dialect or FORMATS[kind][0], stream=stream)


every_adapter = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS.keys())


@every_adapter
@pytest.mark.parametrize("kind", Kind)
def test_an_address_is_absolute_and_ready_for_the_socket(adapter: Adapter, kind: Kind) -> None:
    address = adapter.address(target(), kind, dialect=FORMATS[kind][0], stream=False)
    assert (address.scheme, address.host, address.port) == ("https", "api.example.com", 443)
    assert address.path.startswith("/")
    assert " " not in address.path
    names = [name for name, _ in address.headers]
    assert names == [name.lower() for name in names]
    assert len(set(names)) == len(names)


@every_adapter
def test_the_secret_is_sent_once_and_never_printed(adapter: Adapter) -> None:
    address = adapter.address(target(), Kind.CHAT, dialect="openai_chat", stream=False)
    assert [SECRET in value for _, value in address.headers].count(True) == 1
    assert SECRET not in address.path
    assert SECRET not in repr(address)
    assert SECRET not in repr(target())


@every_adapter
def test_an_upstream_without_a_key_is_not_signed_for(adapter: Adapter) -> None:
    assert adapter.address(target(secret=None), Kind.CHAT, dialect="openai_chat", stream=False).headers == ()


@every_adapter
def test_a_rows_own_headers_are_sent_and_win(adapter: Adapter) -> None:
    headers = (("authorization", "Custom abc"), ("api-key", "other"), ("x-title", "Hypereal"))
    assert dict(
        adapter.address(target(headers=headers), Kind.CHAT, dialect="openai_chat", stream=False).headers
    ) == dict(headers)


@every_adapter
@pytest.mark.parametrize("status", [*range(300, 309), *range(400, 432), 451, 498, 499, *range(500, 512), 522, 529, 599])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"[1]", b'"text"', b"\xff\xfe", b"<html>x</html>", b'{"error":null}', b"[" * 100_000],
)
def test_every_answer_is_classified_whatever_its_body(adapter: Adapter, status: int, body: bytes) -> None:
    failure = adapter.classify(status, {}, body)
    assert failure.message
    assert 400 <= failure.status <= 504
    assert failure.try_next is (failure.kind is not FailureKind.REJECTED)
    assert not (failure.kind is FailureKind.REJECTED and failure.retry_same)


def test_each_kind_and_format_has_its_first_providers_path_below_the_base_url() -> None:
    paths = {
        (kind, dialect): address_of("openai", target(), kind, dialect=dialect).path.removeprefix("/v1/")
        for kind in Kind
        for dialect in FORMATS[kind]
    }
    assert paths == {
        (Kind.CHAT, "openai_chat"): "chat/completions",
        (Kind.CHAT, "openai_responses"): "responses",
        (Kind.CHAT, "anthropic"): "messages",
        (Kind.COMPLETION, "openai_completion"): "completions",
        (Kind.EMBEDDING, "openai_embedding"): "embeddings",
        (Kind.COUNT, "openai_responses"): "responses/input_tokens",
        (Kind.COUNT, "anthropic"): "messages/count_tokens",
    }


def test_a_row_may_give_a_kind_its_own_path_and_the_key_its_own_header() -> None:
    row = target(paths=(("chat", "/messages"),), options=(("key_header", "x-api-key"),))
    address = address_of("openai", row, Kind.CHAT)
    assert address.path == "/v1/messages"
    assert address.headers == (("x-api-key", SECRET),)


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://127.0.0.1:11434/v1", ("http", "127.0.0.1", 11434, "/v1/embeddings")),
        ("http://localhost", ("http", "localhost", 80, "/embeddings")),
        ("http://[::1]:8000/v1/", ("http", "::1", 8000, "/v1/embeddings")),
    ],
)
def test_an_address_is_read_from_the_base_url(base_url: str, expected: tuple[str, str, int, str]) -> None:
    address: Address = address_of("openai", target(base_url=base_url), Kind.EMBEDDING)
    assert (address.scheme, address.host, address.port, address.path) == expected


@pytest.mark.parametrize("suffix", ["", "/openai", "/openai/v1"])
def test_azure_uses_the_v1_api_unless_a_version_is_given(suffix: str) -> None:
    row = target(base_url=f"https://acme.openai.azure.com{suffix}")
    address = address_of("azure", row, Kind.CHAT)
    assert address.path == "/openai/v1/chat/completions"
    assert address.headers == (("api-key", SECRET),)


def test_azure_puts_the_deployment_into_the_path_of_a_dated_version() -> None:
    row = target(base_url="https://acme.openai.azure.com", options=(("api_version", "2024-10-21"),))
    path = address_of("azure", row, Kind.EMBEDDING).path
    assert path == "/openai/deployments/some%2Fmodel%3Atag/embeddings?api-version=2024-10-21"
