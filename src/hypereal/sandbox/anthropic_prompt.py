"""The prompt of an Anthropic request in the order in which it is cached: tools, system, messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from hypereal.sandbox import tokens
from hypereal.sandbox.anthropic_messages import content_blocks
from hypereal.sandbox.prompt_cache import LONG_TTL_S, SHORT_TTL_S, Block
from hypereal.sandbox.request import BadRequest

MAX_BREAKPOINTS = 4
_TTL = {"5m": SHORT_TTL_S, "1h": LONG_TTL_S}
_MESSAGE_TOKENS = 4
_MEDIA_TOKENS = {"image": 255, "document": 512}


def prompt_blocks(body: Mapping[str, Any]) -> tuple[Block, ...]:
    """The blocks, with the breakpoints that `cache_control` sets. Raises `BadRequest` for one that is none."""
    found = list(_blocks(body))
    whole = _ttl(body, "cache_control")
    if whole and found:
        found[-1] = replace(found[-1], ttl=found[-1].ttl or whole)
    return tuple(found)


def _blocks(body: Mapping[str, Any]) -> Iterator[Block]:
    for index, tool in enumerate(body.get("tools") or ()):
        yield _block(tool, f"tools.{index}", 0)
    for index, block in enumerate(content_blocks(body.get("system"))):
        yield _block(block, f"system.{index}", 0)
    for index, message in enumerate(body["messages"]):
        for number, block in enumerate(content_blocks(message["content"])):
            extra = _MESSAGE_TOKENS if number == 0 else 0
            yield _block(block, f"messages.{index}.content.{number}", extra, message["role"])


def _block(block: Mapping[str, Any], where: str, extra: int, role: str = "") -> Block:
    kind = block.get("type")
    bare = {name: part for name, part in block.items() if name != "cache_control"}
    text = role + msgspec.json.encode(bare).decode()
    count = _MEDIA_TOKENS.get(str(kind)) or tokens.count(block["text"] if kind == "text" else text)
    return Block(text=text, tokens=count + extra, ttl=_ttl(block, f"{where}.cache_control"))


def _ttl(block: Mapping[str, Any], where: str) -> int:
    control = block.get("cache_control")
    if control is None:
        return 0
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise BadRequest(f"{where}.type: Input should be 'ephemeral'")
    ttl = control.get("ttl", "5m")
    if ttl not in _TTL:
        raise BadRequest(f"{where}.ephemeral.ttl: Input should be '5m' or '1h'")
    return _TTL[ttl]
