"""Random conversations and answers, as far as the Responses API can say them whole."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from hypereal.wire.base import Usage
from hypereal.wire.conversation import (
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
from hypereal.wire.events import BlockStarted, BlockStopped, Delta, Event, Finished, Started, unfold

NAME = "openai_responses"
COUNTS = st.integers(min_value=0, max_value=10**9)
WORDS = st.text(min_size=1, max_size=12)
NAMES = st.text(alphabet="abcXYZ012_", min_size=1, max_size=8)
TOKENS = st.text(alphabet="ABCabc012+/=", min_size=1, max_size=12)
ARGUMENTS = st.dictionaries(WORDS, st.integers() | WORDS, max_size=3).map(json.dumps)
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(WORDS, st.integers() | st.booleans() | WORDS, max_size=3)

usages = st.builds(Usage, input=COUNTS, cache_read=COUNTS, cache_write=COUNTS, output=COUNTS, reasoning=COUNTS)
texts = st.builds(Text, WORDS)
sealed = st.builds(Opaque, st.sampled_from(["anthropic", "gemini", "openai_chat"]), TOKENS, st.none() | NAMES)
tokens = st.builds(Opaque, st.just(NAME), TOKENS, NAMES)
calls = st.builds(ToolCall, id=NAMES, name=NAMES, arguments=ARGUMENTS) | st.builds(
    ToolCall, id=NAMES, name=NAMES, arguments=WORDS, is_custom=st.just(True)
)
foreign = NAMES.map(
    lambda name: Foreign(origin=NAME, kind="x_call", raw=b'{"type":"x_call","id":"%b"}' % name.encode())
)
inline_images = st.builds(
    Media, kind=st.just("image"), media_type=st.sampled_from(["image/png", "image/webp"]), data=TOKENS
)
thinking = st.builds(Thinking, text=st.just("") | WORDS, opaque=st.none() | sealed)
replies = st.lists(texts | thinking | calls | foreign | inline_images, max_size=6).flatmap(
    lambda blocks: st.builds(
        Reply,
        id=NAMES.map(lambda name: f"resp_{name}"),
        model=WORDS,
        blocks=st.just(tuple(blocks)),
        stop=st.sampled_from(
            ["length", "refusal", "tool_calls" if any(isinstance(block, ToolCall) for block in blocks) else "end"]
        ),
        usage=usages,
    )
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Event], Usage]:
    """The events of an answer, its texts in pieces, its blocks overlapping, and its usage."""
    reply = draw(replies)
    lives: dict[int, list[Event]] = {}
    rest: list[Event] = []
    for event in unfold(reply):
        if isinstance(event, Delta):
            at = draw(st.integers(min_value=0, max_value=len(event.text)))
            lives[event.index] += [Delta(event.index, event.text[:at]), Delta(event.index, event.text[at:])]
        elif isinstance(event, BlockStarted | BlockStopped):
            lives.setdefault(event.index, []).append(event)
        else:
            rest.append(event)
    started, finished = rest
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    return [started, *_interleaved(draw, list(lives.values())), finished], reply.usage or Usage()


def _interleaved(draw: st.DrawFn, lives: list[list[Event]]) -> list[Event]:
    """The lives of blocks, which begin in their order, one into another."""
    told: list[Event] = []
    begun: list[list[Event]] = []
    while lives or begun:
        turn = draw(st.integers(min_value=0, max_value=len(begun)))
        if turn == len(begun):
            if not lives:
                continue
            begun.append(lives.pop(0))
        told.append(begun[turn].pop(0))
        begun = [life for life in begun if life]
    return told


# An image always has a detail in a request; what is generated has none.
images = st.builds(
    Media, kind=st.just("image"), media_type=st.just("image/png"), data=TOKENS, detail=st.sampled_from(["low", "auto"])
)
files = (
    images
    | st.builds(Media, kind=st.just("image"), url=st.just("https://x/y.png"), detail=st.just("high"))
    | st.builds(Media, kind=st.just("file"), media_type=st.just("application/pdf"), data=TOKENS, name=WORDS)
    | st.builds(Media, kind=st.just("audio"), media_type=st.sampled_from(["audio/wav", "audio/mpeg"]), data=TOKENS)
)
shown = st.lists(texts | images, max_size=3).map(tuple)
results = st.builds(ToolResult, call_id=NAMES, content=shown, is_custom=st.booleans())
kept = st.builds(Thinking, text=st.just("") | WORDS, opaque=tokens)
said = st.builds(lambda led, last: [*led, last], st.lists(texts | calls | foreign | kept, max_size=3), texts | calls)
user_turns = st.lists(texts | files, min_size=1, max_size=3)
result_turns = st.lists(results, min_size=1, max_size=3)


@st.composite
def _messages(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns of which the first is the user's; those of the assistant, and results, come alone."""
    messages = [Message("user", tuple(draw(user_turns)))]
    kinds = draw(st.lists(st.sampled_from(["user", "assistant", "results", "system"]), max_size=4))
    previous = "user"
    for kind in kinds:
        if kind == previous and kind in ("assistant", "results"):
            continue
        previous = kind
        if kind == "system":
            messages.append(Message("system", (draw(texts),)))
        elif kind == "assistant":
            messages.append(Message("assistant", tuple(draw(said))))
        else:
            messages.append(Message("user", tuple(draw(user_turns if kind == "user" else result_turns))))
    return tuple(messages)


functions = st.builds(
    Tool, name=NAMES, description=st.just("") | WORDS, schema=SCHEMAS, strict=st.booleans()
) | st.builds(Tool, name=NAMES, description=WORDS, is_custom=st.just(True), grammar=st.none() | SCHEMAS)
hosted = st.just(ForeignTool(origin=NAME, kind="web_search", raw=b'{"type":"web_search"}'))
reasonings = (
    st.just(Reasoning(is_enabled=False))
    | st.builds(Reasoning, effort=st.sampled_from(["low", "high"]), shows=st.sampled_from([None, True]))
    | st.just(Reasoning(is_adaptive=True, shows=True))
)
schemas = st.builds(OutputFormat, schema=SCHEMAS, name=NAMES, strict=st.booleans())


def _name_of(tool: Tool | ForeignTool) -> str:
    return tool.name if isinstance(tool, Tool) else tool.kind


conversations = st.builds(
    Conversation,
    system=st.just(()) | st.tuples(texts),
    messages=_messages(),
    tools=st.lists(functions | hosted, min_size=1, max_size=3, unique_by=lambda tool: getattr(tool, "name", "")).map(
        tuple
    ),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    parallel_tool_calls=st.none() | st.booleans(),
    reasoning=st.none() | reasonings,
    output=st.none()
    | st.just(OutputFormat())
    | st.builds(OutputFormat, schema=SCHEMAS, name=NAMES, strict=st.booleans()),
    stream=st.booleans(),
    max_tokens=st.none() | st.integers(min_value=16, max_value=1000),
    temperature=st.none() | st.floats(min_value=0, max_value=2),
    top_p=st.none() | st.floats(min_value=0, max_value=1),
    user=st.none() | WORDS,
    service_tier=st.none() | WORDS,
    verbosity=st.none() | st.sampled_from(["low", "high"]),
    cache_key=st.none() | WORDS,
)
