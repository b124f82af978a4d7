"""LiteLLM's proxy, one worker, without database, Redis or callbacks: its fast case."""

from __future__ import annotations

import os
from pathlib import Path

from bench import place
from bench.contenders.contender import Contender, fresh_directory
from bench.requests import MODEL, PACED_MODEL

_PORT = 19104
_HOME = place.STATE / "litellm"
_KEY = "sk-benchmark-benchmark-benchmark"
VERSION = "1.106.2"

_CONFIG = """\
model_list:
  - model_name: {model}
    litellm_params: {{model: openai/bench-upstream, api_base: "{base}", api_key: none}}
  - model_name: {paced}
    litellm_params: {{model: openai/bench-upstream-paced, api_base: "{base}", api_key: none}}
general_settings: {{master_key: {key}}}
litellm_settings: {{set_verbose: false, telemetry: false}}
"""


def installed_version(environment: Path, package: str) -> str:
    """The version of a package in a virtual environment, from the name of its metadata directory."""
    found = sorted(environment.glob(f"lib/python*/site-packages/{package}-*.dist-info"))
    return found[-1].name.removesuffix(".dist-info").rpartition("-")[2] if found else ""


def litellm() -> Contender:
    directory = fresh_directory("litellm")
    config = directory / "config.yaml"
    base = f"http://{place.HOST}:{place.UPSTREAM_PORT}/v1"
    config.write_text(_CONFIG.format(model=MODEL, paced=PACED_MODEL, base=base, key=_KEY))
    environment = _HOME / "venv"
    binary = environment / "bin" / "litellm"
    arguments = ["--config", str(config), "--host", place.HOST, "--port", str(_PORT), "--num_workers", "1"]
    settings = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
    return Contender(
        name="litellm",
        title="LiteLLM proxy",
        port=_PORT,
        version=installed_version(environment, "litellm"),
        command=(str(binary), *arguments),
        directory=directory,
        headers={"Authorization": f"Bearer {_KEY}"},
        environment={**os.environ, **settings},
        install=None if binary.exists() else "python -m bench.install litellm",
        start_s=180,
    )
