"""The page docs/formats.md: each client format with each upstream format, by running the conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hypereal.errors import UpstreamFailed
from hypereal.kit.money import ZERO
from hypereal.kit.sse import split_events
from hypereal.wire import CODECS, DIALECTS
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import (
    Conversation,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reply,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from hypereal.wire.events import fold, unfold
from hypereal.wire.opaque import seal
from hypereal.wire.translate import BROKEN, Translation
from tests.wire.translate.meaning import AIM, PAIRS, asking, envelope_of, meaning, raw_fields, read_all

WORKS = "works"
USAGE = Usage(input=7, output=3)
HI = Message("user", (Text("Hi"),))
NAMES = {
    "openai_chat": "Chat Completions",
    "openai_responses": "Responses",
    "anthropic": "Messages",
    "gemini": "Gemini",
}
INTRODUCTION = """# Formats

Any client can be served by any upstream. Where both speak the same format, the client's bytes are passed on and only
what must change is changed. Otherwise request and answer are translated, and what the upstream's format cannot express
is left out and named in the header `x-hypereal-dropped` of the answer.

This page is made by running the conversions: `python -m tests.wire.translate.matrix > docs/formats.md`. A test keeps it
true. Rows are clients, columns their upstreams; where the two are the same the table tries the format's own codec.
"""
RULES = """
## Rules

- A provider's own tokens (signatures, encrypted reasoning, thought signatures) travel through a client of another
  format under a seal, come back with the next request, and are shown to nobody but their provider. Reasoning of one
  provider is not sent to another: it is left out and named `thinking`.
- A custom tool, which takes free text, becomes a function with one field `input` where the upstream knows only
  functions. Its calls become free text again on the way back.
- Tools that a provider runs itself are known to that provider alone. Elsewhere they are left out and named by their
  type.
- In Chat Completions a tool's result is text: its images follow in a message of the user's, and a failed result begins
  with `Error`.
- A stream that its upstream does not bring to its end closes with one error in the client's format and without the
  event that would end a whole answer.
"""


def _asks(client: str, upstream: str, conversation: Conversation) -> str:
    asked = CODECS[client].read_request(envelope_of(client, conversation).fields)
    passed = CODECS[upstream].write_request(asked, AIM)
    named = sorted({*asked.dropped, *passed.dropped})
    if named:
        return "left out: " + ", ".join(f"`{name}`" for name in named)
    understood = CODECS[upstream].read_request(raw_fields(passed.fields))
    return WORKS if asking(understood) == asking(conversation) else "differs"


def _translation(client: str, upstream: str) -> Translation:
    return Translation(
        client=DIALECTS[client],
        client_codec=CODECS[client],
        upstream=DIALECTS[upstream],
        upstream_codec=CODECS[upstream],
        max_output_tokens=AIM.max_output_tokens,
        default_output_tokens=AIM.default_output_tokens,
    )


def _events(upstream: str, reply: Reply) -> list[bytes]:
    writer = CODECS[upstream].writer(envelope_of(upstream))
    return split_events(b"".join(map(writer.write, unfold(reply))) + writer.end(USAGE, ZERO))[0]


def _streamed(client: str, upstream: str, events: list[bytes]) -> bytes:
    stream = _translation(client, upstream).stream(_streaming(client))
    *most, last = events
    shown = b"".join(map(stream.edit, most))
    return shown + stream.close(last, stream.read(b"".join(events), sum(map(len, events))), USAGE, ZERO)


def _streaming(client: str) -> Envelope:
    return envelope_of(client, Conversation(messages=(HI,), max_tokens=1000, stream=True))


def _answers(client: str, upstream: str, *blocks: Any) -> bool:
    """Whether an answer means the same to the client, whole and streamed."""
    stop: Stop = "tool_calls" if any(isinstance(block, ToolCall) for block in blocks) else "end"
    reply = Reply(id="a1", model="m", blocks=blocks, stop=stop, usage=USAGE)
    body = CODECS[upstream].write_reply(reply, envelope_of(upstream), USAGE)
    whole = _translation(client, upstream).render_answer(envelope_of(client), body, USAGE, ZERO)
    streamed = fold(read_all(CODECS[client].reader(), _streamed(client, upstream, _events(upstream, reply))))
    return meaning(CODECS[client].read_reply(whole)) == meaning(streamed) == meaning(reply)


def _text(client: str, upstream: str) -> str:
    works = _answers(client, upstream, Text("Good day.\n안녕"))
    return _asks(client, upstream, Conversation(messages=(HI,), max_tokens=1000)) if works else "differs"


def _image(client: str, upstream: str) -> str:
    image = Media(kind="image", media_type="image/png", data="iVBORw0KGgo=")
    return _asks(client, upstream, Conversation(messages=(Message("user", (image, Text("?"))),), max_tokens=1000))


def _calls(client: str, upstream: str) -> str:
    calls = (
        ToolCall(id="call_1", name="f", arguments='{"x":1}'),
        ToolCall(id="call_2", name="f", arguments='{"x":2}'),
    )
    results = tuple(ToolResult(call_id=call.id, name="f", content=(Text(call.id),)) for call in calls)
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    conversation = Conversation(
        messages=(HI, Message("assistant", calls), Message("user", results)),
        tools=(Tool(name="f", description="does", schema=schema),),
        max_tokens=1000,
    )
    return _asks(client, upstream, conversation) if _answers(client, upstream, *calls) else "differs"


def _thinking(client: str, upstream: str) -> str:
    """Shown to the client, and its token home again with the next request."""
    token = "EqQBCkYIARgCKkDf/+9w=="
    thought = Thinking(text="Let me see", opaque=Opaque(upstream, token))
    if not _answers(client, upstream, thought, Text("Four.")):
        return "differs"
    echo = Thinking(text="Let me see", opaque=Opaque(client, seal(Opaque(upstream, token), client)))
    turns = (HI, Message("assistant", (echo, Text("Four."))), Message("user", (Text("Why?"),)))
    asked = CODECS[client].read_request(envelope_of(client, Conversation(messages=turns, max_tokens=1000)).fields)
    passed = CODECS[upstream].write_request(asked, AIM)
    return WORKS if token in msgspec.json.encode(passed.fields).decode() else "shown, not returned"


def _schema(client: str, upstream: str) -> str:
    schema = {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}
    output = OutputFormat(schema={**schema, "additionalProperties": False}, name="b")
    return _asks(client, upstream, Conversation(messages=(HI,), output=output, max_tokens=1000))


def _error(client: str, upstream: str) -> str:
    """An upstream that gives up in the middle of a stream."""
    events = _events(upstream, Reply(id="a1", model="m", blocks=(Text("Four."),), stop="end", usage=USAGE))
    failure = DIALECTS[upstream].stream(envelope_of(upstream)).break_off(UpstreamFailed("overloaded"), "u1")
    return _is_broken(client, upstream, [*events[:3], *split_events(failure)[0]])


def _cut(client: str, upstream: str) -> str:
    events = _events(upstream, Reply(id="a1", model="m", blocks=(Text("Four."),), stop="end", usage=USAGE))
    return _is_broken(client, upstream, events[:1])


def _is_broken(client: str, upstream: str, events: list[bytes]) -> str:
    end = DIALECTS[client].stream(_streaming(client)).break_off(UpstreamFailed(BROKEN), "r1")
    shown = _streamed(client, upstream, events)
    return "one clean error" if shown.endswith(end) and shown.count(end) == 1 else "differs"


FEATURES: dict[str, Callable[[str, str], str]] = {
    "Text": _text,
    "Image in": _image,
    "Two parallel tool calls and their results": _calls,
    "Thinking, and its token's return": _thinking,
    "JSON schema": _schema,
    "Error in a stream": _error,
    "Cut stream": _cut,
}


def page() -> str:
    """The whole page."""
    sections = [INTRODUCTION]
    for feature, find_out in FEATURES.items():
        found = {(client, upstream): find_out(client, upstream) for client, upstream in PAIRS}
        sections.append(f"\n## {feature}\n\n{_table(found)}")
    return "".join([*sections, RULES])


def _table(found: dict[tuple[str, str], str]) -> str:
    header = ["client \\ upstream", *(NAMES[name] for name in CODECS)]
    lines = [header, ["---"] * len(header)]
    lines += [[NAMES[client], *(found[client, upstream] for upstream in CODECS)] for client in CODECS]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
