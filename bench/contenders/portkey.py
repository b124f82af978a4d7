"""Portkey's gateway on Node.js. It authenticates nobody and accounts for nothing, so its rows flatter it.

A fresh install of 1.15.2 breaks on streams (its web server's later releases make headers immutable), so two of its
dependencies are held back. `TRUSTED_CUSTOM_HOSTS` lets it call a loopback address.
"""

from __future__ import annotations

import os

from bench import place
from bench.contenders.contender import Contender, fresh_directory
from bench.load import tool_path

_PORT = 19105
HOME = place.STATE / "portkey"
VERSION = "1.15.2"
OVERRIDES = {"hono": "4.9.7", "@hono/node-server": "1.13.8"}


def portkey() -> Contender:
    server = HOME / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return Contender(
        name="portkey",
        title="Portkey gateway",
        port=_PORT,
        version=VERSION,
        command=(tool_path("node") or "node", str(server), f"--port={_PORT}", "--headless"),
        directory=fresh_directory("portkey"),
        headers={
            "Authorization": "Bearer none",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://{place.HOST}:{place.UPSTREAM_PORT}/v1",
        },
        environment={**os.environ, "TRUSTED_CUSTOM_HOSTS": place.HOST, "NODE_ENV": "production"},
        install=None if server.exists() else "python -m bench.install portkey",
        start_s=30,
    )
