"""Settings: where they come from, which wins, and that every fault is told at once, in the operator's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hypereal.settings import Settings, SettingsError, load_settings, variable_of

KEY = "ck_" + "a" * 40
TABLE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _faults(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment)
    return caught.value.faults


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = load_settings({})
    assert settings.home == tmp_path / ".hypereal"
    assert settings.database_url is None
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert settings.bootstrap_credits == 10_000 * 1_000_000
    assert settings.minimum_balance == 200 * 1_000_000
    assert settings.body_limit_bytes == 64 * 1024**2
    assert not settings.port_given


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "hypereal.toml").write_text('[server]\nport = 1111\nworkers = 2\nhost = "::1"\n')
    settings = load_settings({"HYPEREAL_PORT": "2222", "HYPEREAL_WORKERS": "3"}, workers=4, host=None)
    assert (settings.host, settings.port, settings.workers) == ("::1", 2222, 4)
    assert settings.port_given
    assert settings.config == tmp_path / "hypereal.toml"


def test_an_empty_variable_counts_as_unset() -> None:
    assert load_settings({"HYPEREAL_BOOTSTRAP_KEY": "", "HYPEREAL_PORT": ""}).bootstrap_key is None


def test_every_fault_is_told_at_once_and_names_its_variable(tmp_path: Path) -> None:
    (tmp_path / "hypereal.toml").write_text('[server]\nworkrs = 2\nlog_format = "xml"\n')
    faults = _faults(
        {
            "DATABASE_URL": "mysql://user:verysecret@host/name",
            "HYPEREAL_PORT": "99999",
            "HYPEREAL_BOOTSTRAP_KEY": "ck_tooshort",
            "HYPEREAL_MINIMUM_BALANCE": "0.0000001",
            "HYPEREAL_PUBLIC_URL": "ai.example.com",
            "HYPEREAL_METRICS_TOKEN": "short",
            "HYPEREAL_KEEP_ALIVE_S": "nan",
        }
    )
    named = {fault.split(":")[0] for fault in faults}
    assert {"DATABASE_URL", "HYPEREAL_PORT", "HYPEREAL_BOOTSTRAP_KEY", "HYPEREAL_MINIMUM_BALANCE"} < named
    assert {"HYPEREAL_PUBLIC_URL", "HYPEREAL_METRICS_TOKEN", "HYPEREAL_KEEP_ALIVE_S"} < named
    assert f"{tmp_path}/hypereal.toml: [server] workrs: there is no such setting" in faults
    assert any("[server] log_format" in fault for fault in faults)
    assert len(faults) == 9


def test_no_fault_repeats_a_secret() -> None:
    secrets = {
        "DATABASE_URL": "postgresql://user:verysecret@host:notaport/name",
        "HYPEREAL_BOOTSTRAP_KEY": "ck_verysecret",
        "HYPEREAL_METRICS_TOKEN": "secret",
    }
    faults = _faults(secrets)
    assert len(faults) == 3
    assert "secret" not in "\n".join(faults)


def test_no_secret_is_in_the_representation() -> None:
    environment = {"DATABASE_URL": "postgresql://u:hidden@h/n", "HYPEREAL_BOOTSTRAP_KEY": KEY}
    settings = load_settings(environment | {"HYPEREAL_METRICS_TOKEN": "hiddentoken"})
    assert "hidden" not in repr(settings)
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    "text", ["[server", "server = 1", '[server]\nconfig = "x"\n', "[server]\nbootstrap_credits = 0.5"]
)
def test_a_faulty_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    (fault,) = _faults({"HYPEREAL_CONFIG": "own.toml"})
    assert "own.toml" in fault


def test_a_missing_file_is_a_fault_only_when_it_was_asked_for() -> None:
    assert _faults({"HYPEREAL_CONFIG": "absent.toml"}) == ["HYPEREAL_CONFIG: there is no file absent.toml"]


def test_amounts_are_exact(tmp_path: Path) -> None:
    (tmp_path / "hypereal.toml").write_text('[server]\nbootstrap_credits = "0.000001"\nminimum_balance = 5\n')
    settings = load_settings({})
    assert (settings.bootstrap_credits, settings.minimum_balance) == (1, 5_000_000)


def test_a_child_reads_the_same_settings_except_for_what_only_the_first_start_needs() -> None:
    given = {
        "DATABASE_URL": "postgres://u:p@h/n",
        "HYPEREAL_BODY_LIMIT_BYTES": "4MiB",
        "HYPEREAL_BOOTSTRAP_KEY": KEY,
        "HYPEREAL_HOT_LANE": "false",
        "HYPEREAL_CONCURRENCY": "7",
        "HYPEREAL_MINIMUM_BALANCE": "0.5",
        "HYPEREAL_METRICS_TOKEN": "longenough",
    }
    settings = load_settings(given)
    child = load_settings(settings.environment())
    assert child == settings.model_copy(update={"bootstrap_key": None})
    assert KEY not in "".join(settings.environment().values())


def test_the_documentation_has_a_row_for_every_setting_with_its_default_and_meaning() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([a-z_]+)` \| (.*?) \| (.*) \|$", TABLE.read_text(), re.MULTILINE)
    documented = {name: (variable, default, meaning) for variable, name, default, meaning in rows}
    expected = {
        name: (variable_of(name), _default(name), field.description) for name, field in Settings.model_fields.items()
    }
    assert documented == expected


def _default(name: str) -> str:
    """The default as the table shows it: the text that one would set."""
    values = Settings.model_validate({}).environment() | {"HYPEREAL_BOOTSTRAP_CREDITS": "10000"}
    value = values.get(variable_of(name))
    return "" if value is None else f"`{value}`"
