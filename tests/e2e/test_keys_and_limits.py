"""What a key, a wallet and a window allow, over HTTP (api.md sections 2, 3, 12, 13 and 16)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.accounts import grant_credits, open_account
from tests.support.bills import all_settled, query, settled
from tests.support.catalogue_file import model_row, render, upstream_row
from tests.support.databases import fresh_database
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.http_client import Answer, chat_body
from tests.support.openai_format import TEXT
from tests.support.server import Server, start_server, wait_for

MICRO = 1_000_000
COSTLY_OUTPUT_TOKENS = 50
COST_OF_COSTLY = 16 * MICRO
"""160 tokens at a tenth of a credit each."""


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, database_server: str, migrated_template: str, upstream: FaultyUpstream
) -> Iterator[Server]:
    """A server with two workers: what one is told, the other must know."""
    with fresh_database(database_server, migrated_template) as database_url:
        running = start_server(
            tmp_path_factory.mktemp("pair"),
            database_url,
            catalogue=render([upstream_row("ok", upstream.url("ok"))], [model_row("ok", ["ok:served-ok"])]),
            arguments=("--workers", "2"),
        )
        yield running
        running.stop()


def create_key(server: Server, **fields: Any) -> dict[str, Any]:
    answer = server.client.post("/api/api-keys", {"name": "test", **fields})
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made


def chat_with(server: Server, key: str, model: str = "ok", **fields: Any) -> Answer:
    """One Chat Completion on a connection of its own, so that any worker may get it."""
    with server.client.with_key(key) as client:
        return client.chat(model, **fields)


def statuses(server: Server, key: str) -> set[int]:
    """What several connections, and so both workers, answer to a key."""
    return {chat_with(server, key).status for _ in range(8)}


def test_a_new_key_works_at_once_and_a_revoked_one_is_dead_in_every_worker(pair: Server) -> None:
    made = create_key(pair)
    assert statuses(pair, made["key"]) == {200}
    assert pair.client.request("DELETE", f"/api/api-keys/{made['id']}").status == 200
    wait_for(lambda: statuses(pair, made["key"]) == {401}, "the end of the key", timeout_s=2.0)


def test_a_key_switched_off_in_one_worker_is_off_in_all_and_on_again(pair: Server) -> None:
    made = create_key(pair)
    assert statuses(pair, made["key"]) == {200}
    path = f"/api/api-keys/{made['id']}"
    assert pair.client.request("PATCH", path, body={"disabled": True}).status == 200
    wait_for(lambda: statuses(pair, made["key"]) == {401}, "the switching off", timeout_s=2.0)
    assert "disabled" in chat_with(pair, made["key"]).error["message"]
    assert pair.client.request("PATCH", path, body={"disabled": False}).status == 200
    wait_for(lambda: statuses(pair, made["key"]) == {200}, "the switching on", timeout_s=2.0)


def test_an_expired_key_is_refused_with_its_own_message(server: Server) -> None:
    until = datetime.now(UTC) + timedelta(seconds=2)
    made = create_key(server, expiresAt=until.isoformat())
    assert chat_with(server, made["key"]).status == 200
    wait_for(lambda: chat_with(server, made["key"]).status == 401, "the expiry", timeout_s=5.0)
    assert "expired" in chat_with(server, made["key"]).error["message"]


def test_a_key_may_be_restricted_to_models(server: Server) -> None:
    key = create_key(server, allowedModels=["ok"])["key"]
    assert chat_with(server, key).status == 200
    refused = chat_with(server, key, "paced")
    assert (refused.status, refused.error["code"]) == (403, "forbidden")


def test_a_key_may_be_restricted_to_scopes(server: Server) -> None:
    with server.client.with_key(create_key(server, scopes=["inference"])["key"]) as client:
        assert client.chat("ok").status == 200
        assert client.get("/api/api-keys").status == 403
        assert client.post("/api/api-keys", {"name": "wider"}).status == 403
    with server.client.with_key(create_key(server, scopes=["keys:read"])["key"]) as client:
        assert client.chat("ok").status == 403
        assert client.get("/api/api-keys").status == 200


def test_a_spending_limit_ends_the_keys_requests_and_is_not_passed(server: Server) -> None:
    made = create_key(server, spendingLimit=40)
    answers = spend(server, made["key"])
    assert answers[-1].status == 402
    assert answers[-1].error["code"] == "spending_limit_reached"
    charged = [settled(server, answer.request_id)["credits"] for answer in answers]
    assert charged[:2] == [COST_OF_COSTLY] * 2
    assert 32 * MICRO <= sum(charged) <= 40 * MICRO
    spent = query(server.database_url, "SELECT * FROM key_spend WHERE key_id = %(id)s", id=made["id"])
    assert [row["spent"] for row in spent] == [sum(charged)]
    assert server.client.chat("ok").status == 200


def test_a_client_that_asks_one_by_one_is_served_until_its_limit_is_reached(server: Server) -> None:
    """Each request may cost more than is left, and so holds all of it for as long as it runs."""
    key = create_key(server, spendingLimit=40)["key"]
    with server.client.with_key(key) as client:
        answers = [client.chat("costly") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert sum(settled(server, answer.request_id)["credits"] for answer in answers) == 40 * MICRO


def test_the_refusal_at_a_limit_says_what_would_be_needed(server: Server) -> None:
    refused = spend(server, create_key(server, spendingLimit=20)["key"])[-1]
    assert (refused.status, refused.error["code"]) == (402, "spending_limit_reached")
    assert refused.error["required"] > refused.error["available"] >= 0


def test_a_key_that_reaches_its_limit_switches_itself_off_when_asked_to(server: Server) -> None:
    made = create_key(server, spendingLimit=20, autoDisable=True)
    assert spend(server, made["key"])[-1].status in (401, 402)
    wait_for(lambda: chat_with(server, made["key"]).status == 401, "the switching off", timeout_s=10.0)


def spend(server: Server, key: str) -> list[Answer]:
    """Costly requests, one after the other, until one is refused."""
    answers = []
    with server.client.with_key(key) as client:
        for _ in range(10):
            answers.append(client.chat("costly", max_tokens=COSTLY_OUTPUT_TOKENS))
            if answers[-1].status != 200:
                break
    return answers


def test_less_than_the_minimum_balance_is_a_402_in_every_family(server: Server) -> None:
    holder = open_account(server, "150")
    with server.client.with_key(holder.secret) as client:
        openai = client.chat("ok")
        native = client.post("/v1/chat", chat_body("ok"))
    assert (openai.status, native.status) == (402, 402)
    assert openai.error["code"] == native.json["code"] == "insufficient_credits"
    assert (openai.error["required"], openai.error["available"]) == (200, 150)
    assert native.json["error"] == "Insufficient credits"
    assert (native.json["required"], native.json["available"]) == (200, 150)


def test_a_wallet_pays_until_it_falls_under_the_minimum_and_never_below_zero(server: Server) -> None:
    holder = open_account(server, "230")
    answers = spend(server, holder.secret)
    assert [answer.status for answer in answers] == [200, 200, 402]
    for answer in answers:
        settled(server, answer.request_id)
    (row,) = query(server.database_url, "SELECT * FROM wallets WHERE id = %(id)s", id=holder.account_id)
    assert row["balance"] == 230 * MICRO - 2 * COST_OF_COSTLY


def test_a_poor_wallets_limit_holds_against_many_requests_at_once(server: Server) -> None:
    holder = open_account(server, "260")
    answers = at_once(server, holder.secret, "costly", count=24)
    assert {answer.status for answer in answers} <= {200, 402}
    charged = sum(row["credits"] for row in all_settled(server, [answer.request_id for answer in answers]))
    (row,) = query(server.database_url, "SELECT * FROM wallets WHERE id = %(id)s", id=holder.account_id)
    assert row["balance"] == 260 * MICRO - charged >= 0
    assert any(answer.status == 200 for answer in answers)


def at_once(server: Server, key: str, model: str, *, count: int) -> list[Answer]:
    """Requests of `count` clients at the same time."""
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(chat_with(server, key, model, max_tokens=COSTLY_OUTPUT_TOKENS)))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers


def test_credits_granted_are_spendable_at_once(server: Server) -> None:
    holder = open_account(server, "199")
    assert chat_with(server, holder.secret).status == 402
    grant_credits(server, holder.account_id, "100")
    wait_for(lambda: chat_with(server, holder.secret).status == 200, "the new credits", timeout_s=2.0)


def test_every_answer_says_how_much_of_the_window_is_left(server: Server) -> None:
    holder = open_account(server, "1000", account={"requests_per_hour": 5})
    with server.client.with_key(holder.secret) as client:
        answers = [client.chat("ok", stream=bool(number % 2)) for number in range(5)]
    assert [answer.headers["x-ratelimit-limit"] for answer in answers] == ["5"] * 5
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["4", "3", "2", "1", "0"]
    assert all(time.time() <= int(answer.headers["x-ratelimit-reset"]) <= time.time() + 3700 for answer in answers)


@pytest.mark.parametrize("limited", ["account", "key"])
def test_a_full_window_is_a_429_that_says_when_to_return(server: Server, limited: str) -> None:
    limits: Any = {limited: {"requests_per_minute": 3}}
    holder = open_account(server, "1000", **limits)
    with server.client.with_key(holder.secret) as client:
        answers = [client.chat("ok") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    refused = answers[-1]
    assert refused.error["type"] == "rate_limit_error"
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert refused.headers["x-ratelimit-remaining"] == "0"


def test_a_window_of_tokens_counts_what_was_used(server: Server) -> None:
    holder = open_account(server, "1000", key={"tokens_per_minute": 400})
    with server.client.with_key(holder.secret) as client:
        first = [client.chat("ok", max_tokens=50).status for _ in range(2)]
        later = client.chat("ok", max_tokens=300)
    assert first == [200, 200]
    assert later.status == 429


def test_a_request_that_no_window_can_hold_is_not_to_be_sent_again(server: Server) -> None:
    holder = open_account(server, "1000", key={"tokens_per_minute": 100})
    refused = chat_with(server, holder.secret, max_tokens=300)
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers


def test_concurrency_is_limited_and_given_back(server: Server, upstream: FaultyUpstream) -> None:
    holder = open_account(server, "1000", key={"concurrency": 1})
    marker = f"alone {holder.key_id}"
    with server.client.with_key(holder.secret) as client:
        body = chat_body("paced", stream=True, content=marker)
        with client.open("POST", "/v1/chat/completions", body=body) as response:
            upstream.seen(marker)
            assert chat_with(server, holder.secret).status == 429
            response.read()
        assert chat_with(server, holder.secret).text == TEXT
        with client.open("POST", "/v1/chat/completions", body=body) as response:
            next(response.iter_raw())
    wait_for(lambda: chat_with(server, holder.secret).status == 200, "the freed place after a client left")


def test_one_account_never_sees_anothers_keys(server: Server) -> None:
    made = create_key(server)
    with server.client.with_key(open_account(server, "1000").secret) as stranger:
        assert made["id"] not in stranger.get("/api/api-keys").body.decode()
        for method in ("GET", "PATCH", "DELETE"):
            body = {"name": "mine now"} if method == "PATCH" else None
            assert stranger.request(method, f"/api/api-keys/{made['id']}", body=body).status == 404
    assert chat_with(server, made["key"]).status == 200


def test_the_usage_log_the_answer_and_the_ledger_agree_over_http(server: Server) -> None:
    holder = open_account(server, "1000")
    with server.client.with_key(holder.secret) as client:
        ids = [client.chat("ok", stream=bool(number % 2)).request_id for number in range(4)]
        total = sum(row["credits"] for row in all_settled(server, ids))
        logged = client.get("/api/api-usage?days=1").json["logs"]
        ledger = client.get("/api/credits/ledger").json
        balance = client.get("/api/credits").json["balance"]
    assert {entry["requestId"] for entry in logged} == set(ids)
    assert round(sum(entry["creditsUsed"] for entry in logged) * MICRO) == total
    assert len(ledger["entries"]) == 5
    assert round(balance * MICRO) == 1000 * MICRO - total
