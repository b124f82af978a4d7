"""The examples in the guides for SDKs, run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.programs import Bench
from tests.support.node import CLIENTS

GUIDES = Path(__file__).parents[2] / "docs" / "clients"
ADDRESS = "http://127.0.0.1:8080"
BLOCK = re.compile(r"^```(python|js)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(match[1], match[2], id=f"{guide.stem}-{match[1]}")
    for guide in sorted(GUIDES.glob("*.md"))
    for match in BLOCK.finditer(guide.read_text())
]


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(("language", "code"), EXAMPLES)
def test_an_example_runs_as_it_is_printed(bench: Bench, language: str, code: str) -> None:
    assert ADDRESS in code
    code = code.replace(ADDRESS, bench.url)
    variables = {"HYPEREAL_API_KEY": bench.key}
    if language == "js":
        printed = CLIENTS.run(["--input-type=module", "-e", code], variables)
    else:
        environment = {**os.environ, **variables}
        command = [sys.executable, "-c", code]
        printed = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout
    assert printed.strip()


def test_every_guide_is_in_the_index_and_names_the_address() -> None:
    index = (GUIDES / "README.md").read_text()
    for guide in GUIDES.glob("[a-z]*.md"):
        assert f"({guide.name})" in index
        if guide.name != "cursor.md":  # its servers, not the user's machine, send the requests
            assert ADDRESS in guide.read_text()
