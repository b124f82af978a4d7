"""OpenAI's own JavaScript SDK: `js/suite.test.js`, run by the Node.js of the development environment."""

from __future__ import annotations

import re

from tests.support import node
from tests.support.server import Server


def test_the_javascript_suite_passes(sandboxed: Server) -> None:
    node.SDK.install()
    key = sandboxed.client.key or ""
    variables = {"HYPEREAL_BASE_URL": f"{sandboxed.client.base_url}/v1", "HYPEREAL_API_KEY": key}
    report = node.SDK.run(["--test", "--test-reporter=tap", "suite.test.js"], variables)
    written = len(re.findall(r"^test\(", (node.SDK.directory / "suite.test.js").read_text(), re.MULTILINE))
    assert re.search(rf"^# pass {written}$", report, re.MULTILINE), report
