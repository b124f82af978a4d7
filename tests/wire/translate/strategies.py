"""Canonical values as hypothesis makes them: conversations, answers, and streams whose blocks overlap.

They hold only what every format can say, so that a test may ask for the same meaning on the other side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from hypereal.wire.base import Usage
from hypereal.wire.conversation import (
    Block,
    Conversation,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reply,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Finished, Started

NASTY = (
    "[DONE]",
    "data: [DONE]\n\n",
    '{"type":"message_stop"}',
    "\u2028",
    "नमस्ते 안녕 你好",
    "\\u0000",
    "line\r\n\r\nline",
    "null",
)
TEXTS = st.one_of(st.text(min_size=1, max_size=30), st.sampled_from(NASTY)).filter(lambda text: bool(text.strip()))
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,15}", fullmatch=True)
TOKENS = st.from_regex(r"[A-Za-z0-9+/]{16,60}={0,2}", fullmatch=True)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=20))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=3).map(json.dumps)
USAGES = st.builds(Usage, input=st.integers(0, 10**6), cache_read=st.integers(0, 10**6), output=st.integers(1, 10**6))


def call_ids(count: int) -> st.SearchStrategy[list[str]]:
    ids = st.from_regex(r"call_[a-z0-9]{4,12}", fullmatch=True)
    return st.lists(ids, min_size=count, max_size=count, unique=True)


@st.composite
def calls(draw: st.DrawFn, most: int = 3) -> list[ToolCall]:
    ids = draw(call_ids(draw(st.integers(0, most))))
    return [ToolCall(id=call_id, name=draw(NAMES), arguments=draw(ARGUMENTS)) for call_id in ids]


def thoughts(origin: str) -> st.SearchStrategy[Thinking]:
    return st.builds(Thinking, text=TEXTS, opaque=st.builds(Opaque, st.just(origin), TOKENS))


@st.composite
def replies(draw: st.DrawFn, origin: str) -> Reply:
    """A whole answer of `origin`, in the order that every format can say: reasoning, text, calls."""
    made = draw(calls())
    blocks: list[Block] = [*draw(st.lists(thoughts(origin), max_size=1)), *map(Text, draw(st.lists(TEXTS, max_size=1)))]
    if not blocks and not made:
        blocks = [Text(draw(TEXTS))]
    return Reply(
        id=draw(st.from_regex(r"[a-z]{3,5}_[a-z0-9]{8}", fullmatch=True)),
        model=draw(NAMES),
        blocks=(*blocks, *made),
        stop="tool_calls" if made else draw(st.sampled_from(("end", "length", "refusal"))),
        usage=draw(USAGES),
    )


@st.composite
def streams(draw: st.DrawFn, origin: str, *, overlaps: bool = True) -> tuple[Reply, list[Event]]:
    """An answer and one of the streams that it may come in: cut anywhere, empty deltas, parallel calls interleaved."""
    reply = draw(replies(origin))
    lives = [_life(draw, index, block) for index, block in enumerate(reply.blocks)]
    events: list[Event] = [Started(reply.id, reply.model)]
    first_call = next((at for at, block in enumerate(reply.blocks) if isinstance(block, ToolCall)), len(lives))
    for life in lives[:first_call]:
        events += life
    parallel = lives[first_call:]
    events += _shuffled(draw, parallel) if overlaps else [event for life in parallel for event in life]
    return reply, [*events, Finished(reply.stop, reply.stop_sequence, reply.usage)]


def _life(draw: st.DrawFn, index: int, block: Block) -> list[Event]:
    if isinstance(block, ToolCall):
        empty: Any = ToolCall(id=block.id, name=block.name, arguments="")
        text, opaque = block.arguments, block.opaque
    elif isinstance(block, Thinking):
        empty, text, opaque = Thinking(), block.text, block.opaque
    else:
        assert isinstance(block, Text)
        empty, text, opaque = Text(""), block.text, None
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [BlockStarted(index, empty), *(Delta(index, piece) for piece in pieces), BlockStopped(index, opaque)]


def _shuffled(draw: st.DrawFn, lives: Sequence[list[Event]]) -> list[Event]:
    """The lives interleaved; they begin in order, because that is what numbers them."""
    waiting = [list(life) for life in lives]
    told: list[Event] = []
    begun = 0
    while any(waiting):
        able = [life for life in waiting[: begun + 1] if life]
        life = draw(st.sampled_from(able))
        if begun < len(waiting) and life is waiting[begun]:
            begun += 1
        told.append(life.pop(0))
    return told


@st.composite
def tools(draw: st.DrawFn) -> tuple[Tool, ...]:
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    return tuple(Tool(name=name, description=draw(TEXTS), schema=schema) for name in names)


IMAGES = st.builds(Media, kind=st.just("image"), media_type=st.just("image/png"), data=st.just("iVBORw0KGgo="))


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Turns of a user and an assistant; every call has its result, as formats insist."""
    messages = [Message("user", (Text(draw(TEXTS)),))]
    for _ in range(draw(st.integers(0, 3))):
        made = draw(calls())
        texts = [Text(draw(TEXTS))] if not made or draw(st.booleans()) else []
        messages.append(Message("assistant", (*texts, *made)))
        results = [ToolResult(call_id=call.id, name=call.name, content=(Text(draw(TEXTS)),)) for call in made]
        rest: list[Block] = [Text(draw(TEXTS)), *draw(st.lists(IMAGES, max_size=1))]
        messages.append(Message("user", (*results, *rest)))
    offered = draw(tools())
    schema = {
        "type": "object",
        "properties": {"b": {"type": "integer"}},
        "required": ["b"],
        "additionalProperties": False,  # Anthropic demands it, so its codec would add it
    }
    return Conversation(
        system=tuple(map(Text, draw(st.lists(TEXTS, max_size=1)))),
        messages=tuple(messages),
        tools=offered,
        tool_choice=draw(st.sampled_from((None, ToolChoice("auto"), ToolChoice("required")))) if offered else None,
        output=draw(st.sampled_from((None, OutputFormat(schema=schema, name="b")))),
        max_tokens=draw(st.integers(16, 4096)),  # 16 is the least that the Responses API takes
        temperature=draw(st.sampled_from((None, 0.0, 0.5, 1.0))),
    )
