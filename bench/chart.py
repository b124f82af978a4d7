"""A bar chart as SVG text: horizontal bars on a logarithmic axis, which is the only way nginx and a slow gateway fit
on one page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

_ROW = 22
_LABEL_WIDTH = 190
_BAR_WIDTH = 420
_NUMBER_WIDTH = 90
_HEAD = 30
_COLOURS = ("#3b6fb5", "#e08a3c")


def bars(title: str, rows: Sequence[tuple[str, Sequence[float]]], *, series: Sequence[str]) -> str:
    """One group of bars for each row, one bar for each series; values must be positive to be drawn."""
    values = [value for _, group in rows for value in group if value > 0]
    low = floor(log10(min(values))) if values else 0
    high = max(ceil(log10(max(values))), low + 1) if values else 1
    height = _HEAD + sum(_ROW * len(group) + 8 for _, group in rows) + 30
    width = _LABEL_WIDTH + _BAR_WIDTH + _NUMBER_WIDTH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        "<style>text { font: 12px sans-serif } .title { font: bold 14px sans-serif }</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="19" class="title">{escape(title)}</text>',
        *_grid(low, high, height),
    ]
    top = _HEAD
    for label, group in rows:
        parts.append(f'<text x="8" y="{top + _ROW * len(group) / 2 + 4:g}">{escape(label)}</text>')
        for index, value in enumerate(group):
            parts += _bar(value, top + index * _ROW, low=low, high=high, colour=_COLOURS[index % len(_COLOURS)])
        top += _ROW * len(group) + 8
    parts += _legend(series, width)
    return "\n".join([*parts, "</svg>\n"])


def _grid(low: int, high: int, height: int) -> list[str]:
    lines = []
    for power in range(low, high + 1):
        x = _LABEL_WIDTH + _BAR_WIDTH * (power - low) / (high - low)
        lines.append(f'<line x1="{x:g}" x2="{x:g}" y1="{_HEAD - 4}" y2="{height - 24}" stroke="#ddd"/>')
        lines.append(f'<text x="{x:g}" y="{height - 8}" text-anchor="middle" fill="#666">{10.0**power:,g}</text>')
    return lines


def _bar(value: float, top: float, *, low: int, high: int, colour: str) -> list[str]:
    if value <= 0:
        return []
    length = max(1.0, _BAR_WIDTH * (log10(value) - low) / (high - low))
    return [
        f'<rect x="{_LABEL_WIDTH}" y="{top:g}" width="{length:.1f}" height="{_ROW - 4}" fill="{colour}"/>',
        f'<text x="{_LABEL_WIDTH + length + 5:.1f}" y="{top + 13:g}">{value:,.0f}</text>',
    ]


def _legend(series: Sequence[str], width: int) -> list[str]:
    parts = []
    for index, name in enumerate(series):
        x = width - 200 + 100 * index
        colour = _COLOURS[index % len(_COLOURS)]
        parts.append(f'<rect x="{x}" y="9" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17}" y="19">{escape(name)}</text>')
    return parts
