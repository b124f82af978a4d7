"""Servers of one's own are asked for their models over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hypereal.catalog.files import Rows, read_rows
from hypereal.providers import ADAPTERS
from hypereal.providers.probe import look_around

ROW = """
[[upstreams]]
id = "local"
base_url = "http://127.0.0.1:{port}/v1"
key_env = "LOCAL_KEY"
key_required = false
discover = {{ price = {{ input = "0", output = "0" }} }}
"""


@asynccontextmanager
async def server(answer: Callable[[str], tuple[int, str]]) -> AsyncIterator[int]:
    """A server on a free port whose answers, status and body, are made from the request's head."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status, body = answer((await reader.readuntil(b"\r\n\r\n")).decode())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


def rows(port: int, directory: Path) -> Rows:
    path = directory / "rows.toml"
    path.write_text(ROW.format(port=port))
    return read_rows([path])


async def test_a_server_that_answers_is_reachable_and_its_models_are_known(tmp_path: Path) -> None:
    heads: list[str] = []

    def answer(head: str) -> tuple[int, str]:
        heads.append(head)
        return 200, json.dumps({"object": "list", "data": [{"id": "llama3.2:3b"}, {"id": "qwen3:8b"}, {"name": "x"}]})

    async with server(answer) as port:
        around = await look_around(Rows(), rows(port, tmp_path), {"LOCAL_KEY": "word"})
    assert around.reachable == {"local"}
    assert around.discovered == {"local": ("llama3.2:3b", "qwen3:8b")}
    assert around.adapters == ADAPTERS.keys()
    assert heads[0].startswith("GET /v1/models ")
    assert "authorization: bearer word" in heads[0].lower()


@pytest.mark.parametrize(("status", "body"), [(200, "[]"), (200, '{"data": null}')])
async def test_a_server_with_an_odd_list_is_reachable_without_models(tmp_path: Path, status: int, body: str) -> None:
    async with server(lambda _: (status, body)) as port:
        around = await look_around(Rows(), rows(port, tmp_path), {}, sandbox_url="http://127.0.0.1:1", sandbox="on")
    assert around.discovered == {"local": ()}
    assert (around.sandbox_url, around.sandbox) == ("http://127.0.0.1:1", "on")


@pytest.mark.parametrize(("status", "body"), [(500, "{}"), (200, "no JSON")])
async def test_a_server_that_fails_is_not_reachable(tmp_path: Path, status: int, body: str) -> None:
    async with server(lambda _: (status, body)) as port:
        around = await look_around(Rows(), rows(port, tmp_path), {})
    assert around.reachable == frozenset()


async def test_a_server_that_is_not_there_is_not_reachable(tmp_path: Path) -> None:
    async with server(lambda _: (200, "{}")) as port:
        pass
    around = await look_around(Rows(), rows(port, tmp_path), {})
    assert around.reachable == frozenset()
    assert around.discovered == {}
