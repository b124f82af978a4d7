"""Installs what is measured beside the gateway into the benchmark's state directory: `python -m bench.install [NAME…]`.

Nothing of it is a dependency of the project. LiteLLM and py-spy come from PyPI, each into an environment of its own,
Portkey from npm.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable

from bench import place
from bench.contenders.litellm import VERSION as LITELLM_VERSION
from bench.contenders.portkey import HOME as PORTKEY_HOME
from bench.contenders.portkey import OVERRIDES as PORTKEY_OVERRIDES
from bench.contenders.portkey import VERSION as PORTKEY_VERSION

_PY_SPY_VERSION = "0.4.3"


def _environment(name: str, requirement: str) -> None:
    directory = place.STATE / name / "venv"
    venv.create(directory, with_pip=True)
    subprocess.run([str(directory / "bin" / "pip"), "install", "--quiet", requirement], check=True)


def _litellm() -> None:
    _environment("litellm", f"litellm[proxy]=={LITELLM_VERSION}")


def _py_spy() -> None:
    _environment("py-spy", f"py-spy=={_PY_SPY_VERSION}")


def _portkey() -> None:
    home = PORTKEY_HOME
    home.mkdir(parents=True, exist_ok=True)
    package = {
        "private": True,
        "dependencies": {"@portkey-ai/gateway": PORTKEY_VERSION},
        "overrides": PORTKEY_OVERRIDES,
    }
    (home / "package.json").write_text(json.dumps(package, indent=2))
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=home, check=True)


INSTALLERS: dict[str, Callable[[], None]] = {"litellm": _litellm, "portkey": _portkey, "py-spy": _py_spy}


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - INSTALLERS.keys())
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(INSTALLERS)}")
    place.prepare()
    for name in names or INSTALLERS:
        print(f"installing {name}", flush=True)
        INSTALLERS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
