"""The results in words: the ratios for the terminal, and docs/benchmarks.md with its charts."""

from __future__ import annotations

from collections.abc import Callable

from bench import place
from bench.chart import bars
from bench.requests import Shape
from bench.results import Results, Sample, middle, ratio

DOCUMENT = place.ROOT / "docs" / "benchmarks.md"
CHART = place.ROOT / "docs" / "benchmarks.svg"
_BASES = ("nginx", "portkey", "litellm")
_LOADS = {
    Shape.JSON: "JSON answers, 1.2 KB in, 1.2 KB out",
    Shape.SSE: "Streams of 53 events sent at once, 16 KB out",
    Shape.MESSAGES: "The same streams, asked for and answered as Anthropic's Messages",
    Shape.RESPONSES: "The same streams, asked for and answered as OpenAI's Responses",
    Shape.GEMINI: "The same streams, asked for and answered in Gemini's format",
    Shape.BIG: "JSON answers to bodies of 200 KB",
    Shape.PACED: "Paced streams",
}

_PREFACE = place.ROOT / "bench" / "preface.md"
"""What was measured and how; the facts of the run are filled in."""

_COLUMNS: tuple[tuple[str, Callable[[Sample], float], str], ...] = (
    ("req/s", lambda one: one.rate, ",.0f"),
    ("p50 ms", lambda one: one.p50_ms, ".2f"),
    ("p99 ms", lambda one: one.p99_ms, ".2f"),
    ("CPU µs", lambda one: one.cpu_us, ",.1f"),
    ("side µs", lambda one: one.side_us, ",.1f"),
    ("catch-up s", lambda one: one.catch_up_s, ".1f"),
    ("core", lambda one: one.core_share, ".2f"),
    ("others", lambda one: one.foreign_cores, ".2f"),
    ("errors", lambda one: one.errors, ".0f"),
)


def _factor(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _load_table(results: Results, shape: Shape, connections: int) -> str:
    bases = [base for base in _BASES if results.of(base, shape, connections)]
    rows = []
    for name, title in results.titles.items():
        samples = results.of(name, shape, connections)
        if samples:
            cells = [format(middle(samples, value), form) for _, value, form in _COLUMNS]
            against = [results.of(base, shape, connections) for base in bases]
            factors = [ratio(samples, base, _rate) for base in against]
            factors += [ratio(samples, base, _thrift) for base in against]
            rows.append([title, cells[0], *map(_factor, factors), *cells[1:]])
            if shape.is_translated and (same := results.of(name, Shape.SSE, connections)):
                rows[-1][0] += f" ({_factor(ratio(samples, same, _rate))} of untranslated)"
    versus = [*(f"vs {base}" for base in bases), *(f"CPU vs {base}" for base in bases)]
    head = ["", _COLUMNS[0][0], *versus, *(name for name, _, _ in _COLUMNS[1:])]
    return _table(head, rows)


def _rate(sample: Sample) -> float:
    return sample.rate


def _thrift(sample: Sample) -> float:
    """Requests for a second of CPU: what the rate would be if the core were always busy with it."""
    return 1e6 / sample.cpu_us if sample.cpu_us else 0.0


def _paced_section(results: Results) -> str:
    head = [
        "",
        "complete",
        "not",
        "gap p50 ms",
        "gap p99 ms",
        "gap max ms",
        "first p50 ms",
        "first p99 ms",
        "core",
        "others",
    ]
    rows = [
        [
            results.titles[one.contender],
            f"{one.streams:,}",
            f"{one.failed:,}",
            *(f"{value:.1f}" for value in (one.gap_p50, one.gap_p99, one.gap_max, one.first_p50, one.first_p99)),
            f"{one.core_share:.2f}",
            f"{one.foreign_cores:.2f}",
        ]
        for one in results.paced
    ]
    count = results.paced[0].connections
    text = f"## {count:,} streams at once, 20 events a second each, one process\n\n"
    text += (
        "*Gap* is the time between events as a reader sees it (50 ms at the upstream), *first* that to the first.\n\n"
    )
    return text + _table(head, rows)


def _memory_section(results: Results) -> str:
    rows = [
        [results.titles[one.contender], f"{one.requests:,}", f"{one.resident:.1f}", f"{one.private:.1f}"]
        for one in results.memory
    ]
    text = "## Memory of the serving process\n\n*Private* leaves out mapped files (code, the journal).\n\n"
    return text + _table(["", "after requests", "resident MiB", "private MiB"], rows)


def ratios(results: Results) -> str:
    """What matters on a terminal: requests per second against the yardsticks, by load."""
    lines = []
    for shape, connections in results.loads():
        lines.append(f"{_LOADS[shape]}, {connections} connections")
        lines.append(_load_table(results, shape, connections))
    return "\n".join(lines)


def document(results: Results) -> str:
    """The text of docs/benchmarks.md."""
    machine = results.machine
    parts = [
        _PREFACE.read_text().format(
            rounds=results.rounds,
            seconds=results.seconds,
            date=results.started[:10],
            cpu=machine.cpu,
            cores=machine.cores,
            kernel=machine.kernel,
            python=machine.python,
        )
    ]
    versions = [f"{results.titles[name]} {version}" for name, version in results.versions.items() if version]
    parts.append(f"**Versions.** {'; '.join(versions)}.\n")
    if results.left_out:
        parts.append("**Left out.** " + "; ".join(results.left_out) + ".\n")
    parts.append("![Requests per second on one core, 64 connections](benchmarks.svg)\n")
    for shape, connections in results.loads():
        plural = "s" if connections > 1 else ""
        parts.append(f"## {_LOADS[shape]}; {connections} connection{plural}\n")
        parts.append(_load_table(results, shape, connections))
    if results.paced:
        parts.append(_paced_section(results))
    if results.memory:
        parts.append(_memory_section(results))
    if results.books:
        verdicts = [f"- {results.titles[name]}: {verdict}" for name, verdict in results.books.items()]
        parts.append("## Books after the run\n\nEvery request above was charged; the ledger was then recomputed.\n")
        parts.append("\n".join(verdicts) + "\n")
    return "\n".join(parts)


def chart(results: Results) -> str:
    """The picture: requests per second at 64 connections, JSON and streams."""
    rows = []
    for name, title in results.titles.items():
        group = [middle(results.of(name, shape, 64), _rate) for shape in (Shape.JSON, Shape.SSE)]
        rows.append((title, group))
    return bars("Requests per second on one core, 64 connections", rows, series=("JSON", "stream"))


def write(results: Results) -> None:
    """Replace docs/benchmarks.md and its chart."""
    DOCUMENT.write_text(document(results))
    CHART.write_text(chart(results))
