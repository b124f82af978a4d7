"""What the database says about a request, and whether the answer, the log and the ledger agree (credits.md, 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy.engine import make_url

from tests.support.catalogue_file import MICRO_PER_TOKEN
from tests.support.http_client import Answer
from tests.support.server import Server, wait_for

MICRO_PER_CREDIT = 1_000_000
APPLIED_WITHIN_S = 10.0
Row = dict[str, Any]


def query(database_url: str, statement: str, **values: Any) -> list[Row]:
    """The rows of a statement, on a connection of its own."""
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        return connection.execute(statement.encode(), values).fetchall()


_BILLS = """
SELECT u.*, -COALESCE((SELECT SUM(amount)::bigint FROM ledger_entries WHERE reference = 'charge:' || u.request_id), 0)
       AS charged
FROM usage_records AS u WHERE u.request_id = ANY(%(ids)s)
"""


def all_settled(server: Server, request_ids: Sequence[str]) -> list[Row]:
    """The rows of these requests in the log, once the writer has applied all, in no order.

    Each is there once, and the ledger took what the log says (in however many entries).
    """

    def look() -> list[Row] | None:
        found = query(server.database_url, _BILLS, ids=list(request_ids))
        assert len(found) <= len(request_ids), found
        return found if len(found) == len(request_ids) else None

    rows = wait_for(look, f"the settlement of {request_ids}", timeout_s=APPLIED_WITHIN_S)
    wrong = [row for row in rows if row["charged"] != row["credits"]]
    assert not wrong, wrong
    return rows


def settled(server: Server, request_id: str) -> Row:
    """The request's row in the log, after checking that the ledger took the same amount."""
    (row,) = all_settled(server, [request_id])
    return row


def charged(server: Server, request_id: str) -> int:
    """Micro-credits that the ledger has taken for the request so far."""
    rows = query(
        server.database_url, "SELECT amount FROM ledger_entries WHERE reference = %(r)s", r=f"charge:{request_id}"
    )
    return -sum(int(row["amount"]) for row in rows)


def bill(server: Server, answer: Answer) -> Row:
    """The request's row in the log, after checking that answer, log and ledger name the same amount."""
    row = settled(server, answer.request_id)
    shown = answer.headers.get("x-hypereal-credits")
    if shown is not None:
        assert round(float(shown) * MICRO_PER_CREDIT) == row["credits"], (shown, row)
    if answer.status == 200 and answer.credits_used is not None:
        assert round(answer.credits_used * MICRO_PER_CREDIT) == row["credits"], (answer.credits_used, row)
    return row


def cost_of(row: Row) -> int:
    """What the tokens in a row of the log cost at the test models' rates, in micro-credits."""
    return sum(int(row[f"{kind}_tokens"]) * rate for kind, rate in MICRO_PER_TOKEN.items())


def wallet(server: Server, account_id: str | None = None) -> Row:
    """A wallet's balance and what is held of it; the only one there is unless `account_id` names one."""
    rows = query(server.database_url, "SELECT * FROM wallets")
    (row,) = [row for row in rows if account_id in (None, row["id"])]
    return row
