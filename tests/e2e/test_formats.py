"""Sound requests in every format: what comes back, what goes up, what it costs, and how a refusal looks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.bills import bill, query
from tests.support.catalogue_file import COST_OF_OK
from tests.support.faulty_upstream import FaultyUpstream
from tests.support.formats import COUNTED, FORMATS
from tests.support.http_client import Client
from tests.support.openai_format import TEXT
from tests.support.server import BOOTSTRAP_KEY, Server
from tests.support.speakers import SPEAKERS, is_stream

EACH_CLIENT = pytest.mark.parametrize("client_format", list(SPEAKERS))
EACH_UPSTREAM = pytest.mark.parametrize("upstream_format", list(FORMATS))
EACH_FORM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
LONG = "All work and no play makes Jack a dull boy. " * 200
BETA = "context-1m-2025-08-07"


@EACH_FORM
@EACH_UPSTREAM
@EACH_CLIENT
def test_every_client_is_served_by_every_upstream(
    server: Server, client_format: str, upstream_format: str, stream: bool
) -> None:
    speaker, lane = SPEAKERS[client_format], f"speaks-{upstream_format}"
    answer = speaker.ask(server.client, lane, stream=stream)
    assert answer.status == 200, answer.body
    assert (speaker.read(answer), is_stream(answer)) == (TEXT, stream), answer.body
    assert not stream or speaker.is_ended(answer), answer.body
    assert answer.headers["x-hypereal-provider"] == lane
    row = bill(server, answer)
    assert (row["credits"], row["basis"], row["streamed"]) == (COST_OF_OK, "provider", stream)
    assert (row["input_tokens"], row["cache_read_tokens"]) == (100, 20)
    assert (row["output_tokens"], row["reasoning_tokens"]) == (30, 10)


@EACH_UPSTREAM
def test_usage_is_reported_in_the_clients_own_words(server: Server, upstream_format: str) -> None:
    lane = f"speaks-{upstream_format}"
    chat = SPEAKERS["openai_chat"].ask(server.client, lane).json["usage"]
    assert (chat["prompt_tokens"], chat["completion_tokens"]) == (120, 40)
    message = SPEAKERS["anthropic"].ask(server.client, lane).json["usage"]
    assert (message["input_tokens"], message["cache_read_input_tokens"], message["output_tokens"]) == (100, 20, 40)
    response = SPEAKERS["openai_responses"].ask(server.client, lane).json["usage"]
    assert (response["input_tokens"], response["output_tokens"]) == (120, 40)
    gemini = SPEAKERS["gemini"].ask(server.client, lane).json["usageMetadata"]
    assert (gemini["promptTokenCount"], gemini["candidatesTokenCount"], gemini["thoughtsTokenCount"]) == (120, 30, 10)


@EACH_FORM
def test_what_translation_left_out_is_named(server: Server, stream: bool) -> None:
    messages = SPEAKERS["anthropic"]
    dropped = messages.ask(server.client, "speaks-openai_chat", stream=stream, top_k=5).headers["x-hypereal-dropped"]
    assert "top_k" in dropped.split(", ")
    assert "x-hypereal-dropped" not in messages.ask(server.client, "speaks-anthropic", stream=stream, top_k=5).headers
    chat = SPEAKERS["openai_chat"].ask(server.client, "speaks-anthropic", stream=stream, logit_bias={"1": 2}, seed=7)
    assert {"logit_bias", "seed"} <= set(chat.headers["x-hypereal-dropped"].split(", "))


def test_a_failed_attempts_omissions_are_not_said_of_the_one_that_answered(server: Server) -> None:
    answer = SPEAKERS["anthropic"].ask(server.client, "over-formats", top_k=5)
    assert (answer.headers["x-hypereal-provider"], answer.headers["x-hypereal-attempts"]) == ("claude-there", "2")
    assert "x-hypereal-dropped" not in answer.headers


@pytest.mark.parametrize(
    ("client_format", "upstream_format", "fields", "param"),
    [
        ("openai_chat", "anthropic", {"messages": [{"role": "user", "content": 7}]}, "messages"),
        ("openai_chat", "gemini", {"tools": "none"}, "tools"),
        ("anthropic", "openai_chat", {"messages": [{"role": "user", "content": 7}]}, "messages"),
        ("anthropic", "gemini", {"system": 7}, "system"),
        ("openai_responses", "gemini", {"input": [7]}, "input"),
        ("openai_responses", "anthropic", {"tools": "none"}, "tools"),
        ("gemini", "openai_chat", {"contents": [7]}, "contents"),
        ("gemini", "anthropic", {"tools": "none"}, "tools"),
    ],
)
def test_what_translation_cannot_read_is_a_400_that_names_it(
    server: Server, client_format: str, upstream_format: str, fields: dict[str, Any], param: str
) -> None:
    speaker = SPEAKERS[client_format]
    answer = speaker.ask(server.client, f"speaks-{upstream_format}", **fields)
    assert answer.status == 400, answer.body
    assert param in speaker.last_error(answer)
    assert answer.headers["x-should-retry"] == "false"
    assert bill(server, answer)["credits"] == 0


@EACH_CLIENT
def test_an_unknown_model_lists_those_that_the_endpoint_takes(server: Server, client_format: str) -> None:
    speaker = SPEAKERS[client_format]
    answer = speaker.ask(server.client, "speaks-anthropik")
    assert answer.status == 400
    assert "speaks-anthropik" in speaker.last_error(answer)
    assert answer.json["error"]["available_models"][0] == "speaks-anthropic"
    assert answer.headers["x-should-retry"] == "false"


@EACH_CLIENT
def test_a_missing_key_is_a_401_in_the_formats_shape(server: Server, client_format: str) -> None:
    speaker = SPEAKERS[client_format]
    with server.client.with_key(None) as keyless:
        answer = speaker.ask(keyless, "speaks-gemini")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert speaker.last_error(answer) == "Unauthorized. Please log in..."


@pytest.mark.parametrize("client_format", ["openai_chat", "openai_responses"])
def test_a_model_of_anthropics_is_sent_to_its_own_endpoint(server: Server, client_format: str) -> None:
    speaker = SPEAKERS[client_format]
    answer = speaker.ask(server.client, "vendor/claude:v1")
    assert (answer.status, answer.json["error"]["code"]) == (400, "wrong_endpoint")
    assert "/v1/messages" in speaker.last_error(answer)
    for taken in ("anthropic", "gemini"):
        assert SPEAKERS[taken].read(SPEAKERS[taken].ask(server.client, "vendor/claude:v1")) == TEXT


def test_headers_of_anthropics_go_to_an_upstream_of_its_format_alone(server: Server, upstream: FaultyUpstream) -> None:
    for name in ("anthropic", "openai_chat"):
        marker = f"headers to {name} {server.port}"
        body = SPEAKERS["anthropic"].body(f"speaks-{name}", marker, False)
        given = {"anthropic-beta": BETA, "anthropic-version": "2023-01-01", "x-claude-code-session-id": "s"}
        assert server.client.post("/v1/messages", body, **given).status == 200
        headers = upstream.seen(marker)[-1].headers
        expected = (BETA, "2023-01-01") if name == "anthropic" else (None, None)
        assert (headers.get("anthropic-beta"), headers.get("anthropic-version")) == expected
        assert BOOTSTRAP_KEY not in str(headers)
    body = SPEAKERS["anthropic"].body("speaks-anthropic", f"no version {server.port}", False)
    assert server.client.post("/v1/messages?beta=true", body).status == 200
    assert upstream.seen(f"no version {server.port}")[-1].headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("client_format", ["anthropic", "openai_chat"])
def test_breakpoints_are_set_unless_the_client_says_no(
    server: Server, upstream: FaultyUpstream, client_format: str
) -> None:
    speaker = SPEAKERS[client_format]
    system = {"system": LONG} if client_format == "anthropic" else {}
    wishes: tuple[tuple[str, dict[str, Any]], ...] = (
        ("with", {}),
        ("auto", {"hypereal": {"cache": "auto"}}),
        ("without", {"hypereal": {"cache": False}}),
    )
    for note, more in wishes:
        marker = f"cache {note} {client_format} {server.port}"
        content = {"messages": [{"role": "system", "content": LONG}, {"role": "user", "content": marker}]}
        fields: dict[str, Any] = {**more, **(system or content)}
        answer = speaker.ask(server.client, "claude-here", marker, **fields)
        assert answer.status == 200, answer.body
        sent = upstream.seen(marker)[-1].json
        assert ("cache_control" in json.dumps(sent)) is (note != "without"), sent
        assert "hypereal" not in sent


def test_a_session_stays_where_its_cache_is(server: Server) -> None:
    def served_by(text: str) -> str:
        return server.client.chat("sticky", content=text * 200).headers["x-hypereal-provider"]

    session = f"The first session at {server.port}. "
    assert served_by(session) == "ok", "the first choice is busy"
    assert served_by(f"Another session at {server.port}. ") == "busy-once"
    assert served_by(session) == "ok"


COUNTS = pytest.mark.parametrize(
    ("client_format", "path", "count"),
    [
        ("anthropic", "/v1/messages/count_tokens", "input_tokens"),
        ("openai_responses", "/v1/responses/input_tokens", "input_tokens"),
        ("gemini", "/v1beta/models/{model}:countTokens", "totalTokens"),
    ],
)


@COUNTS
def test_tokens_are_counted_for_nothing(server: Server, client_format: str, path: str, count: str) -> None:
    speaker = SPEAKERS[client_format]
    for model, basis in ((f"speaks-{client_format}", "provider"), (f"tells-{client_format}", "estimated")):
        body = speaker.body(model, LONG, False)
        answer = server.client.post(path.format(model=model), body)
        assert answer.status == 200, answer.body
        if basis == "provider":
            assert answer.json[count] == COUNTED
        else:
            assert len(LONG) // 8 < answer.json[count] < len(LONG)
        row = bill(server, answer)
        assert (row["credits"], row["basis"], row["status"], row["model"]) == (0, basis, 200, model)
        entries = query(
            server.database_url, "SELECT * FROM ledger_entries WHERE reference LIKE %(r)s", r=f"%{answer.request_id}"
        )
        assert entries == []
    for broken in ({}, {"model": "no-such-model"}):
        answer = server.client.post(path.format(model="no-such-model"), broken)
        assert answer.status == 400
        assert speaker.last_error(answer)


@COUNTS
def test_what_an_upstream_refuses_to_count_is_refused_and_what_it_fails_to_count_is_estimated(
    server: Server, client_format: str, path: str, count: str
) -> None:
    speaker = SPEAKERS[client_format]
    model = f"refuses-{client_format}"
    refused = server.client.post(path.format(model=model), speaker.body(model, LONG, False))
    assert refused.status == 400, refused.body
    assert "max_tokens is too large" in str(speaker.last_error(refused))
    row = bill(server, refused)
    assert (row["credits"], row["status"]) == (0, 400)
    model = f"breaks-{client_format}"
    estimated = server.client.post(path.format(model=model), speaker.body(model, LONG, False))
    assert (estimated.status, estimated.json[count] > 0) == (200, True)
    assert bill(server, estimated)["basis"] == "estimated"


@pytest.mark.parametrize("path", ["/v1/responses/compact", "/v1/codex/responses/compact"])
def test_a_history_is_made_shorter_by_the_models_own_provider_alone(server: Server, path: str) -> None:
    body = SPEAKERS["openai_responses"].body("speaks-openai_responses", LONG, False)
    del body["stream"]
    answer = server.client.post(path, body)
    assert (answer.status, answer.json["object"]) == (200, "response.compaction"), answer.body
    assert answer.json["output"][0]["type"] == "compaction"
    assert bill(server, answer)["credits"] == COST_OF_OK
    refused = server.client.post(path, {**body, "model": "speaks-anthropic"})
    assert refused.status in (400, 503)
    assert bill(server, refused)["credits"] == 0


def gemini_body(text: str = "Hi") -> dict[str, Any]:
    return SPEAKERS["gemini"].body("", text, False)


@pytest.mark.parametrize(
    "start",
    ["/v1beta", "/v1", "/v1/gemini", "/v1/gemini/v1beta", "/api/v1beta", "/api/v1", "/api/v1/gemini", "/v1/v1beta"],
)
def test_geminis_paths_name_the_model_and_the_verb(server: Server, start: str) -> None:
    for model in ("speaks-gemini", "models%2Fspeaks-gemini", "vendor%2Fclaude%3Av1", "vendor/claude:v1"):
        whole = server.client.post(f"{start}/models/{model}:generateContent", gemini_body())
        assert (whole.status, SPEAKERS["gemini"].read(whole)) == (200, TEXT), (model, whole.body)
        stream = server.client.post(f"{start}/models/{model}:streamGenerateContent?alt=sse", gemini_body())
        assert (SPEAKERS["gemini"].read(stream), SPEAKERS["gemini"].is_ended(stream)) == (TEXT, True)
        array = server.client.post(f"{start}/models/{model}:streamGenerateContent", gemini_body())
        assert array.headers["content-type"].startswith("application/json")
        assert "".join(SPEAKERS["gemini"].text(part) for part in array.json) == TEXT
        count = server.client.post(f"{start}/models/{model}:countTokens", gemini_body())
        assert count.json["totalTokens"] > 0


@pytest.mark.parametrize(
    "path", ["/v1beta/models/speaks-gemini:embedContent", "/v1beta/models/speaks-gemini:", "/v1beta/x"]
)
def test_an_unknown_verb_is_a_404_in_geminis_shape(server: Server, path: str) -> None:
    answer = server.client.post(path, gemini_body())
    assert answer.status == 404
    assert SPEAKERS["gemini"].last_error(answer)
    assert answer.json["error"]["status"] == "NOT_FOUND"


def signed(form: str, key: str) -> tuple[str, dict[str, str]]:
    """The end of a query and the headers that carry a key."""
    match form:
        case "query":
            return f"key={key}", {}
        case "bearer":
            return "", {"authorization": f"Bearer {key}"}
        case _:
            return "", {form: key}


@pytest.mark.parametrize("form", ["bearer", "x-api-key", "x-goog-api-key", "query"])
def test_every_form_of_key_opens_geminis_paths(server: Server, form: str) -> None:
    start = "/v1beta/models/speaks-gemini:streamGenerateContent?alt=sse&"
    with server.client.with_key(None) as keyless:
        query_end, headers = signed(form, BOOTSTRAP_KEY)
        answer = keyless.request("POST", start + query_end, body=gemini_body(), headers=headers)
        assert (SPEAKERS["gemini"].read(answer), is_stream(answer)) == (TEXT, True)
        query_end, headers = signed(form, "ck_" + "y" * 48)
        refused = keyless.request("POST", start + query_end, body=gemini_body(), headers=headers)
    assert (refused.status, refused.json["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert b"yyyy" not in refused.body
    assert "yyyyyyyy" not in server.log


@EACH_FORM
def test_geminis_endpoint_answers_in_the_shape_of_the_request(server: Server, stream: bool) -> None:
    for model in ("speaks-gemini", "speaks-anthropic"):
        own = server.client.post("/v1/gemini", {**gemini_body(), "model": model, "stream": stream})
        assert own.status == 200, own.body
        assert SPEAKERS["gemini"].read(own) == TEXT
        other = server.client.post("/v1/gemini", SPEAKERS["openai_chat"].body(model, "Hi", stream))
        assert (SPEAKERS["openai_chat"].read(other), is_stream(other)) == (TEXT, stream)
        assert bill(server, other)["credits"] == bill(server, own)["credits"] == COST_OF_OK
    neither = server.client.post("/v1/gemini", {"model": "speaks-gemini"})
    assert neither.status == 400
    assert SPEAKERS["gemini"].last_error(neither)


def pages(client: Client, limit: int) -> list[str]:
    """Every model's id, read page by page as Anthropic's SDK does."""
    found: list[str] = []
    after = ""
    while True:
        page = client.get(f"/v1/models?limit={limit}{after}", **{"anthropic-version": "2023-06-01"}).json
        found += [row["id"] for row in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        if not page["has_more"]:
            return found
        after = f"&after_id={quote(page['last_id'])}"


def test_models_are_listed_in_pages(server: Server) -> None:
    whole = server.client.get("/v1/models").json
    names = [row["id"] for row in whole["data"]]
    every = pages(server.client, 400)
    assert len(set(every)) == len(every)
    assert every[:1000] == names
    assert whole["has_more"] is (len(every) > 1000)
    row = next(row for row in whole["data"] if row["id"] == "speaks-anthropic")
    assert (row["object"], row["type"], row["display_name"]) == ("model", "model", "speaks-anthropic")
    before = server.client.get(f"/v1/models?limit=2&before_id={quote(names[5])}").json
    assert [row["id"] for row in before["data"]] == names[3:5]
    assert before["has_more"] is True
    for wrong in ("0", "1001", "many"):
        assert server.client.get(f"/v1/models?limit={wrong}").status == 400
    for bound in ("after_id", "before_id"):
        unknown = server.client.get(f"/v1/models?{bound}=gone")
        assert (unknown.status, unknown.error["param"]) == (400, bound)


def test_googles_clients_get_googles_list(server: Server) -> None:
    get = server.client.get
    listings = (get("/v1beta/models"), get("/v1/gemini/v1beta/models"), get("/v1/models", **{"x-goog-api-client": "g"}))
    for answer in listings:
        (row,) = [row for row in answer.json["models"] if row["name"] == "models/speaks-gemini"]
        assert (row["inputTokenLimit"], row["outputTokenLimit"]) == (128_000, 16_000)
        assert set(row["supportedGenerationMethods"]) == {"generateContent", "streamGenerateContent", "countTokens"}
    one = server.client.get("/v1beta/models/speaks-gemini").json
    assert one["name"] == "models/speaks-gemini"
    missing = server.client.get("/v1beta/models/no-such-model")
    assert (missing.status, missing.json["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(("path", "headers"), [("/v1beta/models", {}), ("/v1/models", {"x-goog-api-client": "g"})])
def test_googles_clients_page_through_their_list(server: Server, path: str, headers: dict[str, str]) -> None:
    whole = server.client.get(path, **headers).json
    assert whole["nextPageToken"] == ""
    seen: list[Any] = []
    token = ""
    while not seen or token:
        page = server.client.get(f"{path}?pageSize=100&pageToken={quote(token, safe='')}", **headers).json
        assert 0 < len(page["models"]) <= 100
        seen += page["models"]
        token = page["nextPageToken"]
    assert seen == whole["models"]
    for field, wrong in (("pageToken", "gone"), ("pageSize", "-1"), ("pageSize", "many")):
        refused = server.client.get(f"{path}?{field}={wrong}", **headers)
        assert refused.status == 400, wrong
        assert field in refused.error["message"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/gemini", "/v1/chat/completions"])
def test_an_endpoint_lists_what_it_takes(server: Server, path: str) -> None:
    names = {row["id"] for row in server.client.get(path).json["data"]}
    assert "speaks-gemini" in names
    assert "embedder" not in names
    assert ("vendor/claude:v1" in names) is (path != "/v1/chat/completions")
    with server.client.with_key(None) as keyless:
        assert keyless.get(path).status == 401


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/codex/responses", "/api/v1/responses"])
def test_responses_lists_its_models_without_a_key(server: Server, path: str) -> None:
    with server.client.with_key(None) as keyless:
        names = {row["id"] for row in keyless.get(path).json["data"]}
    assert "speaks-anthropic" in names
    assert "vendor/claude:v1" not in names


def test_what_waiting_may_help_is_not_marked_as_pointless(server: Server) -> None:
    answer = SPEAKERS["anthropic"].ask(server.client, "unavailable~whole-alone")
    assert answer.status in (502, 503)
    assert "x-should-retry" not in answer.headers
