"""A changed file is taken up whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypereal.catalog.files import Rows, read_rows
from hypereal.catalog.load import CatalogueError
from hypereal.catalog.reload import CatalogueSource
from tests.catalog.rows import MODEL, UPSTREAM, around


def test_a_good_file_is_taken_up_and_a_bad_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "hypereal.toml"
    path.write_text(UPSTREAM + MODEL)
    source = CatalogueSource(path, around())
    first = source.current
    assert first.resolve("m") is not None

    path.write_text(UPSTREAM + MODEL + "oops = 1\n")
    assert source.reload() == ["model 'm': unknown field 'oops'"]
    assert source.current is first

    path.write_text(UPSTREAM + MODEL.replace('"m"', '"n"'))
    assert source.reload() == []
    assert source.current.resolve("m") is None
    assert source.current.resolve("n") is not None
    assert source.current.revision != first.revision
    assert first.resolve("m") is not None


def test_new_surroundings_are_kept_only_when_they_work(tmp_path: Path) -> None:
    path = tmp_path / "hypereal.toml"
    path.write_text(UPSTREAM + 'key_env = "UP_KEY"\n' + MODEL)
    source = CatalogueSource(path, around())
    assert source.current.dormant["up"] == "UP_KEY is not set"
    assert source.reload(around({"UP_KEY": "\x01"})) == [
        "upstream 'up': UP_KEY holds characters that no header can carry"
    ]
    assert source.reload() == []
    assert source.reload(around({"UP_KEY": "key"})) == []
    assert "up" not in source.current.dormant
    assert source.reload() == []
    assert "up" not in source.current.dormant


def test_a_file_has_changed_until_it_was_read_for_good_or_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hypereal.toml"
    path.write_text(UPSTREAM + MODEL)

    def read_and_be_overtaken(paths: list[Path]) -> Rows:
        found = read_rows(paths)
        path.write_text("oops = 1\n")
        return found

    with monkeypatch.context() as patch:
        patch.setattr("hypereal.catalog.reload.read_rows", read_and_be_overtaken)
        source = CatalogueSource(path, around())
    assert source.has_changed
    assert source.reload() != []
    assert not source.has_changed
    path.unlink()
    assert source.has_changed


def test_a_source_without_a_file_is_the_shipped_catalogue() -> None:
    source = CatalogueSource(None, around())
    assert source.around == around()
    assert source.current.resolve("gpt-5") is not None
    assert source.reload() == []
    assert not source.has_changed


def test_a_source_cannot_begin_with_a_bad_file(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read"):
        CatalogueSource(tmp_path / "gone.toml", around())
