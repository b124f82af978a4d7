"""The architecture page tells the story that the tree tells."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "hypereal"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", PAGE)
TABLES = set(re.findall(r'__tablename__ = "(\w+)"', "".join(path.read_text() for path in PACKAGE.rglob("tables.py"))))


def layer_rows() -> list[str]:
    """The packages of the table of layers, from top to bottom."""
    section = PAGE.partition("## Layers")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_every_package_and_module_is_named() -> None:
    there = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    there = {name for name in there if not name.startswith((".", "__pycache__", "__init__"))}
    assert {name for name in there if f"`{name}`" not in PAGE} == set()
    assert "`py.typed`" in PAGE


def test_the_layers_are_those_that_the_build_checks() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert layer_rows() == [name for layer in layers for name in layer.split(" | ")]


@pytest.mark.parametrize("path", sorted({name for name in CODE if re.fullmatch(r"[a-z]+/[\w/]*(\.py)?", name)}))
def test_a_file_that_is_named_exists(path: str) -> None:
    assert (PACKAGE / path).exists()


@pytest.mark.parametrize(
    "name",
    sorted(
        name for name in set(CODE) if re.fullmatch(r"[a-z_]+\.\w+", name) and (PACKAGE / name.split(".")[0]).is_dir()
    ),
)
def test_a_module_or_member_that_is_named_exists(name: str) -> None:
    package, _, member = name.partition(".")
    directory = PACKAGE / package
    is_module = (directory / f"{member}.py").exists()
    assert is_module or re.search(rf"\b{member}\b", (directory / "__init__.py").read_text())


def test_the_tables_that_are_named_exist() -> None:
    section = PAGE.partition("## How processes agree")[2].partition("\n## ")[0]
    column = [row.split("|")[3] for row in section.splitlines() if row.startswith("| ")][2:]
    named = set(re.findall(r"`(\w+)`", "".join(column)))
    assert named
    assert named <= TABLES


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((\w[\w-]*\.md)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
