"""No gateway: the mock upstream itself. It bounds what any row can reach."""

from __future__ import annotations

from bench import place
from bench.contenders.contender import Contender, fresh_directory


def direct() -> Contender:
    return Contender(
        name="direct",
        title="direct to the upstream",
        port=place.UPSTREAM_PORT,
        command=(str(place.BINARIES / "upstream"), str(place.UPSTREAM_PORT), str(place.PACED_INTERVAL_MS)),
        directory=fresh_directory("direct"),
        start_s=5,
        is_upstream=True,
    )
