"""`python -m hypereal.sandbox`: the simulated upstream as a process of its own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from hypereal.sandbox.app import SandboxConfig
from hypereal.sandbox.scenarios import read_scenarios
from hypereal.sandbox.server import run

SCENARIOS_ENV = "HYPEREAL_SANDBOX_SCENARIOS"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and serve until stopped."""
    parser = argparse.ArgumentParser(prog="hypereal.sandbox", description="A simulated upstream in four formats.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--chunks-per-second", type=float, default=40.0, help="pace of streams; 0 for none")
    parser.add_argument(
        "--scenarios",
        type=Path,
        default=os.environ.get(SCENARIOS_ENV),
        help=f"a TOML file of scripted conversations (default: ${SCENARIOS_ENV})",
    )
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when the starting process is gone")
    given = parser.parse_args(arguments)
    if given.chunks_per_second < 0:
        parser.error("--chunks-per-second must not be negative")
    try:
        scenarios = read_scenarios(given.scenarios) if given.scenarios else ()
    except (OSError, ValueError) as exc:
        parser.error(f"--scenarios: {exc}")
    config = SandboxConfig(chunks_per_second=given.chunks_per_second, scenarios=scenarios)
    run(config, host=given.host, port=given.port, exit_with_parent=given.exit_with_parent)


if __name__ == "__main__":
    main()
