"""Whatever goes wrong in a framework route is answered in our shapes."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from hypereal.errors import RateLimited
from tests.management.conftest import Caller, client_of


async def test_an_unknown_path_is_a_404_in_the_shape_of_its_family(anonymous: httpx2.AsyncClient) -> None:
    native = await anonymous.get("/api/nothing")
    assert native.status_code == 404
    assert native.json()["error"] == native.json()["message"] == "There is no GET /api/nothing"
    openai = await anonymous.get("/v1/embeddings/nothing")
    assert (openai.status_code, openai.json()["error"]["type"]) == (404, "not_found_error")
    anthropic = await anonymous.get("/v1/messages/nothing")
    assert (anthropic.status_code, anthropic.json()["type"]) == (404, "error")


async def test_another_method_is_a_405_that_names_the_right_ones(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.put("/api/credits")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/api-keys", "GET, POST"),
        ("POST", "/api/api-keys/key_1", "GET, PATCH, DELETE"),
        ("PUT", "/v1/messages", "GET, POST"),
        ("PUT", "/v1beta/models/gemini:generateContent", "GET, POST"),
        ("GET", "/v1/embeddings", "POST"),
        ("PUT", "/v1/completions", "POST"),
        ("DELETE", "/v1/chat", "POST"),
    ],
)
async def test_a_405_names_every_method_of_the_path(
    anonymous: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await anonymous.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]


async def test_no_validation_failure_is_a_422(caller: Caller) -> None:
    answer = await caller.http.get("/api/api-usage", params={"days": "many"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (RateLimited(retry_after_s=7), 429, "rate_limit_exceeded"),
        (HTTPException(413), 413, "payload_too_large"),
        (HTTPException(418, "short and stout"), 400, "invalid_request"),
        (HTTPException(503), 500, "internal_error"),
        (RuntimeError("postgresql://app:hunter2@db/x"), 500, "internal_error"),
    ],
)
async def test_what_a_route_raises_is_one_clean_error(app: FastAPI, raised: Exception, status: int, code: str) -> None:
    @app.get("/api/broken")
    async def fail() -> None:
        raise raised

    async with client_of(app) as client:
        answer = await client.get("/api/broken")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "hunter2" not in answer.text
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert answer.headers.get("connection") == ("close" if isinstance(raised, RuntimeError) else None)


async def test_the_openapi_document_promises_no_422_and_names_every_form_of_key(anonymous: httpx2.AsyncClient) -> None:
    document = (await anonymous.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all("422" not in operation["responses"] for operation in operations)
    assert set(document["components"]["securitySchemes"]) == {"bearer", "x-api-key", "x-goog-api-key", "key"}
