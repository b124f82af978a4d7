"""The examples in the documents, pasted and run: a reader's first minutes must not fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import node
from tests.support.server import Server

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/first-requests.md")
ADDRESS = "http://127.0.0.1:8080"
BLOCK = re.compile(r"^```(bash|python|js)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One fenced block that talks to a server."""

    document: str
    line: int
    language: str
    code: str


def examples() -> list[Example]:
    found = []
    for document in DOCUMENTS:
        text = (ROOT / document).read_text()
        found += [
            Example(document=document, line=text.count("\n", 0, match.start()) + 1, language=match[1], code=match[2])
            for match in BLOCK.finditer(text)
            if ADDRESS in match[2]
        ]
    return found


def name(example: Example) -> str:
    return f"{example.document}:{example.line}-{example.language}"


def run(example: Example, server: Server) -> str:
    """What the example prints when it talks to `server`."""
    code = example.code.replace(ADDRESS, server.client.base_url)
    variables = {"HYPEREAL_API_KEY": server.client.key or ""}
    if example.language == "js":
        node.SDK.install()
        return node.SDK.run(["--input-type=module", "-e", code], variables)
    command = [sys.executable, "-c", code] if example.language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_shows_every_language(document: str) -> None:
    assert {example.language for example in examples() if example.document == document} == {"bash", "python", "js"}


@pytest.mark.parametrize("example", examples(), ids=name)
def test_an_example_runs_as_it_is_printed(sandboxed: Server, example: Example) -> None:
    printed = run(example, sandboxed)
    assert printed.strip()
    assert '"error"' not in printed
