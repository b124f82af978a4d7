"""The commands that are not `serve`, as real processes on a real database."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import psycopg
import pytest

from tests.ops.commands import run

Command = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def command(directory: Path, database_url: str) -> Command:
    """Runs `hypereal …` on a database that has one account."""
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO accounts (id, kind, name) VALUES ('acct_1', 'user', 'First')")
        connection.execute("INSERT INTO wallets (id) VALUES ('acct_1')")
    return lambda *arguments: run(directory, *arguments, DATABASE_URL=database_url)


def test_the_version_is_printed(directory: Path) -> None:
    assert run(directory, "--version").stdout.startswith("hypereal 0.")


def test_the_internal_commands_are_not_offered(directory: Path) -> None:
    page = run(directory, "--help").stdout
    assert "serve" in page
    assert "writer" not in page


def test_a_key_is_made_listed_and_revoked(command: Command, database_url: str) -> None:
    made = command("key", "create", "--name", "ci", "--limit", "12.5", "--model", "gpt-5", "--json")
    assert made.returncode == 0, made.stderr
    described = json.loads(made.stdout)
    assert described["key"].startswith("ck_")
    assert (described["spendingLimit"], described["allowedModels"]) == ("12.5", ["gpt-5"])
    listed = command("key", "list", "--json")
    assert described["key"] not in listed.stdout
    assert [key["id"] for key in json.loads(listed.stdout)] == [described["id"]]
    assert described["preview"] in command("key", "list").stdout
    assert command("key", "revoke", described["id"]).returncode == 0
    assert json.loads(command("key", "list", "--json").stdout) == []
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("key", "create", "--scope", "everything"), "scope"),
        (("key", "create", "--limit", "much"), "'much' is not a decimal number"),
        (("key", "create", "--expires", "2001-01-01"), "expires"),
        (("key", "create", "--account", "acct_9"), "Account not found"),
        (("key", "revoke", "key_9"), "Key not found"),
        (("credits", "grant", "-5"), "o such option"),
        (("credits", "grant", "0"), "more than nothing"),
    ],
)
def test_a_mistake_is_one_sentence_and_an_exit_code(command: Command, arguments: tuple[str, ...], words: str) -> None:
    done = command(*arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_grant_of_one_reference_is_given_once(command: Command) -> None:
    assert command("credits", "grant", "1.25", "--reference", "welcome").stdout.startswith("granted 1.25 credits")
    assert "nothing granted" in command("credits", "grant", "1.25", "--reference", "welcome").stdout
    command("credits", "grant", "2", "--note", "thanks")
    balance = json.loads(command("credits", "balance", "--json").stdout)
    assert balance == {"account": "acct_1", "balance": "3.25", "held": "0", "available": "3.25"}
    assert command("ledger", "verify").returncode == 0


def test_a_wrong_balance_is_found(command: Command, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE wallets SET balance = 5")
    found = command("ledger", "verify")
    assert found.returncode == 1
    assert "acct_1" in found.stdout


def test_migrate_says_what_it_did_and_then_that_there_is_nothing_to_do(
    directory: Path, empty_database_url: str
) -> None:
    def migrate(*arguments: str) -> CompletedProcess[str]:
        return run(directory, "migrate", *arguments, DATABASE_URL=empty_database_url)

    assert migrate("--check").returncode == 1
    assert "3 applied" in migrate().stdout
    assert "0 applied" in migrate().stdout
    assert migrate("--check").returncode == 0


def test_a_command_starts_the_embedded_database_and_stops_it_again(directory: Path) -> None:
    done = run(directory, "migrate")
    assert "3 applied" in done.stdout, done.stderr
    assert "There is no account yet" in run(directory, "key", "list").stderr


def test_check_prints_every_fault(directory: Path) -> None:
    (directory / "bad.toml").write_text('[server]\nport = 0\nnonsense = 1\n[[models]]\nid = "priceless"\n')
    done = run(directory, "check", "bad.toml")
    assert done.returncode == 1
    for words in ("[server] port", "[server] nonsense", "priceless"):
        assert words in done.stderr
    assert run(directory, "check").returncode == 0
    assert run(directory, "check", "absent.toml").returncode == 1


def test_models_are_listed_with_prices_and_providers(directory: Path) -> None:
    listed = json.loads(run(directory, "models", "--json", OPENAI_API_KEY="sk-test").stdout)
    gpt = next(model for model in listed if model["id"] == "gpt-5")
    assert gpt["providers"] == ["openai"]
    assert float(gpt["outputUsdPer1M"]) > float(gpt["inputUsdPer1M"]) > 0
    assert "sandbox" in run(directory, "models").stdout


def test_doctor_finds_what_is_well_and_what_is_not(directory: Path, database_url: str) -> None:
    well = run(directory, "doctor", "--json", DATABASE_URL=database_url, OPENAI_API_KEY="sk-" + "secret" * 5)
    assert well.returncode == 0, well.stdout
    assert "secret" not in well.stdout
    found = {finding["subject"]: finding for finding in json.loads(well.stdout)}
    assert found["database"]["ok"] is True
    assert "up to date" in found["database"]["detail"]
    bad = run(directory, "doctor", DATABASE_URL="postgresql://user:verysecret@127.0.0.1:1/name")
    assert bad.returncode == 1
    assert "FAULT" in bad.stdout
    assert "verysecret" not in bad.stdout + bad.stderr


def test_doctor_tells_faults_of_the_settings(directory: Path) -> None:
    done = run(directory, "doctor", HYPEREAL_PORT="none")
    assert done.returncode == 1
    assert "HYPEREAL_PORT" in done.stdout


def test_doctor_looks_into_the_credentials_files_of_providers(directory: Path, database_url: str) -> None:
    google = {
        "GOOGLE_CLOUD_PROJECT": "acme",
        "GOOGLE_CLOUD_LOCATION": "global",
        "GOOGLE_APPLICATION_CREDENTIALS": str(directory / "key.json"),
        "DATABASE_URL": database_url,
    }
    bad = run(directory, "doctor", **google)
    assert bad.returncode == 1
    assert "key.json cannot be read: No such file" in bad.stdout
    (directory / "key.json").write_text(
        '{"type":"service_account","client_email":"x@acme.test","private_key":"verysecret"}'
    )
    well = run(directory, "doctor", **google)
    assert well.returncode == 0, well.stdout
    assert "vertex: GOOGLE_APPLICATION_CREDENTIALS, https://aiplatform.googleapis.com/v1/projects/acme" in well.stdout
    assert "verysecret" not in well.stdout


def test_a_command_without_its_parent_ends_by_itself(directory: Path, database_url: str) -> None:
    orphan = run(directory, "writer", DATABASE_URL=database_url, HYPEREAL_PARENT=str(os.getpid() + 1))
    assert orphan.returncode == -signal.SIGTERM, orphan.stderr
