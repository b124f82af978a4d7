"""The JavaScript SDKs: `node/sdks.test.js`, run by the Node.js of the development environment."""

from __future__ import annotations

import re

import pytest

from tests.clients.programs import Bench
from tests.support.node import CLIENTS

ASKED = 2 * 2 + 2 * 2 + 2 * 2 + 8 * 3
"""What each group of tests in the suite asks: models (or pairs) times requests."""


@pytest.mark.usefixtures("programs")
def test_the_javascript_sdks_work_and_every_request_is_billed(bench: Bench) -> None:
    variables = {"HYPEREAL_URL": bench.url, "HYPEREAL_API_KEY": bench.key}
    report = CLIENTS.run(["--test", "--test-reporter=tap", "sdks.test.js"], variables)
    assert re.search(r"^# pass 14$", report, re.MULTILINE), report
    assert all(row["credits"] > 0 for row in bench.requests(ASKED))
