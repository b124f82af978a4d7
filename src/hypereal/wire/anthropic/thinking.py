"""Thinking blocks, and the tokens in them that go back to who made them.

Anthropic signs a thinking block, or sends it redacted: a token alone. `Opaque.id` tells the two apart. Reasoning of
other providers shows itself to Anthropic's clients as thinking whose signature is a seal; reasoning that nobody signed
gets a seal too, so that it can be taken out again before Anthropic would refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hypereal.wire.conversation import Block, Opaque, Thinking, ToolCall
from hypereal.wire.opaque import UNSIGNED, seal, unseal

ORIGIN = "anthropic"
REDACTED = "redacted_thinking"


def read_thinking(text: str, signature: str | None) -> Thinking:
    """A thinking block of a client's request or an upstream's answer."""
    opaque = unseal(signature, ORIGIN) if signature else UNSIGNED
    return Thinking(text=text, opaque=opaque if opaque.origin else None)


def read_redacted(data: str) -> Thinking:
    """A redacted block: nothing but a token."""
    return Thinking(opaque=unseal(data, ORIGIN, id=REDACTED))


def is_redacted(opaque: Opaque | None) -> bool:
    """Whether a token was a redacted block of Anthropic's own."""
    return opaque is not None and opaque.origin == ORIGIN and opaque.id == REDACTED


def render_thinking(thinking: Thinking) -> dict[str, Any]:
    """The block that a client sees."""
    if thinking.opaque is not None and is_redacted(thinking.opaque):
        return {"type": REDACTED, "data": thinking.opaque.data}
    return {"type": "thinking", "thinking": thinking.text, "signature": render_signature(thinking.opaque)}


def render_signature(opaque: Opaque | None) -> str:
    """What stands where Anthropic signs."""
    return seal(opaque or UNSIGNED, ORIGIN)


def render_call_token(call_id: str, opaque: Opaque) -> dict[str, Any]:
    """A call's own token, which a `tool_use` block has no room for: a redacted block that names the call."""
    return {"type": REDACTED, "data": seal(Opaque(opaque.origin, opaque.data, call_id), ORIGIN)}


def with_call_tokens(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks of a message, the tokens that name one of its calls put back into it."""
    calls = {block.id for block in blocks if isinstance(block, ToolCall)}
    tokens: dict[str, Opaque] = {}
    kept: list[Block] = []
    for block in blocks:
        opaque = block.opaque if isinstance(block, Thinking) and not block.text else None
        if opaque is not None and opaque.origin != ORIGIN and opaque.id in calls:
            tokens[opaque.id] = Opaque(opaque.origin, opaque.data)
        else:
            kept.append(block)
    return tuple(
        msgspec.structs.replace(block, opaque=tokens[block.id])
        if isinstance(block, ToolCall) and block.id in tokens
        else block
        for block in kept
    )
