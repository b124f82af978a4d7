"""The catalogue of the end-to-end suite and the server that runs it: every lane that the tests provoke."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.bills import query
from tests.support.catalogue_file import BACKUP, DEADLINES, lane_rows, model_row, render, upstream_row
from tests.support.failure_contract import read_faults
from tests.support.faulty_upstream import DeadPort, FaultyUpstream, SilentPort
from tests.support.format_lanes import format_rows
from tests.support.server import Server, start_server
from tests.support.sound_lanes import sound_rows

UPSTREAM_SECRET = "sk-upstream-secret-of-the-tests"
BODY_LIMIT_BYTES = 4 * 1024 * 1024
VARIABLES = {
    "UPSTREAM_KEY": UPSTREAM_SECRET,
    "HYPEREAL_DEFAULT_CHAT_MODEL": "ok",
    "HYPEREAL_BODY_LIMIT_BYTES": str(BODY_LIMIT_BYTES),
    "HYPEREAL_BOOTSTRAP_CREDITS": "100000",
    "HYPEREAL_SHUTDOWN_GRACE_S": "5",
}
FORMS = ("stream", "whole")
UNREACHABLE = ("refused", "unreachable")
DRAIN_S = 0.2
"""Shorter than what remains of a paced stream when the tests leave it."""


def _fault_rows(
    upstream: FaultyUpstream, dead: DeadPort, silent: SilentPort
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    tag = secrets.token_hex(4)
    places = {"refused": dead, "unreachable": silent}
    for fault in read_faults():
        deadlines = DEADLINES if "504" in (fault.stream.client, fault.whole.client) else {}
        for form in FORMS:
            # A lane of its own for each form and chain: a breaker that one test opened must not answer for another.
            for chain in ("alone", "chained"):
                lane = f"{fault.id}~{form}-{chain}"
                # The tag: what a lane does once, it does once to each server.
                yield lane_rows(lane, places.get(fault.id, upstream).url(f"{lane}-{tag}"), **deadlines)


def _other_rows(upstream: FaultyUpstream) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lanes for everything but the fault matrix."""
    plain = ("ok", "paced", "lingering", "echo", "no_usage", "slow_first_byte", "tool_call", "large", "split", "flood")
    upstreams = [upstream_row(lane, upstream.url(lane)) for lane in plain]
    models = [model_row(lane, [f"{lane}:served-{lane}"]) for lane in plain]
    upstreams += [
        upstream_row(BACKUP, upstream.url("ok~backup")),
        upstream_row("signed", upstream.url("ok~signed"), key_env="UPSTREAM_KEY", headers={"x-extra": "yes"}),
        upstream_row("unsigned", upstream.url("ok~unsigned"), key_env="A_KEY_THAT_IS_NOT_SET"),
        upstream_row("picky", upstream.url("echo~picky"), drop=["seed", "stream_options"]),
        upstream_row("drain", upstream.url("paced~drain")),
        upstream_row("drain-briefly", upstream.url("paced~drain-briefly")),
    ]
    models += [
        model_row("signed", ["signed:served-signed"], aliases=["signed-by-another-name", "vendor/model:free"]),
        model_row("picky", ["picky:served-picky"]),
        model_row("same-name", ["echo:same-name"]),
        model_row("drain", ["drain:served-drain"], disconnect="drain", drain_s=20.0),
        model_row("drain-briefly", ["drain-briefly:served-drain"], disconnect="drain", drain_s=DRAIN_S),
        model_row("based", ["ok:served-ok"], price={"input": "1", "output": "2", "base": "2"}),
        model_row("costly", ["ok:served-ok"], price={"input": "1000", "output": "1000"}),
        model_row("embedder", ["ok:served-ok"], kinds=["embedding"]),
        model_row("messages-only", ["ok:served-ok"], dialects=["anthropic"]),
        model_row("nowhere", ["unsigned:served-nowhere"]),
    ]
    return upstreams, models


def catalogue(upstream: FaultyUpstream, dead: DeadPort, silent: SilentPort) -> str:
    """The whole `hypereal.toml`."""
    upstreams, models = _other_rows(upstream)
    for rows in (format_rows(upstream), sound_rows(upstream)):
        upstreams += rows[0]
        models += rows[1]
    for row, lane_models in _fault_rows(upstream, dead, silent):
        upstreams.append(row)
        models.extend(lane_models)
    return render(upstreams, models)


@contextmanager
def running_gateway(directory: Path, database_url: str, upstream: FaultyUpstream, *arguments: str) -> Iterator[Server]:
    """A server over the whole catalogue; stopped at the end, when the books must be in order and nothing left held."""
    with DeadPort() as dead, SilentPort() as silent:
        server = start_server(
            directory,
            database_url,
            catalogue=catalogue(upstream, dead, silent),
            arguments=arguments,
            variables=VARIABLES,
        )
        yield server
        server.stop()
        for wallet in query(database_url, "SELECT * FROM wallets"):
            assert wallet["held"] == 0, wallet
        verify_books(server)


def verify_books(server: Server) -> None:
    """`hypereal ledger verify` finds nothing wrong."""
    command = [sys.executable, "-m", "hypereal", "ledger", "verify"]
    done = subprocess.run(
        command, env=dict(server.environment), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
