"""What `hypereal serve` prints once it answers: the address, the key, a line to paste, and who will answer."""

from __future__ import annotations

from hypereal.catalog.live import SANDBOX
from hypereal.catalog.resolve import Catalogue
from hypereal.cli.first_start import FirstKey
from hypereal.wire.base import Kind

PREFERRED_MODEL = "gpt-5"


def welcome(url: str, key: FirstKey, catalogue: Catalogue, *, has_sandbox: bool) -> str:
    """The text; its curl line works as it stands."""
    lines = ["", f"Hypereal is ready at {url}", ""]
    lines.append(f"  Key        {key.secret or key.in_shell}")
    lines.append(f"  Base URL   {url}/v1  (for OpenAI clients)")
    lines.append(f"  Upstreams  {_upstreams(catalogue, has_sandbox=has_sandbox)}")
    model = _model(catalogue)
    if model is not None:
        lines += ["", "Try it:", "", f"  {_curl(url, key, model)}"]
    return "\n".join([*lines, ""])


def _upstreams(catalogue: Catalogue, *, has_sandbox: bool) -> str:
    live = ", ".join(upstream.id for upstream in catalogue.upstreams if upstream.id != SANDBOX)
    if live:
        return live + (" (and the sandbox for models that none of them has)" if has_sandbox else "")
    if has_sandbox:
        return "none configured: the built-in sandbox invents the answers. Set a provider's key, such as OPENAI_API_KEY"
    return "none: set a provider's key, such as OPENAI_API_KEY, or HYPEREAL_SANDBOX=on"


def _model(catalogue: Catalogue) -> str | None:
    names = [model.id for model in catalogue.served("openai_chat", Kind.CHAT)]
    if PREFERRED_MODEL in names:
        return PREFERRED_MODEL
    return names[0] if names else None


def _curl(url: str, key: FirstKey, model: str) -> str:
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"Hello!"}}]}}'
    headers = f'-H "Authorization: Bearer {key.in_shell}" -H "Content-Type: application/json"'
    return f"curl {url}/v1/chat/completions {headers} -d '{body}'"
