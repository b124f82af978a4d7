"""The sandbox as a process, and under many streams."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from hypereal.kit.ports import free_port
from hypereal.sandbox.app import SandboxConfig
from hypereal.sandbox.prompt_cache import PrefixCache
from hypereal.sandbox.server import serving
from hypereal.sandbox.tokens import count, filler, split


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def is_up(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_process_serves_and_stops_on_a_signal() -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "hypereal.sandbox", "--port", str(port)])
    try:
        wait_until(lambda: is_up(port))
        assert httpx2.get(f"http://127.0.0.1:{port}/healthz").headers["x-sandbox"] == "1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def test_the_process_ends_with_its_parent() -> None:
    port = free_port()
    command = [sys.executable, "-m", "hypereal.sandbox", "--port", str(port), "--exit-with-parent"]
    starter = f"import subprocess, time; print(subprocess.Popen({command!r}).pid, flush=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_until(lambda: is_up(port))
        parent.kill()
        wait_until(lambda: not is_up(port))
        wait_until(lambda: not _is_running(child))
    finally:
        parent.kill()
        parent.communicate()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text(encoding="utf-8"))


async def test_many_streams_at_once_all_end_whole() -> None:
    async with serving(SandboxConfig(chunks_per_second=20)) as url, httpx2.AsyncClient(
        base_url=url, timeout=60, limits=httpx2.Limits(max_connections=200)
    ) as http:  # fmt: skip
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "[[sandbox:tokens=10]] hi"}]}

        async def stream() -> str:
            return (await http.post("/v1/chat/completions", json=body)).text

        answers = await asyncio.gather(*(stream() for _ in range(200)))
        assert all(answer.endswith("data: [DONE]\n\n") for answer in answers)
        assert {len(re.findall(r'"delta":\{"content"', answer)) for answer in answers} == {10}


def test_tokens_join_to_the_text_and_are_counted_sensibly() -> None:
    texts = [
        "Hello, world!",
        "  two  spaces\n\n",
        "東京は日本の首都です",
        "antidisestablishmentarianism",
        "x" * 100,
        "🙂👍🏽",
        "",
    ]
    for text in texts:
        assert "".join(split(text)) == text
        assert count(text) == len(split(text))
    assert count("Hello, world!") == 4
    assert count("東京は日本") == 5
    assert len(filler("abc def", 57)) == len(filler("", 57)) == 57


def test_the_prefix_cache_is_bounded() -> None:
    cache = PrefixCache(capacity=100)
    for number in range(50):
        cache.remember("m", [str(number)] * 3000)
    assert len(cache) == 100
