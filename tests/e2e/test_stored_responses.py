"""Stored responses: going on from them, looking at them, deleting them; across accounts, processes and restarts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import open_account
from tests.support.bills import bill
from tests.support.catalogue_file import COST_OF_OK, model_row, render
from tests.support.databases import fresh_database
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.format_lanes import format_row
from tests.support.http_client import Answer, Client
from tests.support.openai_format import TEXT
from tests.support.server import Server, start_server

PATH = "/v1/responses"
MODEL = "speaks-openai_responses"


def ask(client: Client, content: Any = "Hi", *, model: str = MODEL, **fields: Any) -> Answer:
    return client.post(PATH, {"model": model, "input": content, **fields})


def name_of(answer: Answer) -> str:
    """The id of the response that an answer is, whole or as a stream."""
    assert answer.status == 200, answer.body
    is_stream = answer.headers["content-type"].startswith("text/event-stream")
    response = answer.events[-1]["response"] if is_stream else answer.json
    return str(response["id"])


@pytest.fixture
def stranger(server: Server) -> Iterator[Client]:
    with server.client.with_key(open_account(server, "1000").secret) as client:
        yield client


def inputs(upstream: FaultyUpstream, marker: str) -> Any:
    return upstream.seen(marker)[-1].json["input"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", [MODEL, "speaks-gemini"])
def test_a_request_goes_on_from_the_answer_of_any_model(
    server: Server, upstream: FaultyUpstream, model: str, stream: bool
) -> None:
    marker = f"stored by {model} {stream} {server.port}"
    first = name_of(ask(server.client, marker, model=model, stream=stream))
    second = ask(server.client, "And now?", previous_response_id=first)
    assert second.status == 200, second.body
    sent = inputs(upstream, marker)
    assert [item["role"] for item in sent] == ["user", "assistant", "user"]
    assert TEXT in json.dumps(sent[1])
    assert "And now?" in json.dumps(sent[2])
    assert bill(server, second)["credits"] == COST_OF_OK
    third = ask(server.client, "And then?", previous_response_id=name_of(second), model="speaks-anthropic")
    assert third.status == 200
    assert len(upstream.seen(marker)[-1].json["messages"]) == 5


def test_codexs_spelling_of_the_path_reaches_what_is_below_it(server: Server) -> None:
    name = name_of(ask(server.client))
    for spelling in ("/v1/codex/responses", "/api/v1/codex/responses"):
        assert server.client.get(f"{spelling}/{name}").json["id"] == name
        counted = server.client.post(f"{spelling}/input_tokens", {"model": MODEL, "input": "Hi"})
        assert (counted.status, counted.json["object"]) == (200, "response.input_tokens"), counted.body
    assert server.client.request("DELETE", f"/v1/codex/responses/{name}").status == 200


def test_a_response_of_another_account_is_as_unknown_as_one_that_never_was(server: Server, stranger: Client) -> None:
    theirs = name_of(ask(server.client))
    asked = ask(stranger, previous_response_id=theirs)
    never = ask(stranger, previous_response_id="resp_never")
    for answer, name in ((asked, theirs), (never, "resp_never")):
        assert (answer.status, answer.error["code"]) == (400, "previous_response_not_found")
        assert answer.error["param"] == "previous_response_id"
        assert answer.error["message"] == f"Previous response with id '{name}' not found"
    for path in (f"{PATH}/{theirs}", f"{PATH}/{theirs}/input_items"):
        assert stranger.get(path).status == 404
    assert stranger.request("DELETE", f"{PATH}/{theirs}").status == 404
    assert server.client.get(f"{PATH}/{theirs}").status == 200


def test_an_impossible_id_is_unknown(server: Server) -> None:
    for path in (f"{PATH}/resp_%00x", f"{PATH}/resp_%00x/input_items", f"{PATH}/resp_%C3%A9"):
        assert server.client.get(path).status == 404
        assert server.client.request("DELETE", path.removesuffix("/input_items")).status == 404
    answer = ask(server.client, previous_response_id="resp_\0x")
    assert (answer.status, answer.error["code"]) == (400, "previous_response_not_found")


def test_a_stored_response_can_be_looked_at_and_listed_and_deleted(server: Server) -> None:
    content = [{"role": "user", "content": f"item {number}"} for number in range(3)]
    answer = ask(server.client, content)
    name = name_of(answer)
    assert server.client.get(f"{PATH}/{name}").json == answer.json
    listing = server.client.get(f"{PATH}/{name}/input_items").json
    assert [item["content"] for item in listing["data"]] == ["item 2", "item 1", "item 0"]
    assert (listing["object"], listing["has_more"]) == ("list", False)
    page = server.client.get(f"{PATH}/{name}/input_items?order=asc&limit=2").json
    assert ([item["content"] for item in page["data"]], page["has_more"]) == (["item 0", "item 1"], True)
    rest = server.client.get(f"{PATH}/{name}/input_items?order=asc&after={page['last_id']}").json
    assert [item["content"] for item in rest["data"]] == ["item 2"]
    deleted = server.client.request("DELETE", f"{PATH}/{name}")
    assert (deleted.status, deleted.json["deleted"], deleted.json["id"]) == (200, True, name)
    assert server.client.get(f"{PATH}/{name}").status == 404
    assert server.client.request("DELETE", f"{PATH}/{name}").status == 404
    assert ask(server.client, previous_response_id=name).status == 400


def test_input_without_ids_of_its_own_is_listed_by_made_up_ones(server: Server) -> None:
    items = [{"role": "user", "content": "x", "id": given} for given in (7, None, ["x"], "own")]
    name = name_of(ask(server.client, items))
    listing = server.client.get(f"{PATH}/{name}/input_items?order=asc")
    assert [item["id"] for item in listing.json["data"]] == ["item_0", "item_1", "item_2", "own"]
    assert (listing.json["first_id"], listing.json["last_id"]) == ("item_0", "own")


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/input_items?after=item_9", "after"),
        ("/input_items?after=", "after"),
        ("/input_items?limit=0", "limit"),
        ("/input_items?limit=101", "limit"),
        ("/input_items?limit=many", "limit"),
        ("?stream=true", "stream"),
    ],
)
def test_a_bad_parameter_is_named(server: Server, path: str, param: str) -> None:
    name = name_of(ask(server.client))
    answer = server.client.get(f"{PATH}/{name}{path}")
    assert (answer.status, answer.error["param"]) == (400, param)
    assert param in answer.error["message"] or param == "stream"
    assert server.client.get(f"{PATH}/{name}?stream=false").status == 200


def test_what_is_not_to_be_stored_is_not(server: Server) -> None:
    for stream in (False, True):
        name = name_of(ask(server.client, store=False, stream=stream))
        assert ask(server.client, previous_response_id=name).status == 400
        assert server.client.get(f"{PATH}/{name}").status == 404


def test_an_answer_that_failed_is_not_stored(server: Server) -> None:
    answer = ask(server.client, model="cut~openai_responses-openai_responses-stream-alone", stream=True)
    name = answer.events[0]["response"]["id"]
    assert server.client.get(f"{PATH}/{name}").status == 404


def test_stored_responses_need_a_key(server: Server) -> None:
    name = name_of(ask(server.client))
    with server.client.with_key(None) as keyless:
        for answer in (keyless.get(f"{PATH}/{name}"), keyless.request("DELETE", f"{PATH}/{name}")):
            assert answer.status == 401
            assert answer.error["type"] == "authentication_error"


@pytest.mark.parametrize("given", [7, [], {}, True])
def test_a_previous_response_of_a_wrong_type_is_named(server: Server, given: object) -> None:
    answer = ask(server.client, previous_response_id=given)
    assert (answer.status, answer.error["param"]) == (400, "previous_response_id")


def test_a_background_response_is_refused(server: Server) -> None:
    answer = ask(server.client, background=True)
    assert (answer.status, answer.error["param"]) == (400, "background")
    assert ask(server.client, background=False).status == 200


@pytest.mark.timeout(300)  # two starts of a server, each of which may take a minute on a busy machine
def test_every_process_knows_it_and_a_restart_forgets_nothing(
    upstream: FaultyUpstream, tmp_path: Path, database_server: str, migrated_template: str, front: str
) -> None:
    lane = f"stored-{front}"
    rows = [format_row(lane, upstream.url(f"ok~{lane}"), "openai_responses")]
    catalogue = render(rows, [model_row("stored", [f"{lane}:there"], kinds=["chat"])])
    with fresh_database(database_server, migrated_template) as url:
        more = {"HYPEREAL_BOOTSTRAP_CREDITS": "1000"}
        arguments = ("--workers", "2", *(("--no-hot-lane",) if front == "asgi" else ()))
        server = start_server(tmp_path, url, catalogue=catalogue, arguments=arguments, variables=more)
        name = name_of(ask(server.client, "Remember", model="stored"))
        for _ in range(8):  # new connections, so that both processes are asked
            with server.client.with_key(server.client.key) as client:
                assert ask(client, "Still?", model="stored", previous_response_id=name).status == 200
        last = name_of(ask(server.client, "Written at the end", model="stored"))
        server.stop()
        server.start_again()
        for kept in (name, last):
            assert server.client.get(f"{PATH}/{kept}").json["id"] == kept
        server.stop()
