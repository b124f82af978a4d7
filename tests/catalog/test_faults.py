"""Every fault of a catalogue file is found, named, and reported together with all the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypereal.catalog.files import Rows
from hypereal.catalog.load import CatalogueError, assemble, check
from tests.catalog.rows import MODEL, UPSTREAM, around, faults_of, rows_of

SOUND = UPSTREAM + MODEL


def test_sound_rows_have_no_faults(tmp_path: Path) -> None:
    assert faults_of(SOUND, tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('price = { input = "1", output = "2" }\n', "", "model 'm': 'price' is missing"),
        ('input = "1", ', "", "model 'm': 'price.input' is missing"),
        ('input = "1"', "input = 1", "model 'm': price.input: Input should be a valid string"),
        ('input = "1"', 'input = "-1"', "model 'm': price.input: a price cannot be negative"),
        ('input = "1"', 'input = "1,5"', "model 'm': price.input: '1,5' is not a decimal number"),
        ('input = "1"', 'input = "NaN"', "model 'm': price.input: 'NaN' is not a finite number"),
        (
            'input = "1"',
            'input = "0.000000001"',
            "model 'm': price.input: '0.000000001' is finer than one micro-credit",
        ),
        ('input = "1"', 'input = "1", base = "-2"', "model 'm': price.base: a price cannot be negative"),
        ('input = "1"', 'input = "1", inptu = "1"', "model 'm': unknown field 'price.inptu'"),
        ("context_tokens", "contxt_tokens", "model 'm': unknown field 'contxt_tokens'"),
        ("context_tokens = 1000", "context_tokens = 0", "model 'm': context_tokens: Input should be greater than 0"),
        (
            "context_tokens = 1000",
            "context_tokens = true",
            "model 'm': context_tokens: Input should be a valid integer",
        ),
        ("max_output_tokens = 500", "max_output_tokens = 2000", "max_output_tokens is larger than context_tokens"),
        (
            "max_output_tokens = 500",
            "max_output_tokens = 5\ndefault_output_tokens = 6",
            "default_output_tokens is larger",
        ),
        ('["up:m-there"]', "[]", "model 'm': targets: List should have at least 1 item"),
        ('["up:m-there"]', '["up"]', "model 'm': targets.0: 'up' must read upstream:model"),
        ('["up:m-there"]', '["gone:x"]', "model 'm': target 'gone:x' names an unknown upstream"),
        ('id = "m"', 'id = "m"\nfallbacks = ["gone"]', "model 'm': unknown fallback 'gone'"),
        ('id = "m"', 'id = "m"\nfallbacks = ["m"]', "fallbacks run in a circle: m → m"),
        ('id = "m"', 'id = "m"\naliases = ["m"]', "alias 'm' is the id of a model"),
        ('id = "m"', 'id = "m"\naliases = ["a", "a"]', "alias 'a' is given 2 times"),
        ('id = "m"', 'id = "m"\naliases = [" a"]', "model 'm': aliases.0: must be a name without surrounding spaces"),
        ('id = "m"', 'id = "m"\nkinds = ["chta"]', "model 'm': kinds.0: Input should be 'chat', 'completion' or"),
        ('id = "m"', 'id = "m"\ndialects = ["openai"]', "model 'm': dialects.0: Input should be 'openai_chat'"),
        ('id = "m"', 'id = "m"\ndisconnect = "wait"', "model 'm': disconnect: Input should be 'cancel' or 'drain'"),
        ('id = "m"', 'id = "m"\ndrain_s = inf', "model 'm': drain_s: Input should be a finite number"),
        (
            'id = "up"',
            'id = "up"\nadapter = "opnai"',
            "upstream 'up': unknown adapter 'opnai' (there are: anthropic, azure, bedrock, google, openai, vertex)",
        ),
        ('id = "up"', 'id = "up"\nbase_urll = "x"', "upstream 'up': unknown field 'base_urll'"),
        ('"chat", "completion", "embedding"', '"embedding"', "target 'up:m-there': that upstream serves no chat"),
        ("https://up.example.com/v1", "up.example.com", "upstream 'up': base_url: must be an http:// or https:// URL"),
        ("https://up", "https://user:word@up", "upstream 'up': base_url: must not hold a user name or password"),
        ("com/v1", "com/v1?a=b", "upstream 'up': base_url: must not hold a query or a fragment"),
        ("com/v1", "com:0/v1", "upstream 'up': base_url: port 0 cannot be connected to"),
        ("com/v1", "com:99999/v1", "upstream 'up': base_url: Port out of range"),
        ("com/v1", "com/$", "upstream 'up': base_url: a dollar sign must introduce a variable"),
        ('id = "up"', 'id = "up"\nheaders = { Host = "x" }', "the header 'Host' is set by the server"),
        ('id = "up"', 'id = "up"\nheaders = { "a b" = "x" }', "upstream 'up': headers.a b"),
        ('id = "up"', 'id = "up"\nheaders = { a = "x\\ny" }', "upstream 'up': headers.a: must be printable ASCII"),
        ('id = "up"', 'id = "up"\nconnect_timeout_s = 0', "upstream 'up': connect_timeout_s: Input should be greater"),
        ("[[models]]", "[models]", "rows.toml: write each row of models under [[models]]"),
        ("[[models]]", "[[model]]", "rows.toml: unknown section [model]"),
        ('id = "m"', "", "rows.toml: row 1 of models has no id"),
        ('id = "up"', 'id = "up', "rows.toml: is not TOML: "),
    ],
)
def test_a_fault_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert SOUND.count(old) == 1 or old in ('id = "m"', 'id = "up"', "context_tokens")
    faults = faults_of(SOUND.replace(old, new, 1), tmp_path)
    assert any(fault in found for found in faults), faults


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    text = SOUND.replace('"1"', '"x"').replace("500", "-1").replace('"https', '"ftp') + MODEL + "[oops]\n"
    text += '[[intents]]\nid = "i"\nmodels = ["m", "gone"]\n[[intents]]\nid = "j"\nmodels = []\n'
    faults = faults_of(text, tmp_path)
    expected = ("price.input", "max_output_tokens", "base_url", "there twice", "[oops]", "'gone'", "intent 'j'")
    assert [part for part in expected if not any(part in fault for fault in faults)] == []


def test_a_circle_of_fallbacks_is_named_once_with_its_way(tmp_path: Path) -> None:
    links = {"a": ["b", "c"], "b": ["c"], "c": ["d"], "d": ["b"], "e": ["a"]}
    models = [MODEL.replace('"m"', f'"{name}"') + f"fallbacks = {after}\n" for name, after in links.items()]
    assert faults_of(UPSTREAM + "".join(models), tmp_path) == ["fallbacks run in a circle: b → c → d → b"]


def test_a_fallback_that_can_serve_nothing_asked_of_the_model_is_a_fault(tmp_path: Path) -> None:
    other = MODEL.replace('"m"', '"e"') + 'kinds = ["embedding"]\n'
    text = SOUND + 'fallbacks = ["e"]\n' + other
    assert faults_of(text, tmp_path) == ["model 'm': fallback 'e' is of another kind"]


def test_an_alias_of_two_models_is_a_fault(tmp_path: Path) -> None:
    text = SOUND + 'aliases = ["a"]\n' + MODEL.replace('"m"', '"n"') + 'aliases = ["a"]\n'
    assert faults_of(text, tmp_path) == ["alias 'a' is given 2 times"]


def test_a_key_that_no_header_can_carry_is_a_fault_that_does_not_show_it(tmp_path: Path) -> None:
    text = SOUND.replace('id = "up"', 'id = "up"\nkey_env = "UP_KEY"')
    faults = faults_of(text, tmp_path, environment={"UP_KEY": "sécret"})
    assert faults == ["upstream 'up': UP_KEY holds characters that no header can carry"]


def test_an_address_from_the_environment_is_checked(tmp_path: Path) -> None:
    text = SOUND.replace("https://up.example.com/v1", "${UP_URL}")
    assert faults_of(text, tmp_path, environment={"UP_URL": "nowhere"}) == [
        "upstream 'up': must be an http:// or https:// URL"
    ]


def test_a_file_that_is_not_there_or_not_text_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert check(tmp_path / "gone.toml", around()) == ["gone.toml: cannot be read: No such file or directory"]
    assert "binary.toml: is not TOML" in check(tmp_path / "binary.toml", around())[0]


def test_the_servers_own_section_is_left_to_it(tmp_path: Path) -> None:
    assert faults_of('[server]\nport = "any"\n' + SOUND, tmp_path) == []


def test_the_error_says_everything(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"unknown section \[a\]; .*unknown section \[b\]"):
        assemble(Rows(), rows_of("[a]\n[b]\n", tmp_path), around())
