"""This gateway, started as an operator starts it: `hypereal serve`, an operator file, environment variables.

Everything is on: authentication, windows (their limits raised, so that they count and never refuse), hold, settlement,
journal, request log, the writer process and PostgreSQL.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from bench import place
from bench.contenders.contender import Contender, fresh_directory
from bench.requests import MODEL, PACED_MODEL

KEY = "ck_" + "benchmark0" * 5
_CREDITS = "10000000000"
_UNLIMITED = "1000000000000"

_CONFIG = """\
[[upstreams]]
id = "mock"
name = "Mock upstream"
base_url = "http://{host}:{upstream}/v1"
kinds = ["chat"]
max_connections = 4096
"""

_MODEL = """
[[models]]
id = "{id}"
name = "{id}"
owner = "bench"
price = {{ input = "0.50", output = "4" }}
targets = ["mock:{target}"]
context_tokens = 1000000
max_output_tokens = 4096
capabilities = ["streaming"]
"""


def _operator_file() -> str:
    rows = [
        _MODEL.format(id=MODEL, target="bench-upstream"),
        _MODEL.format(id=PACED_MODEL, target="bench-upstream-paced"),
    ]
    return _CONFIG.format(host=place.HOST, upstream=place.UPSTREAM_PORT) + "".join(rows)


def _gateway(name: str, title: str, *, port: int, is_hot: bool) -> Contender:
    directory = fresh_directory(name)
    config = directory / "hypereal.toml"
    config.write_text(_operator_file())
    environment = {
        "HYPEREAL_HOME": str(directory / "home"),
        "HYPEREAL_CONFIG": str(config),
        "HYPEREAL_BOOTSTRAP_KEY": KEY,
        "HYPEREAL_BOOTSTRAP_CREDITS": _CREDITS,
        "HYPEREAL_REQUESTS_PER_HOUR": _UNLIMITED,
        "HYPEREAL_SANDBOX": "off",
        "HYPEREAL_HOT_LANE": "true" if is_hot else "false",
    }
    return Contender(
        name=name,
        title=title,
        port=port,
        version=version("hypereal"),
        command=(sys.executable, "-m", "hypereal", "serve", "--host", place.HOST, "--port", str(port)),
        directory=directory,
        headers={"Authorization": f"Bearer {KEY}"},
        environment={**_clean_environment(), **environment},
        does_accounts=True,
        translates=is_hot,
        audit=(sys.executable, "-m", "hypereal", "ledger", "verify"),
    )


def _clean_environment() -> dict[str, str]:
    """This process's environment without what would configure the gateway differently."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HYPEREAL_", "DATABASE_URL"))}


def hot_lane() -> Contender:
    return _gateway("gateway", "Hypereal", port=19102, is_hot=True)


def plain_asgi() -> Contender:
    return _gateway("gateway-asgi", "Hypereal, plain ASGI", port=19103, is_hot=False)
