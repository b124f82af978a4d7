"""The list of models as clients read it."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.management.conftest import Caller, MakeCaller


async def listed(caller: Caller, path: str = "/v1/models") -> list[str]:
    answer = await caller.http.get(path)
    assert answer.status_code == 200, answer.text
    return [model["id"] for model in answer.json()["data"]]


CHAT_PATHS = [
    *("/v1/chat/completions", "/v1/chat", "/v1/spicy-chat", "/v1/responses"),
    *("/v1/responses/input_tokens", "/v1/messages", "/v1/messages/count_tokens", "/v1/gemini"),
    *(
        f"{version}/models/{{model}}:{verb}"
        for verb in ("generateContent", "streamGenerateContent", "countTokens")
        for version in ("/v1beta", "/v1")
    ),
]


async def test_a_model_is_listed_as_openai_and_anthropic_list_it_with_prices_and_limits(caller: Caller) -> None:
    body = (await caller.http.get("/v1/models")).json()
    assert body["object"] == "list"
    rates = {"input": 0.5, "output": 4, "cache_read": 0.05, "cache_write": 0.5, "cache_write_1h": 1, "reasoning": 4}
    assert body["data"][0] == {
        "id": "gpt-5",
        "object": "model",
        "created": 0,
        "owned_by": "openai",
        "type": "model",
        "display_name": "GPT-5",
        "created_at": "1970-01-01T00:00:00Z",
        "name": "GPT-5",
        "aliases": ["gpt-5-latest"],
        "kinds": ["chat"],
        "endpoints": CHAT_PATHS,
        "capabilities": ["tools", "vision"],
        "context_length": 400_000,
        "max_output_tokens": 128_000,
        "pricing": {
            "usd_per_million_tokens": rates,
            "credits_per_million_tokens": {kind: rate * 100 for kind, rate in rates.items()},
            "minimum_credits": 0.25,
            "provenance": "contract",
        },
        "providers": ["openai"],
    }


async def test_only_models_that_can_be_called_here_are_listed(caller: Caller) -> None:
    assert await listed(caller) == ["gpt-5", "vendor/small:free", "embedder", "messages-only"]


async def test_the_listing_of_chat_completions_has_its_models_alone(caller: Caller) -> None:
    assert await listed(caller, "/v1/chat/completions") == ["gpt-5", "vendor/small:free"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-5-latest", "gpt-5"),
        ("vendor/small:free", "vendor/small:free"),
        ("vendor%2Fsmall%3Afree", "vendor/small:free"),
    ],
)
async def test_a_model_is_found_by_id_and_by_alias(caller: Caller, asked: str, found: str) -> None:
    assert (await caller.http.get(f"/v1/models/{asked}")).json()["id"] == found


@pytest.mark.parametrize("asked", ["no-such-model", "unreachable", "GPT-5", "vendor/"])
async def test_a_model_that_is_not_served_is_a_404_in_openais_shape(caller: Caller, asked: str) -> None:
    answer = await caller.http.get(f"/v1/models/{asked}")
    assert answer.status_code == 404
    error: dict[str, Any] = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("not_found_error", "model_not_found", None)
    assert asked in error["message"]


async def test_a_key_sees_only_the_models_that_it_may_use(make_caller: MakeCaller) -> None:
    limited = await make_caller(allowed_models=["gpt-5-latest"])
    assert await listed(limited) == ["gpt-5"]
    assert (await limited.http.get("/v1/models/embedder")).status_code == 404


async def test_listing_needs_a_key_with_the_scope(make_caller: MakeCaller, anonymous: httpx2.AsyncClient) -> None:
    refused = await anonymous.get("/v1/models")
    assert refused.status_code == 401
    assert refused.json()["error"]["type"] == "authentication_error"
    other = await make_caller(scopes=["usage:read"])
    assert (await other.http.get("/v1/models")).status_code == 403
