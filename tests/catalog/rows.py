"""Rows and surroundings for tests of the catalogue: an operator's file as text, assembled over chosen shipped rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypereal.catalog.files import Rows, read_rows
from hypereal.catalog.load import CatalogueError, Surroundings, assemble
from hypereal.catalog.resolve import Catalogue

ADAPTERS = frozenset({"anthropic", "azure", "bedrock", "google", "openai", "vertex"})
SANDBOX_URL = "http://127.0.0.1:9100"

UPSTREAM = """
[[upstreams]]
id = "up"
base_url = "https://up.example.com/v1"
kinds = ["chat", "completion", "embedding"]
"""
MODEL = """
[[models]]
id = "m"
price = { input = "1", output = "2" }
targets = ["up:m-there"]
context_tokens = 1000
max_output_tokens = 500
"""


def rows_of(text: str, directory: Path) -> Rows:
    """The rows of a file with this text."""
    path = directory / "rows.toml"
    path.write_text(text, encoding="utf-8")
    return read_rows([path])


def around(environment: Mapping[str, str] | None = None, **fields: Any) -> Surroundings:
    return Surroundings(adapters=ADAPTERS, environment=environment or {}, **fields)


def catalogue_of(text: str, directory: Path, **fields: Any) -> Catalogue:
    """The catalogue of an operator's rows alone."""
    return assemble(Rows(), rows_of(text, directory), around(**fields))


def faults_of(text: str, directory: Path, **fields: Any) -> list[str]:
    """What is wrong with an operator's rows; empty when nothing is."""
    try:
        catalogue_of(text, directory, **fields)
    except CatalogueError as problem:
        return problem.faults
    return []
