"""From samples to medians, ratios, tables and the chart."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import msgspec
import pytest
from bench.__main__ import main
from bench.chart import bars
from bench.report import chart, document, ratios
from bench.requests import Shape
from bench.results import Machine, MemoryPoint, PacedSample, Results, Sample, middle, ratio

SAMPLE = Sample(
    contender="nginx",
    shape=Shape.JSON,
    connections=64,
    round=0,
    requests=100,
    rate=1000.0,
    p50_ms=1.0,
    p99_ms=2.0,
    errors=0,
    cpu_us=20.0,
    side_us=0.0,
    catch_up_s=0.0,
    core_share=1.0,
    foreign_cores=0.0,
)


def _results() -> Results:
    samples = [
        replace(SAMPLE, contender=name, shape=shape, round=number, rate=rate * (number + 1), cpu_us=cpu)
        for number in range(3)
        for shape in (Shape.JSON, Shape.SSE)
        for name, rate, cpu in (("nginx", 1000.0, 20.0), ("gateway", 500.0, 30.0), ("litellm", 2.0, 9000.0))
    ]
    paced = PacedSample(
        contender="gateway",
        connections=1000,
        streams=999,
        failed=1,
        seconds=5.0,
        gap_p50=50.0,
        gap_p99=51.2,
        gap_max=60.0,
        first_p50=1.5,
        first_p99=9.0,
        core_share=0.5,
        foreign_cores=0.0,
    )
    return Results(
        machine=Machine(cpu="A CPU", cores=2, kernel="6.1", python="3.11.7"),
        started="2026-01-02T03:04:05+00:00",
        seconds=4,
        rounds=3,
        titles={"nginx": "nginx proxy_pass", "gateway": "Hypereal", "litellm": "LiteLLM proxy"},
        versions={"nginx": "1.22.1", "gateway": ""},
        samples=samples,
        paced=[paced],
        memory=[MemoryPoint(contender="gateway", requests=500_000, resident=70.5, private=55.25)],
        left_out=["portkey is not installed"],
        books={"gateway": "right: every balance agrees"},
    )


def test_the_middle_is_the_median_over_rounds() -> None:
    assert middle(_results().of("nginx", Shape.JSON, 64), lambda one: one.rate) == 2000.0
    assert middle([], lambda one: one.rate) == 0.0


def test_a_ratio_compares_within_rounds() -> None:
    slow = [replace(SAMPLE, round=number, rate=rate) for number, rate in ((0, 1.0), (1, 100.0), (2, 9.0))]
    fast = [replace(SAMPLE, round=number, rate=rate) for number, rate in ((0, 2.0), (1, 200.0))]
    assert ratio(slow, fast, lambda one: one.rate) == 0.5
    assert ratio(slow, [], lambda one: one.rate) is None


def test_the_tables_compare_rates_and_cpu_with_each_yardstick_that_ran() -> None:
    row = next(line for line in ratios(_results()).splitlines() if line.startswith("| Hypereal"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:6] == ["Hypereal", "1,000", "0.50", "250", "0.67", "300"]
    assert "portkey" not in ratios(_results())


def test_the_document_tells_machine_versions_streams_memory_and_who_is_left_out() -> None:
    text = document(_results())
    for told in ("A CPU", "3 rounds of 4 s", "nginx proxy_pass 1.22.1", "| Hypereal | 999 | 1 | 50.0 | 51.2 |"):
        assert told in text
    assert "| Hypereal | 500,000 | 70.5 | 55.2 |" in text
    assert "portkey is not installed" in text
    assert "- Hypereal: right: every balance agrees" in text
    assert "{" not in text


def test_the_chart_is_well_formed_and_longer_bars_are_larger_numbers() -> None:
    tree = ET.fromstring(chart(_results()))
    widths = [float(bar.attrib["width"]) for bar in tree.iter("{http://www.w3.org/2000/svg}rect") if "y" in bar.attrib]
    nginx, _, gateway, _, litellm, _ = widths[:6]
    assert nginx > gateway > litellm > 0


def test_a_chart_escapes_its_labels_and_leaves_out_what_was_not_measured() -> None:
    drawn = bars("a < b", [("x & y", [0.0, 10.0])], series=("one", "two"))
    assert "a &lt; b" in drawn
    assert "x &amp; y" in drawn
    assert drawn.count("<rect") == 4  # background, one bar, two keys of the legend


def test_results_survive_their_file() -> None:
    kept = msgspec.json.encode(_results())
    assert msgspec.json.decode(kept, type=Results) == _results()


def test_an_unknown_contender_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--only", "nginx,apache"])
    with pytest.raises(SystemExit, match="unknown: apache"):
        main()
