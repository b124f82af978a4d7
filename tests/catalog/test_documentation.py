"""What the documentation and the example file show works as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hypereal.catalog.files import builtin_rows
from hypereal.catalog.load import assemble, check
from hypereal.catalog.rows import DiscoverRow, IntentRow, ModelRow, PriceRow, UpstreamRow, variables
from tests.catalog.rows import around, rows_of

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "hypereal.example.toml"
BLOCKS = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_the_document_makes_a_catalogue(tmp_path: Path, block: str) -> None:
    assert assemble(builtin_rows(), rows_of(block, tmp_path), around()).models


def test_the_example_file_is_sound_as_it_is_and_with_its_rows_in_use(tmp_path: Path) -> None:
    assert check(EXAMPLE, around()) == []
    used = re.sub(r"^#(?=\S)", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    catalogue = assemble(builtin_rows(), rows_of(used, tmp_path), around())
    llama = catalogue.resolve("llama")
    assert llama is not None
    assert [target.upstream.id for target in llama.targets] == ["gpu-box"]


@pytest.mark.parametrize("row", [UpstreamRow, ModelRow, PriceRow, IntentRow, DiscoverRow])
def test_every_field_is_documented(row: type[UpstreamRow | ModelRow | PriceRow | IntentRow | DiscoverRow]) -> None:
    assert [name for name in row.model_fields if not re.search(rf"\b{name}\b", DOCUMENT)] == []


def test_every_provider_is_documented_with_its_variables() -> None:
    for raw in builtin_rows().upstreams.values():
        row = UpstreamRow.model_validate(raw)
        line = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{row.id}` |"))
        names = {*variables(row.base_url), *([row.key_env] if row.key_env else [])} - {"HYPEREAL_SANDBOX_URL"}
        assert [name for name in names if name not in line] == []


def test_every_shipped_intent_is_documented() -> None:
    shipped = next(line for line in DOCUMENT.splitlines() if line.startswith("Shipped: "))
    assert re.findall(r"`([^`]+)`", shipped) == list(builtin_rows().intents)
