"""docs/formats.md says what the conversions do."""

from __future__ import annotations

from pathlib import Path

from tests.wire.translate.matrix import page

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"


def test_the_page_is_what_the_conversions_do() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.wire.translate.matrix > docs/formats.md"


def test_no_conversion_fails_without_a_rule() -> None:
    assert "differs" not in page()
