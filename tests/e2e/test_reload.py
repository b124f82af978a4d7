"""`hypereal.toml` changed under a running server: a good change takes effect, a bad one changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.catalogue_file import model_row, render, upstream_row
from tests.support.databases import fresh_database
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.openai_format import TEXT
from tests.support.server import Server, start_server, wait_for

TAKES_EFFECT_WITHIN_S = 10.0


def file_with(upstream: FaultyUpstream, *models: str, price: str = "1") -> str:
    rows = [model_row(name, ["ok:served-ok"], price={"input": price, "output": price}) for name in models]
    return render([upstream_row("ok", upstream.url("ok"))], rows)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, database_server: str, migrated_template: str, upstream: FaultyUpstream
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("reload")
    with fresh_database(database_server, migrated_template) as database_url:
        running = start_server(
            directory, database_url, catalogue=file_with(upstream, "first"), arguments=("--workers", "2")
        )
        yield running
        running.stop()


def write(server: Server, text: str) -> None:
    Path(server.environment["HYPEREAL_CONFIG"]).write_text(text)


def statuses(server: Server, model: str) -> set[int]:
    """What several connections, and so both workers, say of a model."""
    found = set()
    for _ in range(8):
        with server.client.with_key(server.client.key) as client:
            found.add(client.chat(model).status)
    return found


def test_a_new_model_is_served_without_a_restart_by_every_worker(server: Server, upstream: FaultyUpstream) -> None:
    assert statuses(server, "second") == {400}
    workers = {worker.pid for worker in server.workers()}
    write(server, file_with(upstream, "first", "second"))
    wait_for(lambda: statuses(server, "second") == {200}, "the reload", timeout_s=TAKES_EFFECT_WITHIN_S)
    assert {worker.pid for worker in server.workers()} == workers


def test_a_new_price_is_charged(server: Server, upstream: FaultyUpstream) -> None:
    write(server, file_with(upstream, "first", price="10"))

    def is_charged() -> bool:
        return server.client.chat("first").headers["x-hypereal-credits"] == "0.16"

    wait_for(is_charged, "the new price", timeout_s=TAKES_EFFECT_WITHIN_S)


def test_a_faulty_file_is_refused_with_every_fault_and_the_old_one_stays(
    server: Server, upstream: FaultyUpstream
) -> None:
    write(server, file_with(upstream, "first", "kept"))
    wait_for(lambda: statuses(server, "kept") == {200}, "the reload", timeout_s=TAKES_EFFECT_WITHIN_S)
    bad = file_with(upstream, "first", price="cheap").replace('"tests"', '"tests"\ncolour = "green"')
    write(server, bad)
    wait_for(lambda: "colour" in server.log and "cheap" in server.log, "the complaint", timeout_s=TAKES_EFFECT_WITHIN_S)
    assert statuses(server, "kept") == {200}
    assert server.client.chat("first").text == TEXT
    write(server, file_with(upstream, "first", "repaired"))
    wait_for(lambda: statuses(server, "repaired") == {200}, "the repair", timeout_s=TAKES_EFFECT_WITHIN_S)
