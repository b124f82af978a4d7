"""Proof of the books: everything that is stored as a sum, computed again from what it is the sum of.

Reads one snapshot, so it may run beside a working server. The request log belongs to `usage`; its table is read here
by name only, to compare it with the ledger (credits.md, invariant 5).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_PERIOD = "coalesce(detail->>'period', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM'))"
_COLUMNS = "wallet_id, key_id, period, amount"
_SET_ASIDE = f"(SELECT {_COLUMNS} FROM leases UNION ALL SELECT {_COLUMNS} FROM holds)"  # noqa: S608

CHECKS: tuple[tuple[str, str], ...] = (
    (
        "balance is the sum of the ledger's entries",
        """
        SELECT coalesce(w.id, e.wallet_id), coalesce(e.total, 0), coalesce(w.balance, 0)
        FROM wallets w FULL JOIN (SELECT wallet_id, sum(amount) AS total FROM ledger_entries GROUP BY 1) e
        ON e.wallet_id = w.id WHERE coalesce(w.balance, 0) <> coalesce(e.total, 0)""",
    ),
    (
        "held is the sum of open holds and leases",
        f"""
        SELECT coalesce(w.id, s.wallet_id), coalesce(s.total, 0), coalesce(w.held, 0)
        FROM wallets w FULL JOIN (SELECT wallet_id, sum(amount) AS total FROM {_SET_ASIDE} x GROUP BY 1) s
        ON s.wallet_id = w.id WHERE coalesce(w.held, 0) <> coalesce(s.total, 0)""",  # noqa: S608
    ),
    ("available is not negative", "SELECT id, 0, balance - held FROM wallets WHERE balance < held"),
    (
        "a key's spend is the sum of its charges of the month",
        f"""
        SELECT coalesce(k.key_id, e.key_id) || ' ' || coalesce(k.period, e.period), coalesce(e.total, 0),
               coalesce(k.spent, 0)
        FROM key_spend k FULL JOIN (
            SELECT key_id, {_PERIOD} AS period, -sum(amount) AS total FROM ledger_entries
            WHERE kind = 'charge' AND key_id IS NOT NULL GROUP BY 1, 2) e
        ON e.key_id = k.key_id AND e.period = k.period WHERE coalesce(k.spent, 0) <> coalesce(e.total, 0)""",  # noqa: S608
    ),
    (
        "what a key has reserved is the sum of its open holds and leases",
        f"""
        SELECT coalesce(k.key_id, s.key_id) || ' ' || coalesce(k.period, s.period), coalesce(s.total, 0),
               coalesce(k.reserved, 0)
        FROM key_spend k FULL JOIN (
            SELECT key_id, period, sum(amount) AS total FROM {_SET_ASIDE} x WHERE period IS NOT NULL GROUP BY 1, 2) s
        ON s.key_id = k.key_id AND s.period = k.period WHERE coalesce(k.reserved, 0) <> coalesce(s.total, 0)""",  # noqa: S608
    ),
    (
        "the request log and the ledger charge the same",
        """
        SELECT coalesce(u.reference, e.reference), coalesce(u.credits, 0), coalesce(e.charged, 0)
        FROM (SELECT 'charge:' || request_id AS reference, credits FROM usage_records WHERE credits <> 0) u
        FULL JOIN (
            SELECT reference, -amount AS charged FROM ledger_entries
            WHERE kind = 'charge' AND created_at >= (SELECT min(created_at) FROM usage_records)) e
        ON e.reference = u.reference WHERE coalesce(u.credits, 0) <> coalesce(e.charged, 0)""",
    ),
    (
        "references are unique",
        "SELECT reference, 1, count(*) FROM ledger_entries GROUP BY reference HAVING count(*) > 1",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where the books disagree: the rule, what it is about, and the amounts in micro-credits."""

    rule: str
    subject: str
    expected: int
    found: int

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: expected {self.expected}, found {self.found}"


async def verify(engine: AsyncEngine) -> list[Difference]:
    """Check every rule and return the differences, none when the books are right.

    Charges older than the request log's oldest row have passed its retention and are not looked for there.
    """
    differences: list[Difference] = []
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        for rule, statement in CHECKS:
            rows = await connection.execute(text(statement))
            differences += [
                Difference(rule=rule, subject=subject, expected=int(expected), found=int(found))
                for subject, expected, found in rows
            ]
    return differences
