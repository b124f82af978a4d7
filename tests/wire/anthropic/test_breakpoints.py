"""Hypereal Cache: where breakpoints go, and that the next request of a session finds what this one wrote."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from hypereal.errors import InvalidRequest
from hypereal.wire.anthropic.breakpoints import BILLING_HEADER, insert_breakpoints, reads_cache_option
from hypereal.wire.fields import Fields, read_fields

EPHEMERAL = {"type": "ephemeral"}
LOOKBACK_BLOCKS = 20  # Anthropic's documentation, "Prompt caching"
LONG = "All work and no play makes Jack a dull boy. " * 120


def fields_of(body: dict[str, Any]) -> Fields:
    fields = read_fields(json.dumps(body).encode())
    assert isinstance(fields, dict)
    return fields


def marked(body: dict[str, Any], min_tokens: int = 1024) -> dict[str, Any] | None:
    """The body as it would be sent, or None when it goes as it is."""
    fields = insert_breakpoints(fields_of(body), min_tokens=min_tokens)
    return None if fields is None else {name: json.loads(bytes(raw)) for name, raw in fields.items()}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": blocks[0] if len(blocks) == 1 and isinstance(blocks[0], str) else list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {**user(*blocks), "role": "assistant"}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": LONG, "input_schema": {"type": "object"}, **more}


def body_of(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": list(messages), **more}


def prompt_blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the model is shown, block by block, in the order in which it is cached."""

    def listed(value: Any) -> list[dict[str, Any]]:
        return [text(value)] if isinstance(value, str) else value

    found = [{"at": "tools", **tool} for tool in body.get("tools", [])]
    found += [{"at": "system", **block} for block in listed(body.get("system", []))]
    for message in body["messages"]:
        found += [{"at": message["role"], **block} for block in listed(message["content"])]
    return found


class PrefixCache:
    """Anthropic's cache: prefixes that end at a mark are kept, and sought a little before each mark."""

    def __init__(self) -> None:
        self.kept: set[str] = set()

    def serve(self, body: dict[str, Any]) -> tuple[int, int, int]:
        """How many blocks of the prompt were read from the cache, how many it has, and where its last mark is."""
        blocks = prompt_blocks(body)
        marks = [index for index, block in enumerate(blocks) if block.get("cache_control") == EPHEMERAL]
        bare = [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]
        prefixes = [json.dumps(bare[: index + 1], sort_keys=True) for index in range(len(bare))]
        read = 0
        for mark in marks:
            for index in range(mark, max(mark - LOOKBACK_BLOCKS, 0) - 1, -1):
                if prefixes[index] in self.kept:
                    read = max(read, index + 1)
                    break
        self.kept.update(prefixes[mark] for mark in marks)
        return read, len(blocks), marks[-1] + 1 if marks else 0


def check_session(turns: list[tuple[dict[str, Any], dict[str, Any]]], **more: Any) -> None:
    """Send a session turn by turn: each request must read all that the one before had marked."""
    cache, written, history = PrefixCache(), 0, []
    for asked, answered in turns:
        history.append(asked)
        body = body_of(*history, **more)
        sent = marked(body)
        assert sent is not None
        assert [
            {k: v for k, v in block.items() if k != "cache_control"} for block in prompt_blocks(sent)
        ] == prompt_blocks(body)
        read, _, end = cache.serve(sent)
        assert read >= written
        written = end
        history.append(answered)
    assert written >= len(prompt_blocks(body_of(*history[:-3], **more)))


def test_tools_system_and_the_last_but_one_user_turn_are_marked() -> None:
    sent = marked(body_of(user("a"), assistant("b"), user("c"), system=LONG, tools=[tool("f"), tool("g")]))
    assert sent is not None
    assert sent["tools"] == [tool("f"), tool("g", cache_control=EPHEMERAL)]
    assert sent["system"] == [{**text(LONG), "cache_control": EPHEMERAL}]
    assert sent["messages"] == [user({**text("a"), "cache_control": EPHEMERAL}), assistant("b"), user("c")]
    assert list(sent) == ["model", "max_tokens", "messages", "system", "tools"]


def test_never_more_than_four_marks() -> None:
    turns = [message for n in range(9) for message in (user(f"q{n}"), assistant(f"a{n}"))]
    sent = marked(body_of(*turns, user("last"), system=LONG, tools=[tool("f")]))
    assert sent is not None
    marks = [block for block in prompt_blocks(sent) if "cache_control" in block]
    assert [block.get("text", block.get("name")) for block in marks] == ["f", LONG, "q7", "q8"]


def test_the_first_turn_of_a_session_is_not_marked() -> None:
    sent = marked(body_of(user(LONG), system=LONG))
    assert sent is not None
    assert sent["messages"] == [user(LONG)]


def test_a_prefilled_answer_does_not_make_the_last_turn_an_older_one() -> None:
    sent = marked(body_of(user("a"), assistant("b"), user("c"), assistant("{"), system=LONG))
    assert sent is not None
    assert [message["content"] for message in sent["messages"][1:]] == ["b", "c", "{"]


@pytest.mark.parametrize(
    "with_mark",
    [
        {"cache_control": EPHEMERAL},
        {"system": [{**text(LONG), "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"tools": [tool("f", cache_control=EPHEMERAL)]},
        {"messages": [user({**text("a"), "cache_control": EPHEMERAL})]},
        {
            "messages": [
                user(
                    {"type": "tool_result", "tool_use_id": "t", "content": [{**text("r"), "cache_control": EPHEMERAL}]}
                )
            ]
        },
    ],
)
def test_a_request_with_a_breakpoint_of_its_own_goes_as_it_is(with_mark: dict[str, Any]) -> None:
    assert marked(body_of(user("a"), **{"system": LONG, **with_mark})) is None


def test_a_breakpoint_within_a_document_counts() -> None:
    source = {"type": "content", "content": [{**text("page"), "cache_control": EPHEMERAL}]}
    assert marked(body_of(user({"type": "document", "source": source}), system=LONG)) is None


def test_prose_that_is_the_word_cache_control_is_not_a_breakpoint() -> None:
    assert marked(body_of(user("cache_control"), assistant("b"), user("c"), system=LONG)) is not None


def test_a_null_breakpoint_is_none() -> None:
    system = [{**text(LONG), "cache_control": None}]
    sent = marked(body_of(user("a"), system=system, cache_control=None))
    assert sent is not None
    assert sent["system"] == [{**text(LONG), "cache_control": EPHEMERAL}]


def test_a_tool_argument_that_is_called_cache_control_is_not_a_breakpoint() -> None:
    schema = {"type": "object", "properties": {"cache_control": {"type": "string"}}}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": "no-store"}}
    sent = marked(body_of(user("a"), assistant(call), user("b"), tools=[tool("f", input_schema=schema)]))
    assert sent is not None
    assert sent["tools"][0]["cache_control"] == EPHEMERAL


def test_a_short_prompt_goes_as_it_is() -> None:
    assert marked(body_of(user("a"), assistant("b"), user("c"), system="Be brief.")) is None


def test_what_is_under_the_minimum_is_not_marked_and_what_reaches_it_is() -> None:
    sent = marked(body_of(user(LONG), assistant("b"), user("c"), system="Be brief."))
    assert sent is not None
    assert sent["system"] == [text("Be brief.")]
    assert sent["messages"][0] == user({**text(LONG), "cache_control": EPHEMERAL})


def test_the_minimum_is_the_models() -> None:
    body = body_of(user("a"), system=LONG)
    assert marked(body, min_tokens=1024) is not None
    assert marked(body, min_tokens=4096) is None


def test_deferred_tools_and_toolsets_bear_no_mark() -> None:
    later = tool("later", defer_loading=True)
    toolset = {"type": "mcp_toolset", "mcp_server_name": "s"}
    sent = marked(body_of(user("a"), tools=[tool("now"), later, toolset]))
    assert sent is not None
    assert sent["tools"] == [tool("now", cache_control=EPHEMERAL), later, toolset]
    assert marked(body_of(user("a"), tools=[later])) is None


def test_blocks_that_may_not_bear_a_mark_are_passed_over() -> None:
    kept = user(
        text("q"), text(""), text(" \n"), {"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "?"}
    )
    sent = marked(body_of(kept, assistant("b"), user("c"), system=LONG))
    assert sent is not None
    assert sent["messages"][0] == user({**text("q"), "cache_control": EPHEMERAL}, *kept["content"][1:])


def test_a_turn_without_a_block_to_mark_is_marked_in_an_earlier_message_of_it() -> None:
    sent = marked(body_of(user("q"), user(text("")), {"role": "user"}, assistant("b"), user("c"), system=LONG))
    assert sent is not None
    assert sent["messages"][0] == user({**text("q"), "cache_control": EPHEMERAL})


def test_an_empty_system_block_at_the_end_is_passed_over() -> None:
    sent = marked(body_of(user("a"), system=[text(LONG), text("")]))
    assert sent is not None
    assert sent["system"] == [{**text(LONG), "cache_control": EPHEMERAL}, text("")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": 7},
        {"messages": [7]},
        {"messages": [{"role": 7}]},
        {"messages": [user("a"), {"role": "user", "content": 7}, assistant("b"), user("c")]},
        {"system": 7},
        {"system": [7]},
        {"tools": {"f": 1}},
        {"tools": [tool("f"), None]},
        {"tools": [tool("f", defer_loading="yes")]},
        {"system": ["cache_control", LONG]},
    ],
)
def test_what_is_not_of_the_format_goes_as_it_is(wrong: dict[str, Any]) -> None:
    assert marked(body_of(user("a"), **{"system": LONG * 2, **wrong})) is None


def test_a_body_nested_too_deeply_goes_as_it_is() -> None:
    deep = b'{"content":' * 400 + b'["cache_control"]' + b"}" * 400
    fields = read_fields(b'{"system":"%b","messages":[%b]}' % (LONG.encode(), deep))
    assert isinstance(fields, dict)
    assert insert_breakpoints(fields, min_tokens=10) is None


def test_missing_and_null_fields_are_no_prefix() -> None:
    assert marked({"model": "m"}) is None
    assert marked(body_of(user("a"), system=None, tools=None)) is None


def test_the_same_body_is_always_marked_alike() -> None:
    body = body_of(user("a"), assistant("b"), user("c"), system=LONG, tools=[tool("f")])
    once, again = (insert_breakpoints(fields_of(body), min_tokens=1024) for _ in range(2))
    assert once is not None
    assert again is not None
    assert [bytes(raw) for raw in once.values()] == [bytes(raw) for raw in again.values()]


def test_what_bears_no_mark_keeps_its_bytes() -> None:
    odd = b'{ "role":"assistant", "content" : [{"type":"thinking","thinking":"\\u00e9","signature":"+/=="}] }'
    body = b'{"system":"%b","messages":[{"role":"user","content":"a"},%b,{"role":"user","content":"c"}]}'
    fields = read_fields(body % (LONG.encode(), odd))
    assert isinstance(fields, dict)
    sent = insert_breakpoints(fields, min_tokens=1024)
    assert sent is not None
    assert odd in bytes(sent["messages"])


def test_each_request_of_a_conversation_reads_what_the_last_one_wrote() -> None:
    turns = [(user(f"question {n} {LONG}"), assistant(f"answer {n}")) for n in range(6)]
    check_session(turns, system=LONG, tools=[tool("f"), tool("g")])


def test_a_conversation_without_system_and_tools_is_read_too() -> None:
    cache = PrefixCache()
    history: list[dict[str, Any]] = [user(LONG)]
    reads = []
    for n in range(5):
        sent = marked(body_of(*history))
        reads.append(0 if sent is None else cache.serve(sent)[0])
        history += [assistant(f"answer {n}"), user(text(f"question {n}"))]
    assert reads == [0, 0, 1, 3, 5]


def test_an_agents_loop_of_calls_and_results_reads_what_it_wrote() -> None:
    def turn(n: int) -> tuple[dict[str, Any], dict[str, Any]]:
        thinking = {"type": "thinking", "thinking": "hm", "signature": f"s{n}"}
        calls = [{"type": "tool_use", "id": f"t{n}.{i}", "name": "f", "input": {}} for i in range(15)]
        results = [{"type": "tool_result", "tool_use_id": f"t{n - 1}.{i}", "content": "ok"} for i in range(15)]
        return (user(*results) if n else user("Go on until you are done.")), assistant(thinking, *calls)

    check_session([turn(n) for n in range(7)], system=[text(LONG), text("More.")], tools=[tool("f")])


def test_server_tools_and_empty_blocks_do_not_break_a_session() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    turns = [
        (user("a"), assistant(search, found, text("b"))),
        (user(text("c"), text("")), assistant("d")),
        (user({"type": "tool_result", "tool_use_id": "t"}), assistant("e")),
        (user("f"), assistant("g")),
        (user("h"), assistant("i")),
    ]
    check_session(turns, system=LONG)


def test_system_messages_in_the_middle_do_not_break_a_session() -> None:
    cache, history, written = PrefixCache(), [], 0
    for n in range(5):
        history += [user(f"q{n}"), {"role": "system", "content": f"note {n}"}]
        sent = marked(body_of(*history, system=LONG))
        assert sent is not None
        read, _, end = cache.serve(sent)
        assert read >= written
        written = end
        history.append(assistant(f"a{n}"))
    assert written > 6


def test_a_billing_header_that_changes_with_each_request_is_left_out() -> None:
    cache, reads = PrefixCache(), []
    for n in range(3):
        header = text(f"{BILLING_HEADER} cc_version=2.1.{n}; cch=0000{n};")
        sent = marked(body_of(user("a"), assistant("b"), user("c"), system=[header, text(LONG)]))
        assert sent is not None
        assert sent["system"] == [{**text(LONG), "cache_control": EPHEMERAL}]
        reads.append(cache.serve(sent)[0])
    assert reads == [0, 2, 2]


def test_a_system_prompt_of_nothing_but_a_billing_header_is_gone() -> None:
    sent = marked(body_of(user("a"), system=[text(f"{BILLING_HEADER} cch=1;")], tools=[tool("f")]))
    assert sent is not None
    assert "system" not in sent


def test_a_prompt_that_speaks_of_the_billing_header_keeps_it() -> None:
    talk = text(f"Never send {BILLING_HEADER} {LONG}")
    sent = marked(body_of(user("a"), system=[talk]))
    assert sent is not None
    assert sent["system"] == [{**talk, "cache_control": EPHEMERAL}]


def test_a_request_that_goes_as_it_is_keeps_its_billing_header() -> None:
    assert marked(body_of(user("a"), system=[text(f"{BILLING_HEADER} cch=1;")])) is None


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        (..., True),
        (None, True),
        ({}, True),
        ({"cache": None}, True),
        ({"cache": "auto"}, True),
        ({"cache": False}, False),
    ],
)
def test_the_option_turns_it_off(option: Any, wanted: bool) -> None:
    assert reads_cache_option(fields_of({} if option is ... else {"hypereal": option})) is wanted


@pytest.mark.parametrize("value", [True, 0, 1, "off", "", [], {}])
def test_any_other_option_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"hypereal\.cache") as refused:
        reads_cache_option(fields_of({"hypereal": {"cache": value}}))
    assert refused.value.param == "hypereal.cache"


def test_an_option_that_is_no_object_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as refused:
        reads_cache_option(fields_of({"hypereal": "auto"}))
    assert refused.value.param == "hypereal"


def test_an_option_that_cannot_be_read_is_refused() -> None:
    fields = read_fields(b'{"hypereal":{"cache":1e999}}')
    assert isinstance(fields, dict)
    with pytest.raises(InvalidRequest) as refused:
        reads_cache_option(fields)
    assert refused.value.param == "hypereal"


def test_a_body_of_200_kb_costs_little() -> None:
    turns = [message for n in range(40) for message in (user(f"{n} {LONG[:2000]}"), assistant(LONG[:2000]))]
    fields = fields_of(body_of(*turns, user("last"), system=LONG, tools=[tool(f"f{n}") for n in range(8)]))
    took = []
    for _ in range(20):
        start = time.perf_counter()
        assert insert_breakpoints(fields, min_tokens=1024) is not None
        took.append(time.perf_counter() - start)
    assert min(took) < 0.005
