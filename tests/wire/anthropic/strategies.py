"""Random canonical values, within what Anthropic's format can say."""

from __future__ import annotations

import json
from typing import Any

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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

ORIGIN = "anthropic"
COUNTS = st.integers(0, 10**6)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
CACHES = st.none() | st.just({"type": "ephemeral"}) | st.just({"type": "ephemeral", "ttl": "1h"})
PROSE = st.text(min_size=1, max_size=40).map(lambda text: f"a{text}.")
TEXTS = st.builds(Text, PROSE, CACHES)
TOKENS = st.from_regex(r"[A-Za-z0-9+/]{1,30}=", fullmatch=True)
OPAQUES = st.builds(Opaque, st.just(ORIGIN), TOKENS) | st.builds(
    Opaque, st.sampled_from(["gemini", "openai_responses"]), st.text(max_size=20), st.none() | st.just("rs_1")
)
SIGNED = st.builds(Thinking, text=st.text(max_size=30), opaque=st.builds(Opaque, st.just(ORIGIN), TOKENS))
REDACTED = st.builds(
    Thinking, text=st.just(""), opaque=st.builds(Opaque, st.just(ORIGIN), TOKENS, st.just("redacted_thinking"))
)
THINKINGS = SIGNED | REDACTED
ARGUMENTS = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none(), max_size=3).map(
    lambda value: json.dumps(value, separators=(",", ":"))
)
FOREIGNS = st.builds(
    lambda text: Foreign(
        origin=ORIGIN,
        kind="web_search_tool_result",
        raw=json.dumps({"type": "web_search_tool_result", "content": [text]}, separators=(",", ":")).encode(),
    ),
    st.text(max_size=10),
)
IMAGES = st.builds(
    Media,
    kind=st.just("image"),
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    data=st.just("AAAA"),
    cache=CACHES,
) | st.builds(Media, kind=st.just("image"), url=st.just("https://x.test/a.png"))
FILES = st.builds(
    Media,
    kind=st.just("file"),
    media_type=st.just("application/pdf"),
    data=st.just("AAAA"),
    name=st.none() | PROSE,
    cache=CACHES,
) | st.builds(Media, kind=st.sampled_from(["image", "file"]), file_id=st.just("file_1"))
SAID = st.lists(TEXTS | IMAGES | FILES, min_size=1, max_size=3)
SCHEMAS: Any = st.just({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False})
TOOLS = st.builds(
    Tool, name=IDS, description=st.text(max_size=10), schema=SCHEMAS, strict=st.none() | st.booleans(), cache=CACHES
) | st.just(ForeignTool(origin=ORIGIN, kind="web_search_20250305", raw=b'{"type":"web_search_20250305"}'))
USAGES = st.builds(Usage, input=COUNTS, cache_read=COUNTS, cache_write=COUNTS, output=COUNTS, reasoning=COUNTS)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Message, ...]:
    """A conversation that Anthropic takes as it is: roles in turn, every call answered."""
    messages: list[Message] = []
    results: list[ToolResult] = []
    number = 0
    for _ in range(draw(st.integers(0, 3))):
        messages.append(Message("user", (*results, *draw(SAID))))
        calls = []
        for _ in range(draw(st.integers(0, 2))):
            number += 1
            calls.append(ToolCall(id=f"toolu_{number}", name=draw(IDS), arguments=draw(ARGUMENTS)))
        blocks: list[Block] = draw(st.lists(THINKINGS | TEXTS | FOREIGNS, max_size=3))
        messages.append(Message("assistant", (*blocks, draw(TEXTS), *calls)))
        results = [
            ToolResult(
                call_id=call.id,
                content=tuple(draw(st.lists(TEXTS | IMAGES, max_size=2))),
                is_error=draw(st.booleans()),
                cache=draw(CACHES),
            )
            for call in calls
        ]
    messages.append(Message("user", (*results, *draw(SAID))))
    return tuple(messages)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    tools = tuple(draw(st.lists(TOOLS, max_size=3)))
    reasoning = draw(
        st.none()
        | st.just(Reasoning(is_enabled=False))
        | st.builds(
            Reasoning,
            is_adaptive=st.just(True),
            effort=st.none() | st.sampled_from(["low", "max"]),
            shows=st.none() | st.booleans(),
        )
    )
    thinks = reasoning is not None and reasoning.is_enabled
    modes = [ToolChoice("auto")] if thinks else [ToolChoice("auto"), ToolChoice("required"), ToolChoice("one", "f")]
    choice = draw(st.none() | st.sampled_from(modes)) if tools else None
    return Conversation(
        system=tuple(draw(st.lists(TEXTS, max_size=2))),
        messages=draw(exchanges()),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=draw(st.none() | st.booleans()) if choice is not None else None,
        reasoning=reasoning,
        output=draw(st.none() | st.builds(OutputFormat, schema=SCHEMAS)),
        stream=draw(st.booleans()),
        max_tokens=draw(st.integers(1, 8000)),
        temperature=None if thinks else draw(st.none() | st.floats(0, 1)),
        top_k=None if thinks else draw(st.none() | st.integers(0, 100)),
        stop=tuple(draw(st.lists(PROSE, max_size=2))),
        user=draw(st.none() | st.text(min_size=1, max_size=64)),
        service_tier=draw(st.none() | st.sampled_from(["auto", "default"])),
    )


CALLS = st.builds(
    ToolCall,
    id=IDS,
    name=IDS,
    arguments=ARGUMENTS,
    opaque=st.none()
    | OPAQUES.filter(lambda opaque: opaque.origin != ORIGIN).map(lambda opaque: Opaque(opaque.origin, opaque.data)),
)
ANY_THINKING = (
    st.builds(Thinking, text=st.text(min_size=1, max_size=30), opaque=st.none() | OPAQUES)
    | st.builds(Thinking, opaque=OPAQUES)
    | REDACTED
)
REPLY_BLOCKS = st.builds(Text, st.text(min_size=1)) | ANY_THINKING | CALLS | FOREIGNS
REPLIES = st.builds(
    Reply,
    id=IDS.map(lambda name: f"msg_{name}"),
    model=st.just("claude"),
    blocks=st.lists(REPLY_BLOCKS, max_size=5, unique_by=lambda block: getattr(block, "id", id(block))).map(tuple),
    stop=st.sampled_from(["end", "length", "tool_calls", "stop_sequence", "refusal", "pause"]),
    stop_sequence=st.none() | PROSE,
    usage=USAGES,
)
