"""Canonical values that Google's format can say whole, for tests of its codec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hypereal.wire.base import Usage
from hypereal.wire.conversation import (
    Block,
    Conversation,
    Foreign,
    ForeignTool,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Reply,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long a property may take says more about what else the machine does than about the code."""

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SOME_WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.text("abcXYZ_09", min_size=1, max_size=8)
TOKENS = st.builds(Opaque, st.just("gemini"), st.text("abcAB+/=", min_size=1, max_size=20))
ARGUMENTS = st.dictionaries(WORDS, WORDS | st.integers(-9, 9) | st.lists(st.booleans(), max_size=2), max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)
PICTURES = st.builds(Media, kind=st.just("image"), media_type=st.just("image/png"), data=st.text("abAB+/", max_size=8))
LINKS = st.builds(Media, kind=st.just("audio"), media_type=st.just("audio/wav"), url=NAMES.map("https://x/{}".format))
UPLOADS = st.builds(Media, kind=st.just("file"), media_type=st.just("text/csv"), file_id=NAMES.map("gs://{}".format))
MEDIA = PICTURES | LINKS | UPLOADS
OWN = st.builds(
    Foreign,
    origin=st.just("gemini"),
    kind=st.just("executableCode"),
    raw=NAMES.map(lambda name: b'{"executableCode":{"code":"%b"}}' % name.encode()),
)
TEXTS = st.builds(Text, SOME_WORDS)
SIGNED = st.builds(Thinking, text=WORDS, opaque=TOKENS)
CALLS = st.builds(ToolCall, id=NAMES, name=NAMES, arguments=ARGUMENTS, opaque=st.none() | TOKENS)


def merged(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks as a stream without marks between them tells them: neighbouring texts, and thoughts up to a
    signature, are one."""
    told: list[Block] = []
    for block in blocks:
        last = told[-1] if told else None
        if isinstance(block, Text) and isinstance(last, Text):
            told[-1] = Text(last.text + block.text)
        elif isinstance(block, Thinking) and block.text and isinstance(last, Thinking) and last.opaque is None:
            told[-1] = Thinking(text=last.text + block.text, opaque=block.opaque)
        else:
            told.append(block)
    return tuple(told)


def _reply(blocks: Sequence[Block], stop: Stop, identity: str, usage: Usage) -> Reply:
    calls = any(isinstance(block, ToolCall) for block in blocks)
    if stop == "end" and calls:
        stop = "tool_calls"
    return Reply(id=identity, model="m", blocks=merged(blocks), stop=stop, usage=usage)


COUNTS = st.integers(0, 10**6)
USAGES = st.builds(Usage, input=COUNTS, cache_read=COUNTS, output=COUNTS, reasoning=COUNTS)
ANSWER_BLOCKS = st.lists(TEXTS | SIGNED | st.builds(Thinking, text=SOME_WORDS) | CALLS | MEDIA | OWN, max_size=6)
STOPS: st.SearchStrategy[Stop] = st.sampled_from(["end", "length", "refusal"])
REPLIES = st.builds(_reply, ANSWER_BLOCKS, STOPS, NAMES, USAGES)


SCHEMAS: st.SearchStrategy[Any] = st.none() | st.just({"type": "object", "properties": {}})
FUNCTIONS = st.lists(st.builds(Tool, name=NAMES, description=WORDS, schema=SCHEMAS), max_size=2)
OWN_TOOLS = st.lists(st.just(ForeignTool(origin="gemini", kind="googleSearch", raw=b'{"googleSearch":{}}')), max_size=1)
FRACTIONS = st.none() | st.floats(0, 1)
OPTIONS = st.builds(
    Conversation,
    system=st.lists(TEXTS, max_size=2).map(tuple),
    tools=st.builds(lambda functions, own: (*functions, *own), FUNCTIONS, OWN_TOOLS),
    tool_choice=st.none()
    | st.sampled_from([ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("one", "f")]),
    reasoning=st.none()
    | st.builds(Reasoning, effort=st.sampled_from(["low", "medium", "high"]), shows=st.none() | st.booleans()),
    output=st.none() | st.builds(OutputFormat, schema=SCHEMAS),
    max_tokens=st.none() | st.integers(1, 65_536),
    temperature=FRACTIONS,
    top_p=FRACTIONS,
    top_k=st.none() | st.integers(1, 100),
    stop=st.lists(SOME_WORDS, max_size=5).map(tuple),
    seed=st.none() | st.integers(-(2**31), 2**31 - 1),
    presence_penalty=FRACTIONS,
    frequency_penalty=FRACTIONS,
    service_tier=st.none() | st.sampled_from(["standard", "flex", "priority"]),
)

RESULTS = st.tuples(TEXTS) | st.tuples(TEXTS, MEDIA) | st.tuples(MEDIA, MEDIA) | st.just(())
SAID_BY_USER = st.lists(TEXTS | MEDIA, min_size=1, max_size=3)
SAID_BY_MODEL = st.lists(TEXTS | SIGNED | CALLS | MEDIA | OWN, min_size=1, max_size=4)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Turns that alternate; each call has an id of its own and is answered in the turn after it."""
    messages: list[Message] = []
    calls = 0
    for _ in range(draw(st.integers(0, 3))):
        asked = [block for block in messages[-1].blocks if isinstance(block, ToolCall)] if messages else []
        results = [
            ToolResult(
                call_id=call.id,
                name=call.name,
                content=draw(RESULTS),
                is_error=draw(st.booleans()),
            )
            for call in asked
        ]
        said = draw(SAID_BY_USER)
        messages.append(Message("user", (*results, *said)))
        blocks: list[Block] = []
        for block in draw(SAID_BY_MODEL):
            if isinstance(block, ToolCall):
                blocks.append(msgspec.structs.replace(block, id=f"id_{calls}"))
                calls += 1
            else:
                blocks.append(block)
        messages.append(Message("assistant", tuple(blocks)))
    conversation = draw(OPTIONS)
    conversation.messages = tuple(messages)
    return conversation
