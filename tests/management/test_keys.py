"""API keys over HTTP: made, shown, changed, revoked; somebody else's do not exist."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.management.conftest import Caller, MakeCaller

KEYS = "/api/api-keys"


async def create(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = await caller.http.post(KEYS, json={"name": "prod-eu", **body})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def test_a_new_key_shows_its_secret_once_and_the_secret_works(
    caller: Caller, anonymous: httpx2.AsyncClient
) -> None:
    created = await create(caller)
    secret = created["key"]
    assert secret.startswith("ck_")
    assert len(secret) >= 43
    listing = await anonymous.get(KEYS, headers={"x-api-key": secret})
    assert listing.status_code == 200
    assert secret not in listing.text
    assert secret not in (await caller.http.get(f"{KEYS}/{created['id']}")).text


async def test_a_key_is_shown_with_everything_that_was_set(caller: Caller) -> None:
    expires = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    settings = {
        "name": "prod-eu",
        "spendingLimit": 50000,
        "autoDisable": True,
        "expiresAt": expires.isoformat(),
        "scopes": ["inference", "models:read"],
        "allowedModels": ["gpt-5"],
        "requestsPerMinute": 60,
        "concurrency": 4,
    }
    created = await create(caller, **settings)
    shown = (await caller.http.get(f"{KEYS}/{created['id']}")).json()
    assert datetime.fromisoformat(shown.pop("expiresAt")) == expires
    assert shown == {
        **{name: value for name, value in settings.items() if name != "expiresAt"},
        "id": created["id"],
        "preview": created["preview"],
        "status": "active",
        "requestsPerHour": None,
        "tokensPerMinute": None,
        "disabledAt": None,
        "disabledReason": None,
        "createdAt": created["createdAt"],
        "lastUsedAt": None,
    }


async def test_keys_are_listed_newest_first_in_pages(caller: Caller) -> None:
    made = [(await create(caller, name=f"key {n}"))["id"] for n in range(4)]
    first = (await caller.http.get(KEYS, params={"limit": 3})).json()
    second = (await caller.http.get(KEYS, params={"limit": 3, "cursor": first["nextCursor"]})).json()
    assert [key["id"] for key in first["keys"] + second["keys"]] == [*reversed(made), caller.key_id]
    assert second["nextCursor"] is None


async def test_a_change_sets_what_is_given_and_nothing_else(caller: Caller) -> None:
    key = await create(caller, spendingLimit=12.5, scopes=["inference"])
    path = f"{KEYS}/{key['id']}"
    renamed = (await caller.http.patch(path, json={"name": "prod-us"})).json()
    assert (renamed["name"], renamed["spendingLimit"], renamed["scopes"]) == ("prod-us", 12.5, ["inference"])
    freed = (await caller.http.patch(path, json={"spendingLimit": None, "autoDisable": True})).json()
    assert (freed["name"], freed["spendingLimit"], freed["autoDisable"]) == ("prod-us", None, True)


async def test_a_key_is_switched_off_and_on_again(caller: Caller) -> None:
    path = f"{KEYS}/{(await create(caller))['id']}"
    off = (await caller.http.patch(path, json={"disabled": True})).json()
    assert (off["status"], off["disabledReason"]) == ("disabled", "by its owner")
    on = (await caller.http.patch(path, json={"disabled": False})).json()
    assert (on["status"], on["disabledAt"]) == ("active", None)


async def test_a_revoked_key_is_refused_within_a_second(caller: Caller, anonymous: httpx2.AsyncClient) -> None:
    key = await create(caller)
    headers = {"authorization": f"Bearer {key['key']}"}
    assert (await anonymous.get(KEYS, headers=headers)).status_code == 200
    answer = await caller.http.delete(f"{KEYS}/{key['id']}")
    assert (answer.status_code, answer.json()) == (200, {"id": key["id"], "deleted": True})
    async with asyncio.timeout(1):
        while (await anonymous.get(KEYS, headers=headers)).status_code != 401:
            await asyncio.sleep(0.02)
    assert (await caller.http.get(f"{KEYS}/{key['id']}")).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_somebody_elses_key_is_not_found(caller: Caller, make_caller: MakeCaller, method: str) -> None:
    stranger = await make_caller()
    body = {"name": "mine now"} if method == "PATCH" else None
    for key_id in (stranger.key_id, "key_nothing", "key%00"):
        answer = await caller.http.request(method, f"{KEYS}/{key_id}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "x", "spendingLimit": 0}, "spendingLimit"),
        ({"name": "x", "spendingLimit": 0.0000001}, "spendingLimit"),
        ({"name": "x", "spendingLimit": 1e30}, "spendingLimit"),
        ({"name": "x", "spendingLimit": "many"}, "spendingLimit"),
        ({"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"name": "x", "expiresAt": "soon"}, "expiresAt"),
        ({"name": "x", "expiresAt": "9999-12-31T23:59:59-14:00"}, "expiresAt"),
        ({"name": "x", "expiresAt": "0001-01-01T00:00:00+14:00"}, "expiresAt"),
        ({"name": "x", "scopes": ["everything"]}, "scopes"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "allowedModels": []}, "allowedModels"),
        ({"name": "x", "concurrency": 0}, "concurrency"),
        ({"name": "x", "requestsPerHour": 2**70}, "requestsPerHour"),
        ({"name": "x", "autoDisable": "perhaps"}, "autoDisable"),
        ({"name": "x", "autoDisable": "yes"}, "autoDisable"),
        ({"name": "x", "autoDisable": 1}, "autoDisable"),
    ],
)
async def test_a_bad_field_is_a_400_that_names_it(caller: Caller, body: dict[str, Any], field: str) -> None:
    answer = await caller.http.post(KEYS, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert field in answer.json()["message"]
    assert answer.json()["error"] == answer.json()["message"]


@pytest.mark.parametrize("body", [b"{", b"\xff"])
async def test_a_body_that_is_no_json_is_a_400(caller: Caller, body: bytes) -> None:
    answer = await caller.http.post(KEYS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["message"]


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"1"])
async def test_a_body_that_is_no_object_is_a_400_that_says_so(caller: Caller, body: bytes) -> None:
    answer = await caller.http.post(KEYS, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["message"]) == (400, "The body must be a JSON object")


@pytest.mark.parametrize("field", ["spendingLimit", "requestsPerHour"])
@pytest.mark.parametrize("value", [2**63, 1e18 * 10, 10**400])
async def test_a_limit_that_is_too_large_is_called_that(caller: Caller, field: str, value: float) -> None:
    answer = await caller.http.post(KEYS, json={"name": "x", field: int(value)})
    assert (answer.status_code, answer.json()["message"]) == (400, f"{field} is too large")


async def test_a_key_of_an_organisation_one_is_not_in_cannot_be_made(caller: Caller) -> None:
    answer = await caller.http.post(KEYS, json={"name": "x", "orgId": "org_of_others"})
    assert (answer.status_code, answer.json()["message"]) == (404, "Organisation not found")
    assert (await caller.http.post(KEYS, json={"name": "x", "orgId": caller.account_id})).status_code == 201


@pytest.mark.parametrize("path", [KEYS, "/api/credits/ledger", "/api/api-usage"])
@pytest.mark.parametrize("cursor", ["x", "AAAA", "bnVsbA", "", "a\x00", "x" * 2000, "\u0664\u0662"])
async def test_a_made_up_cursor_is_a_400(caller: Caller, path: str, cursor: str) -> None:
    answer = await caller.http.get(path, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["param"]) == (400, "cursor")
    assert answer.json()["message"] == "cursor is not one that this list gave"


async def test_reading_needs_its_scope_and_writing_another(make_caller: MakeCaller) -> None:
    reader = await make_caller(scopes=["keys:read"])
    assert (await reader.http.get(KEYS)).status_code == 200
    refused = await reader.http.post(KEYS, json={"name": "x"})
    assert (refused.status_code, refused.json()["scope"]) == (403, "keys:write")
    assert (await reader.http.delete(f"{KEYS}/{reader.key_id}")).status_code == 403
    assert (await (await make_caller(scopes=["inference"])).http.get(KEYS)).status_code == 403


async def test_a_restricted_key_makes_no_freer_one_and_cannot_free_itself(make_caller: MakeCaller) -> None:
    warden = await make_caller(scopes=["keys:write", "inference"], allowed_models=["gpt-5"], spending_limit=5_000_000)
    within = {"name": "x", "scopes": ["inference"], "allowedModels": ["gpt-5"], "spendingLimit": 5}
    assert (await warden.http.post(KEYS, json=within)).status_code == 201
    for wider in (
        {"scopes": None},
        {"scopes": ["usage:read"]},
        {"allowedModels": None},
        {"allowedModels": ["gpt-5", "other"]},
        {"spendingLimit": 5.000001},
        {"spendingLimit": None},
    ):
        assert (await warden.http.post(KEYS, json={**within, **wider})).status_code == 403
        assert (await warden.http.patch(f"{KEYS}/{warden.key_id}", json=wider)).status_code == 403
    assert (await warden.http.post(KEYS, json={"name": "nothing said"})).status_code == 403
