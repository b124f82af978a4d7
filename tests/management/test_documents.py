"""The documents name what there is: every metric, every scope, every filter and column."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from hypereal.api.keys import KeyLimits
from hypereal.api.usage import PagedFilters, UsageLog
from hypereal.identity.scopes import SCOPES
from hypereal.usage.export import HEADER
from hypereal.usage.metrics import RequestMetrics, WorkerMetrics

DOCS = Path(__file__).parents[2] / "docs"


def first_cells(document: str) -> list[str]:
    """The code in the first cell of each row of the tables of a document."""
    rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", (DOCS / document).read_text(), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_every_metric_is_documented_and_no_other() -> None:
    registries = [CollectorRegistry(), CollectorRegistry()]
    RequestMetrics(registries[0])
    WorkerMetrics(registries[1])
    families = {(family.name, family.type) for registry in registries for family in registry.collect()}
    names = {f"{name}_total" if kind == "counter" else name for name, kind in families}
    assert {name for name in first_cells("metrics.md") if name.startswith("hypereal_")} == names


def test_every_scope_and_every_setting_of_a_key_is_documented() -> None:
    cells = set(first_cells("keys-and-limits.md"))
    assert cells >= {scope.value for scope in SCOPES}
    fields = {field.alias or name for name, field in KeyLimits.model_fields.items()}
    assert cells >= fields - {"orgId"}


def test_every_filter_of_the_log_is_documented() -> None:
    text = (DOCS / "usage.md").read_text()
    for name, field in PagedFilters.model_fields.items():
        assert f"`{field.alias or name}`" in text


def test_the_json_and_the_csv_have_the_same_fields_in_other_orders() -> None:
    assert {field.alias for field in UsageLog.model_fields.values()} == set(HEADER)
