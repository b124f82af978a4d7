"""An operator's rows over the ones that ship, and which upstreams are live where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hypereal.catalog.files import Rows, builtin_rows
from hypereal.catalog.load import CatalogueError, assemble, live_upstreams, probe_urls
from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.types import Model, Upstream
from hypereal.wire.base import Kind
from tests.catalog.rows import MODEL, SANDBOX_URL, UPSTREAM, around, catalogue_of, rows_of


def over_shipped(text: str, directory: Path, environment: dict[str, str] | None = None, **fields: Any) -> Catalogue:
    return assemble(builtin_rows(), rows_of(text, directory), around(environment, **fields))


def model_of(catalogue: Catalogue, name: str) -> Model:
    model = catalogue.resolve(name)
    assert model is not None
    return model


def upstream_of(catalogue: Catalogue, name: str) -> Upstream:
    return next(upstream for upstream in catalogue.upstreams if upstream.id == name)


def targets_of(catalogue: Catalogue, name: str) -> list[str]:
    return [f"{target.upstream.id}:{target.model}" for target in model_of(catalogue, name).targets]


def test_fields_of_a_shipped_row_are_replaced_one_by_one(tmp_path: Path) -> None:
    text = '[[models]]\nid = "gpt-5"\nprice = { output = "9" }\naliases = ["best"]\n'
    model = model_of(over_shipped(text, tmp_path), "best")
    assert (model.id, model.context_tokens) == ("gpt-5", 400_000)
    assert (model.price.input, model.price.output) == (50_000_000, 900_000_000)
    assert model.price.provenance == "operator"


def test_an_operator_may_say_where_a_price_comes_from(tmp_path: Path) -> None:
    text = '[[models]]\nid = "gpt-5"\nprice = { output = "9", provenance = "public list" }\n'
    assert model_of(over_shipped(text, tmp_path), "gpt-5").price.provenance == "public list"


def test_an_operator_prices_an_hour_in_the_cache(tmp_path: Path) -> None:
    text = '[[models]]\nid = "claude-haiku-4-5"\nprice = { cache_write_1h = "1.10" }\n'
    price = model_of(over_shipped(text, tmp_path), "claude-haiku-4-5").price
    assert (price.cache_write, price.cache_write_1h) == (75_000_000, 110_000_000)


def test_a_key_in_the_environment_makes_an_upstream_live(tmp_path: Path) -> None:
    catalogue = over_shipped("", tmp_path, {"OPENAI_API_KEY": " sk-test \n", "GROQ_API_KEY": " "})
    assert [upstream.id for upstream in catalogue.upstreams] == ["openai"]
    assert upstream_of(catalogue, "openai").secret == "sk-test"
    assert catalogue.dormant["groq"] == "GROQ_API_KEY is not set"
    assert targets_of(catalogue, "gpt-5") == ["openai:gpt-5"]
    assert targets_of(catalogue, "glm-5") == []


def test_a_local_server_is_live_when_it_answered_or_was_given_an_address(tmp_path: Path) -> None:
    assert "ollama" in over_shipped("", tmp_path).dormant
    assert upstream_of(over_shipped("", tmp_path, reachable=frozenset({"ollama"})), "ollama").secret is None
    text = '[[upstreams]]\nid = "ollama"\nbase_url = "http://gpu.example.com:11434/v1/"\n'
    assert upstream_of(over_shipped(text, tmp_path), "ollama").base_url == "http://gpu.example.com:11434/v1"
    catalogue = over_shipped("", tmp_path, {"VLLM_BASE_URL": "http://10.0.0.5:8000/v1"})
    assert upstream_of(catalogue, "vllm").base_url == "http://10.0.0.5:8000/v1"
    assert upstream_of(catalogue, "vllm").secret is None
    keyed = over_shipped("", tmp_path, {"VLLM_BASE_URL": "http://10.0.0.5:8000/v1", "VLLM_API_KEY": "token"})
    assert upstream_of(keyed, "vllm").secret == "token"


def test_azure_needs_its_address_its_key_and_the_operators_deployments(tmp_path: Path) -> None:
    text = """
    [[upstreams]]
    id = "azure"
    options = { api_version = "2024-10-21" }
    [[models]]
    id = "gpt-5"
    targets = ["azure:my-gpt5", "openai:gpt-5"]
    """
    environment = {"AZURE_OPENAI_ENDPOINT": "https://acme.openai.azure.com/", "AZURE_OPENAI_API_KEY": "k"}
    catalogue = over_shipped(text, tmp_path, environment)
    assert targets_of(catalogue, "gpt-5") == ["azure:my-gpt5"]
    azure = upstream_of(catalogue, "azure")
    assert (azure.adapter, azure.base_url) == ("azure", "https://acme.openai.azure.com")
    assert azure.option("api_version") == "2024-10-21"
    assert azure.option("other") is None
    assert over_shipped(text, tmp_path).dormant["azure"] == "AZURE_OPENAI_ENDPOINT is not set"


ACCESS_KEY = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "shh", "AWS_REGION": "eu-west-1"}


def test_a_set_of_variables_may_stand_in_for_a_key(tmp_path: Path) -> None:
    bedrock = upstream_of(over_shipped("", tmp_path, ACCESS_KEY), "bedrock")
    assert bedrock.base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert bedrock.key_env == "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    assert (bedrock.secret, bedrock.credential("access_key"), bedrock.credential("secret_key")) == (None, "AKID", "shh")
    assert bedrock.credential("session_token") is None
    assert "shh" not in repr(bedrock)
    temporary = upstream_of(over_shipped("", tmp_path, {**ACCESS_KEY, "AWS_SESSION_TOKEN": "t"}), "bedrock")
    assert temporary.credential("session_token") == "t"


def test_a_key_goes_before_what_stands_in_for_it(tmp_path: Path) -> None:
    keyed = {**ACCESS_KEY, "AWS_BEARER_TOKEN_BEDROCK": "ABSK"}
    bedrock = upstream_of(over_shipped("", tmp_path, keyed), "bedrock")
    assert (bedrock.key_env, bedrock.secret, bedrock.credentials) == ("AWS_BEARER_TOKEN_BEDROCK", "ABSK", ())


def test_half_of_what_stands_in_for_a_key_is_not_enough(tmp_path: Path) -> None:
    half = {name: value for name, value in ACCESS_KEY.items() if name != "AWS_SECRET_ACCESS_KEY"}
    dormant = over_shipped("", tmp_path, half).dormant
    assert dormant["bedrock"].startswith("AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY")
    assert dormant["bedrock"].endswith("is not set")
    assert dormant["vertex"] == "GOOGLE_CLOUD_PROJECT is not set"
    assert over_shipped("", tmp_path, {"AWS_BEARER_TOKEN_BEDROCK": "k"}).dormant["bedrock"] == "AWS_REGION is not set"


def test_a_credentials_file_may_have_any_name_but_what_is_sent_must_fit_a_header(tmp_path: Path) -> None:
    google = {"GOOGLE_CLOUD_PROJECT": "acme", "GOOGLE_CLOUD_LOCATION": "global"}
    file = {**google, "GOOGLE_APPLICATION_CREDENTIALS": "/etc/비밀.json"}
    assert upstream_of(over_shipped("", tmp_path, file), "vertex").credential("file") == "/etc/비밀.json"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        with pytest.raises(CatalogueError, match=f"bedrock.*{name} holds characters that no header can carry"):
            over_shipped("", tmp_path, {**ACCESS_KEY, name: "é"})


def test_every_field_of_an_upstream_arrives(tmp_path: Path) -> None:
    text = (
        UPSTREAM
        + """
    adapter = "azure"
    headers = { X-Team = "a" }
    dialects = ["gemini", "anthropic", "gemini"]
    counts = ["anthropic"]
    compacts = true
    drop = ["user"]
    rename = { max_tokens = "max_completion_tokens" }
    paths = { chat = "messages", gemini = "generate" }
    connect_timeout_s = 1
    first_byte_timeout_s = 2.5
    silence_timeout_s = 3
    max_connections = 7
    """
    )
    live = upstream_of(catalogue_of(text, tmp_path), "up")
    assert live == Upstream(
        id="up",
        name="up",
        base_url="https://up.example.com/v1",
        adapter="azure",
        headers=(("x-team", "a"),),
        kinds=frozenset({Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDING}),
        dialects=("gemini", "anthropic"),
        counts=frozenset({"anthropic"}),
        compacts=True,
        drop=frozenset({"user"}),
        rename=(("max_tokens", "max_completion_tokens"),),
        paths=(("chat", "messages"), ("gemini", "generate")),
        connect_timeout_s=1,
        first_byte_timeout_s=2.5,
        silence_timeout_s=3,
        max_connections=7,
    )
    assert live.renames("openai_chat") == (("max_tokens", "max_completion_tokens"),)
    assert live.renames("openai_completion") == live.renames("anthropic") == ()
    assert live.path(Kind.CHAT, "anthropic") == "messages"
    assert live.path(Kind.CHAT, "gemini") == "generate"
    assert live.path(Kind.EMBEDDING, "openai_embedding") is None
    assert live.path(Kind.COUNT, "gemini") is None


def test_a_row_can_be_switched_off(tmp_path: Path) -> None:
    text = "".join(
        f'[[{section}]]\nid = "{name}"\nenabled = false\n'
        for section, name in (("upstreams", "openai"), ("models", "gpt-5"), ("intents", "vision"))
    )
    catalogue = over_shipped(text, tmp_path, {"OPENAI_API_KEY": "k", "OPENROUTER_API_KEY": "k"})
    assert catalogue.dormant["openai"] == "switched off"
    assert catalogue.resolve("gpt-5") is None
    assert "vision" not in catalogue.intents
    assert "gpt-5" not in catalogue.intents["reasoning"].models


def test_the_sandbox_answers_for_everything_while_nothing_else_is_live(tmp_path: Path) -> None:
    catalogue = over_shipped("", tmp_path, sandbox_url=f"{SANDBOX_URL}/v1")
    assert [upstream.base_url for upstream in catalogue.upstreams] == [f"{SANDBOX_URL}/v1"]
    assert {tuple(target.upstream.id for target in model.targets) for model in catalogue.models} == {("sandbox",)}
    assert targets_of(catalogue, "dolphin") == ["sandbox:dolphin"]


def test_the_sandbox_steps_aside_for_a_real_upstream(tmp_path: Path) -> None:
    catalogue = over_shipped("", tmp_path, {"OPENAI_API_KEY": "k"}, sandbox_url=SANDBOX_URL)
    assert targets_of(catalogue, "glm-5") == []
    assert catalogue.dormant["sandbox"] == "a real upstream is configured"


def test_a_sandbox_that_is_switched_on_answers_only_for_what_nothing_real_can(tmp_path: Path) -> None:
    catalogue = over_shipped("", tmp_path, {"OPENAI_API_KEY": "k"}, sandbox_url=SANDBOX_URL, sandbox="on")
    assert targets_of(catalogue, "glm-5") == ["sandbox:glm-5"]
    assert targets_of(catalogue, "gpt-5") == ["openai:gpt-5"]


def test_the_sandboxs_address_comes_from_the_server_alone(tmp_path: Path) -> None:
    catalogue = over_shipped("", tmp_path, {"HYPEREAL_SANDBOX_URL": "http://elsewhere.example.com"})
    assert catalogue.upstreams == ()


def test_live_upstreams_are_known_before_the_sandbox_and_despite_faults(tmp_path: Path) -> None:
    rows = rows_of(UPSTREAM + "oops = 1\n" + UPSTREAM.replace('"up"', '"also"'), tmp_path)
    assert live_upstreams(builtin_rows(), rows, around(sandbox_url=SANDBOX_URL, sandbox="on")) == {"also"}
    assert live_upstreams(builtin_rows(), Rows(), around(sandbox_url=SANDBOX_URL)) == frozenset()


def test_what_a_local_server_lists_is_offered_at_the_price_its_row_states(tmp_path: Path) -> None:
    listed = ("llama3.2:latest", "nomic-embed-text:latest", "gpt-5", "llama3.2:latest", "dolphin3:latest")
    found: dict[str, Any] = {"reachable": frozenset({"ollama"}), "discovered": {"ollama": listed, "unheard-of": ("x",)}}
    catalogue = over_shipped("", tmp_path, **found)
    llama = model_of(catalogue, "llama3.2")
    assert llama.id == "ollama/llama3.2:latest"
    assert llama.aliases == ("llama3.2:latest", "llama3.2")
    assert llama.kinds == {Kind.CHAT, Kind.COMPLETION}
    assert (llama.price.input, llama.price.output, llama.price.provenance) == (0, 0, "operator")
    assert model_of(catalogue, "ollama/nomic-embed-text:latest").kinds == {Kind.EMBEDDING}
    assert model_of(catalogue, "gpt-5").owner == "openai"
    assert targets_of(catalogue, "ollama/gpt-5") == ["ollama:gpt-5"]
    assert targets_of(catalogue, "dolphin") == ["ollama:dolphin3"]
    assert targets_of(catalogue, "bge-m3") == []


def test_an_operator_prices_what_is_discovered(tmp_path: Path) -> None:
    text = '[[upstreams]]\nid = "ollama"\ndiscover = { price = { input = "0.05", output = "0.10" } }\n'
    catalogue = over_shipped(text, tmp_path, reachable=frozenset({"ollama"}), discovered={"ollama": ("qwen3:8b",)})
    assert model_of(catalogue, "qwen3:8b").price.output == 10_000_000


def test_an_upstream_of_chat_alone_offers_no_embeddings(tmp_path: Path) -> None:
    text = (
        UPSTREAM.replace(', "completion", "embedding"', "") + 'discover = { price = { input = "0", output = "0" } }\n'
    )
    catalogue = catalogue_of(text, tmp_path, discovered={"up": ("bge-large", "chatty")})
    assert [model.id for model in catalogue.models] == ["up/chatty"]


def test_servers_of_ones_own_are_asked_for_their_models(tmp_path: Path) -> None:
    urls = probe_urls(builtin_rows(), Rows(), around({"VLLM_BASE_URL": "http://v.example.com/v1", "VLLM_API_KEY": "k"}))
    assert urls == {
        "ollama": ("http://127.0.0.1:11434/v1/models", None),
        "vllm": ("http://v.example.com/v1/models", "k"),
    }
    off = rows_of('[[upstreams]]\nid = "ollama"\nenabled = false\n', tmp_path)
    assert probe_urls(builtin_rows(), off, around()) == {}


@pytest.mark.parametrize(
    "change", [MODEL, 'rename = { a = "b" }', '[[intents]]\nid = "i"\nmodels = ["m"]', "enabled = false"]
)
def test_the_revision_follows_the_content(tmp_path: Path, change: str) -> None:
    text = MODEL + UPSTREAM
    first = catalogue_of(text, tmp_path).revision
    changed = text.replace('"m"', '"n"') + change if change == MODEL else text + change
    assert catalogue_of(text, tmp_path).revision == first
    assert catalogue_of(changed, tmp_path).revision != first


def test_the_revision_follows_the_live_upstreams(tmp_path: Path) -> None:
    revisions = {
        over_shipped("", tmp_path, environment, **fields).revision
        for environment, fields in (
            ({}, {}),
            ({"OPENAI_API_KEY": "k"}, {}),
            ({}, {"sandbox_url": SANDBOX_URL}),
            ({}, {"sandbox_url": "http://127.0.0.1:9101"}),
        )
    }
    assert len(revisions) == 4
