"""Programs as their users start them: a home of their own, the settings from our guides, and no other network."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients.tap import Tap
from tests.support.accounts import Holder
from tests.support.bills import MICRO_PER_CREDIT, Row, query, wallet
from tests.support.node import CLIENTS, NODE
from tests.support.server import Server, wait_for

PACKAGES = CLIENTS.directory / "node_modules"
TIMEOUT_S = 90.0
CREDITS = 1000
"""What the account of a bench begins with."""
ECHOED = "hypereal-was-here"
RUN_ECHO = f"run `echo {ECHOED}`"
SAY_HI = "Say hi in one word"

_REQUESTS = """
SELECT u.*, -COALESCE((SELECT SUM(amount)::bigint FROM ledger_entries WHERE reference = 'charge:' || u.request_id), 0)
       AS charged
FROM usage_records AS u WHERE u.key_id = %(key)s ORDER BY u.created_at, u.request_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a program left behind."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An account, a tapped line to the server, and a directory with a home and a place to work in."""

    server: Server
    holder: Holder
    tap: Tap
    directory: Path

    @property
    def url(self) -> str:
        return self.tap.url

    @property
    def key(self) -> str:
        return self.holder.secret

    @property
    def home(self) -> Path:
        return self._made("home")

    @property
    def work(self) -> Path:
        return self._made("work")

    def _made(self, name: str) -> Path:
        made = self.directory / name
        made.mkdir(exist_ok=True)
        return made

    def write(self, path: str, text: str) -> None:
        """A file in the bench's directory, such as a program's settings in `home/`."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, *command: str, variables: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> Finished:
        """Run a program to its end, or until `timeout_s` is over (code -1). It sees no other variables than these."""
        environment = {
            "HOME": str(self.home),
            "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}",
            "TERM": "dumb",
            "NO_COLOR": "1",
            **variables,
        }
        process = subprocess.Popen(
            command,
            cwd=self.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=timeout_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            code = -1
        return Finished(code=code, out=out, err=err)

    def requests(self, count: int) -> list[Row]:
        """The account's requests in the log, of which there must be `count`, oldest first.

        Each is settled, and answer, log and ledger agree: the ledger took what the log says, and the wallet lost it.
        """

        def look() -> list[Row] | None:
            rows = query(self.server.database_url, _REQUESTS, key=self.holder.key_id)
            return rows if len(rows) >= count else None

        rows = wait_for(look, f"{count} requests in the log", timeout_s=10)
        assert len(rows) == count, [(row["endpoint"], row["model"], row["status"]) for row in rows]
        assert [row["charged"] for row in rows] == [row["credits"] for row in rows]
        balance = wallet(self.server, self.holder.account_id)["balance"]
        assert balance == CREDITS * MICRO_PER_CREDIT - sum(row["credits"] for row in rows)
        return rows

    def turn(self, *, endpoint: str, model: str, count: int) -> list[Row]:
        """The same, all of them answered, on this endpoint, by this model, and paid for."""
        rows = self.requests(count)
        seen = [(row["endpoint"], row["model"], row["status"], row["basis"]) for row in rows]
        assert seen == [(endpoint, model, 200, "provider")] * count
        assert all(row["credits"] > 0 for row in rows)
        return rows


def codex(
    bench: Bench, prompt: str, *, model: str = "gpt-5", sockets: bool = False, timeout_s: float = TIMEOUT_S
) -> Finished:
    bench.write(
        "home/.codex/config.toml",
        f"""
model = "{model}"
model_provider = "hypereal"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.hypereal]
name = "Hypereal"
base_url = "{bench.url}/v1"
env_key = "HYPEREAL_API_KEY"
wire_api = "responses"
supports_websockets = {json.dumps(sockets)}
""",
    )
    return bench.run(
        str(PACKAGES / ".bin" / "codex"),
        "exec",
        "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox",
        prompt,
        variables={"HYPEREAL_API_KEY": bench.key},
        timeout_s=timeout_s,
    )


def claude(
    bench: Bench, prompt: str, *more: str, model: str = "claude-sonnet-4-6", timeout_s: float = TIMEOUT_S
) -> Finished:
    return bench.run(
        str(PACKAGES / ".bin" / "claude"),
        "-p",
        prompt,
        "--output-format",
        "json",
        *more,
        variables={
            "ANTHROPIC_BASE_URL": bench.url,
            "ANTHROPIC_AUTH_TOKEN": bench.key,
            "ANTHROPIC_MODEL": model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        timeout_s=timeout_s,
    )


def gemini(bench: Bench, prompt: str, *, model: str = "gemini-3.1-pro") -> Finished:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }
    bench.write("home/.gemini/settings.json", json.dumps(settings))
    return bench.run(
        str(PACKAGES / ".bin" / "gemini"),
        "--skip-trust",
        "--yolo",
        "-m",
        model,
        "-p",
        prompt,
        variables={"GOOGLE_GEMINI_BASE_URL": bench.url, "GEMINI_API_KEY": bench.key},
    )


def opencode(bench: Bench, prompt: str, *, model: str = "gpt-5") -> Finished:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Hypereal",
        "options": {"baseURL": f"{bench.url}/v1", "apiKey": "{env:HYPEREAL_API_KEY}"},
        "models": {model: {}},
    }
    settings = {"autoupdate": False, "model": f"hypereal/{model}", "provider": {"hypereal": provider}}
    bench.write("work/opencode.json", json.dumps(settings))
    return bench.run(
        str(PACKAGES / ".bin" / "opencode"),
        "run",
        prompt,
        variables={
            "HYPEREAL_API_KEY": bench.key,
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
        },
    )
