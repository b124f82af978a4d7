"""What every adapter promises, and how each one addresses and signs."""

from __future__ import annotations

from typing import Any

import pytest

from hypereal.catalog.types import Target, Upstream
from hypereal.providers import Adapter, FailureKind, GoogleTokens, make_adapters
from hypereal.providers.base import Address, Prepared
from hypereal.wire.base import Kind

SECRET = "sk-live-0123456789abcdef"
ADAPTERS = make_adapters(GoogleTokens())
OPENAI_FORMATS = {
    Kind.CHAT: ("openai_chat", "openai_responses", "anthropic"),
    Kind.COMPLETION: ("openai_completion",),
    Kind.EMBEDDING: ("openai_embedding",),
    Kind.COUNT: ("openai_responses", "anthropic"),
}
FORMATS: dict[str, dict[Kind, tuple[str, ...]]] = {
    "openai": {
        **OPENAI_FORMATS,
        Kind.CHAT: (*OPENAI_FORMATS[Kind.CHAT], "gemini"),
        Kind.COUNT: (*OPENAI_FORMATS[Kind.COUNT], "gemini"),
    },
    "azure": OPENAI_FORMATS,
    "anthropic": {Kind.CHAT: ("anthropic",), Kind.COUNT: ("anthropic",)},
    "google": {Kind.CHAT: ("gemini", "openai_chat"), Kind.EMBEDDING: ("openai_embedding",), Kind.COUNT: ("gemini",)},
    "vertex": {Kind.CHAT: ("gemini", "anthropic"), Kind.COUNT: ("gemini", "anthropic")},
    "bedrock": {Kind.CHAT: ("anthropic",)},
}
WAYS = [
    (name, kind, dialect, stream)
    for name, kinds in FORMATS.items()
    for kind, dialects in kinds.items()
    for dialect in dialects
    for stream in (False, True)
]


def target(model: str = "some/model:tag", **fields: Any) -> Target:
    given = {"id": "up", "name": "Up", "base_url": "https://api.example.com/v1", "secret": SECRET, **fields}
    return Target(upstream=Upstream(**given), model=model)


def address_of(
    name: str, target: Target, kind: Kind = Kind.CHAT, *, dialect: str = "", stream: bool = False
) -> Address:
    return ADAPTERS[name].address(target, kind, dialect=dialect or FORMATS[name][kind][0], stream=stream)


every_adapter = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS.keys())
every_way = pytest.mark.parametrize(("name", "kind", "dialect", "stream"), WAYS)
every_name = pytest.mark.parametrize("name", ADAPTERS)


def test_every_adapter_is_tried_here() -> None:
    assert FORMATS.keys() == ADAPTERS.keys()


@every_way
def test_an_address_is_absolute_and_ready_for_the_socket(name: str, kind: Kind, dialect: str, *, stream: bool) -> None:
    address = address_of(name, target(), kind, dialect=dialect, stream=stream)
    assert (address.scheme, address.host, address.port) == ("https", "api.example.com", 443)
    assert address.path.startswith("/")
    assert "//" not in address.path
    assert " " not in address.path
    names = [name for name, _ in (*address.headers, *address.defaults)]
    assert names == [name.lower() for name in names]
    assert len(set(names)) == len(names)


@every_way
def test_the_secret_is_sent_once_and_never_printed(name: str, kind: Kind, dialect: str, *, stream: bool) -> None:
    address = address_of(name, target(), kind, dialect=dialect, stream=stream)
    assert [SECRET in value for _, value in address.headers].count(True) == 1
    assert SECRET not in address.path
    assert SECRET not in repr(address)
    assert SECRET not in repr(target())
    assert SECRET not in repr(Prepared(headers=address.headers, body=SECRET.encode()))


@every_name
def test_an_upstream_without_a_key_is_not_signed_for(name: str) -> None:
    assert address_of(name, target(secret=None)).headers == ()


@every_name
def test_a_rows_own_headers_are_sent_and_win(name: str) -> None:
    headers = (
        ("authorization", "Custom abc"),
        ("api-key", "other"),
        ("x-api-key", "other"),
        ("x-goog-api-key", "other"),
        ("x-title", "Hypereal"),
    )
    assert dict(address_of(name, target(headers=headers)).headers) == dict(headers)


@every_adapter
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"[1]", b'"text"', b"\xff\xfe", b"<html>x</html>", b'{"error":null}', b"[" * 100_000],
)
def test_every_answer_is_classified_whatever_its_body(adapter: Adapter, body: bytes) -> None:
    for status in (*range(300, 309), *range(400, 432), 451, 498, 499, *range(500, 512), 522, 529, 599):
        failure = adapter.classify(status, {}, body)
        assert failure.message
        assert 400 <= failure.status <= 504
        assert failure.try_next is (failure.kind is not FailureKind.REJECTED)
        assert not (failure.kind is FailureKind.REJECTED and failure.retry_same)


@pytest.mark.parametrize("advice", ["true", "false", "perhaps"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_advice_to_retry_never_repeats_what_only_an_operator_or_the_client_can_mend(status: int, advice: str) -> None:
    failure = ADAPTERS["anthropic"].classify(status, {"x-should-retry": advice}, b"{}")
    mendable = {429: True, 500: True}.get(status, False)
    assert failure.retry_same is (mendable and advice != "false")


@pytest.mark.parametrize("name", ["openai", "azure", "anthropic", "google"])
def test_what_needs_no_preparation_is_sent_as_it_is(name: str) -> None:
    adapter = ADAPTERS[name]
    assert adapter.signs is False
    assert adapter.unframer() is None
    prepared = adapter.prepare(target(), path="/v1/x", headers=(("a", "b"),), body=b'{ "model": 1 }')
    assert prepared == Prepared(headers=(("a", "b"),), body=b'{ "model": 1 }')


def test_each_kind_and_format_has_its_first_providers_path_below_the_base_url() -> None:
    paths = {
        (kind, dialect): address_of("openai", target(), kind, dialect=dialect).path.removeprefix("/v1/")
        for kind in OPENAI_FORMATS
        for dialect in OPENAI_FORMATS[kind]
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


def test_an_upstream_of_every_format_is_asked_in_each_as_that_formats_first_provider_is() -> None:
    gemini = address_of("openai", target("gemini/pro"), dialect="gemini", stream=True)
    assert gemini.path == "/v1/models/gemini%2Fpro:streamGenerateContent?alt=sse"
    assert gemini.defaults == ()
    assert address_of("openai", target(), dialect="anthropic").defaults == (("anthropic-version", "2023-06-01"),)


def test_a_row_may_give_a_kind_or_a_format_its_own_path_and_the_key_its_own_header() -> None:
    row = target(paths=(("chat", "/ask"), ("anthropic", "v2/messages")), options=(("key_header", "x-api-key"),))
    address = address_of("openai", row)
    assert address.path == "/v1/ask"
    assert address.headers == (("x-api-key", SECRET),)
    assert address_of("openai", row, dialect="anthropic").path == "/v1/v2/messages"
    assert address_of("openai", row, Kind.COUNT, dialect="anthropic").path == "/v1/messages/count_tokens"


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://127.0.0.1:11434/v1", ("http", "127.0.0.1", 11434, "/v1/embeddings")),
        ("http://localhost", ("http", "localhost", 80, "/embeddings")),
        ("http://[::1]:8000/v1/", ("http", "::1", 8000, "/v1/embeddings")),
    ],
)
def test_an_address_is_read_from_the_base_url(base_url: str, expected: tuple[str, str, int, str]) -> None:
    address = address_of("openai", target(base_url=base_url), Kind.EMBEDDING)
    assert (address.scheme, address.host, address.port, address.path) == expected


@pytest.mark.parametrize("suffix", ["", "/openai", "/openai/v1"])
def test_azure_uses_the_v1_api_unless_a_version_is_given(suffix: str) -> None:
    row = target(base_url=f"https://acme.openai.azure.com{suffix}")
    address = address_of("azure", row)
    assert address.path == "/openai/v1/chat/completions"
    assert address.headers == (("api-key", SECRET),)
    assert address_of("azure", row, dialect="openai_responses").path == "/openai/v1/responses"


def test_azure_puts_the_deployment_into_the_path_of_a_dated_version_but_for_responses() -> None:
    row = target(base_url="https://acme.openai.azure.com", options=(("api_version", "2025-04-01-preview"),))
    path = address_of("azure", row, Kind.EMBEDDING).path
    assert path == "/openai/deployments/some%2Fmodel%3Atag/embeddings?api-version=2025-04-01-preview"
    path = address_of("azure", row, dialect="openai_responses").path
    assert path == "/openai/responses?api-version=2025-04-01-preview"


@pytest.mark.parametrize("base_url", ["https://api.anthropic.com", "https://api.anthropic.com/v1"])
def test_anthropic_takes_its_key_in_a_header_of_its_own_and_a_version_unless_the_client_names_one(
    base_url: str,
) -> None:
    address = address_of("anthropic", target(base_url=base_url), stream=True)
    assert address.path == "/v1/messages"
    assert address.headers == (("x-api-key", SECRET),)
    assert address.defaults == (("anthropic-version", "2023-06-01"),)
    assert address_of("anthropic", target(base_url=base_url), Kind.COUNT).path == "/v1/messages/count_tokens"


@pytest.mark.parametrize("suffix", ["", "/openai"])
def test_google_has_the_verb_in_the_path_and_its_rendering_of_openais_api_beside_it(suffix: str) -> None:
    row = target("gemini-3.1-pro-preview", base_url=f"https://generativelanguage.googleapis.com/v1beta{suffix}")
    model = "/v1beta/models/gemini-3.1-pro-preview"
    assert address_of("google", row).path == f"{model}:generateContent"
    assert address_of("google", row).headers == (("x-goog-api-key", SECRET),)
    assert address_of("google", row, stream=True).path == f"{model}:streamGenerateContent?alt=sse"
    assert address_of("google", row, Kind.COUNT).path == f"{model}:countTokens"
    chat = address_of("google", row, dialect="openai_chat", stream=True)
    assert chat.path == "/v1beta/openai/chat/completions"
    assert chat.headers == (("authorization", f"Bearer {SECRET}"),)
    assert address_of("google", row, Kind.EMBEDDING).path == "/v1beta/openai/embeddings"


def test_a_model_name_cannot_lead_to_another_path() -> None:
    for name in ("google", "vertex", "bedrock"):
        path = address_of(name, target("../../v1/secrets?x=#")).path
        assert "../" not in path
        assert "#" not in path
        assert "secrets%3Fx" in path
