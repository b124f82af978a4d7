"""The rows that ship: complete, sound, and at the contract's prices."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hypereal.catalog.files import Rows, builtin_rows
from hypereal.catalog.load import assemble, check
from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.rows import UpstreamRow, variables
from hypereal.kit.money import CREDITS_PER_DOLLAR, MICRO_PER_CREDIT
from hypereal.providers import ADAPTERS
from hypereal.wire.base import Kind
from tests.catalog.rows import ADAPTERS as ADAPTER_NAMES
from tests.catalog.rows import SANDBOX_URL, around

CONTRACT_PRICES = {
    "gpt-5": ("0.50", "4"),
    "gpt-5.4": ("1", "6"),
    "gpt-5.4-mini": ("0.30", "1.80"),
    "gpt-5.4-nano": ("0.08", "0.48"),
    "glm-5": ("0.60", "2.70"),
    "qwen3.5-plus": ("0.60", "3.60"),
    "qwen3.5-flash": ("0.20", "1.80"),
    "qwen3-max": ("1.10", "4.20"),
    "deepseek-v3.2": ("0.60", "2.40"),
    "kimi-k2.5": ("0.60", "3.20"),
    "MiniMax-M2.5": ("0.35", "1.30"),
    "dolphin": ("0.20", "0.90"),
    "claude-opus-4-6": ("4", "20"),
    "claude-sonnet-4-6": ("2.40", "12"),
    "claude-haiku-4-5": ("0.60", "3"),
    "gemini-3-flash-official": ("0.30", "1.80"),
    "gemini-3.1-pro": ("0.80", "4.80"),
    "gemini-3.1-fast": ("0.70", "4.20"),
    "gemini-2.5-pro-official": ("0.76", "6"),
    "gemini-2.5-flash-official": ("0.18", "1.50"),
    "gemini-2.0-flash-official": ("0.08", "0.36"),
}
CHAT = frozenset(
    """
    gpt-5 gpt-5.1 gpt-5.2 gpt-5.3 gpt-5.4 gpt-5.5 gpt-5.5-instant gpt-5.5-pro gpt-5.4-mini gpt-5.4-nano
    gpt-5.4-official gpt-5.4-pro-official gpt-5.2-official gpt-5-pro-official gpt-realtime-1.5-official
    gpt-audio-1.5-official glm-5 qwen3.5-plus qwen3.5-flash qwen3-max deepseek-v3.2 kimi-k2.5 MiniMax-M2.5
    nano-banana-2 dolphin
    """.split()  # noqa: SIM905 - the names as the contract lists them
)
CODEX = frozenset(
    """
    gpt-5-codex gpt-5-codex-mini gpt-5.1-codex gpt-5.1-codex-mini gpt-5.1-codex-max gpt-5.2-codex gpt-5.3-codex
    gpt-5.3-codex-spark gpt-5.3-codex-official
    """.split()  # noqa: SIM905 - the names as the contract lists them
)
GEMINI = frozenset(
    """
    gemini-3-pro-official gemini-3-pro-preview-official gemini-3-flash-official gemini-3-flash-preview-official
    gemini-3.1-pro gemini-3.1-pro-preview-official gemini-3.1-fast gemini-3.1-thinking gemini-3.5-thinking
    gemini-3.5-fast gemini-3.1-flash-lite-preview-official gemini-2.5-pro-official gemini-2.5-flash-official
    gemini-2.5-flash-lite-official gemini-2.0-flash-official gemini-2.0-flash-lite-official gemini-2.0-flash-vip
    gemini-2.5-flash-vip gemini-2.5-pro-vip gemini-3-flash-preview-vip
    """.split()  # noqa: SIM905 - the names as the contract lists them
)


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return assemble(builtin_rows(), Rows(), around(sandbox_url=SANDBOX_URL))


def rate(usd: str) -> int:
    return int(Decimal(usd) * CREDITS_PER_DOLLAR * MICRO_PER_CREDIT)


def test_the_shipped_rows_are_sound() -> None:
    assert ADAPTERS.keys() == ADAPTER_NAMES
    assert check(None, around()) == []


def test_the_shipped_rows_are_sound_with_every_provider_configured() -> None:
    rows = [UpstreamRow.model_validate(row) for row in builtin_rows().upstreams.values()]
    environment = {row.key_env: "key" for row in rows if row.key_env}
    mentioned = {name for row in rows for name in variables(row.base_url)}
    environment |= {
        name: "https://host.example.com" if name.endswith(("_URL", "_ENDPOINT")) else "eu-west-1" for name in mentioned
    }
    catalogue = assemble(builtin_rows(), Rows(), around(environment, reachable=frozenset({"ollama"})))
    assert set(catalogue.dormant) == {"sandbox"}
    assert [model.id for model in catalogue.models if not model.targets] == []


@pytest.mark.parametrize(("model_id", "prices"), CONTRACT_PRICES.items(), ids=CONTRACT_PRICES)
def test_a_contract_price_is_to_the_letter(shipped: Catalogue, model_id: str, prices: tuple[str, str]) -> None:
    model = shipped.resolve(model_id)
    assert model is not None
    assert (model.price.input, model.price.output) == (rate(prices[0]), rate(prices[1]))
    assert model.price.provenance == "contract"


def test_only_contract_prices_claim_to_be(shipped: Catalogue) -> None:
    claimed = {model.id for model in shipped.models if model.price.provenance == "contract"}
    assert claimed == set(CONTRACT_PRICES)


def test_every_language_model_of_the_contract_is_there(shipped: Catalogue) -> None:
    missing = [name for name in [*CHAT, *CODEX, *GEMINI] if (m := shipped.resolve(name)) is None or m.id != name]
    assert missing == []


@pytest.mark.parametrize(
    ("alias", "model_id"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-6"),
        ("claude-3-5-sonnet-20241022", "claude-sonnet-4-6"),
        ("claude-3-5-haiku-20241022", "claude-haiku-4-5"),
    ],
)
def test_older_ids_are_aliases_of_their_line(shipped: Catalogue, alias: str, model_id: str) -> None:
    model = shipped.resolve(alias)
    assert model is not None
    assert model.id == model_id


def test_no_model_but_an_embedding_costs_nothing_to_write_and_none_to_read(shipped: Catalogue) -> None:
    for model in shipped.models:
        price = model.price
        assert price.input > 0
        assert (price.output > 0) is (Kind.EMBEDDING not in model.kinds)
        assert 0 < price.cache_read <= price.input <= price.cache_write <= price.cache_write_1h
        assert price.reasoning == price.output


def test_an_hour_in_anthropics_cache_costs_twice_the_input(shipped: Catalogue) -> None:
    for model in shipped.models:
        rate = model.price.input * 2 if model.owner == "anthropic" else model.price.cache_write
        assert model.price.cache_write_1h == rate


def test_dolphin_costs_two_credits_at_least(shipped: Catalogue) -> None:
    dolphin = shipped.resolve("dolphin")
    assert dolphin is not None
    assert dolphin.price.base == 2 * MICRO_PER_CREDIT
    assert dolphin.context_tokens == 32768


def test_openais_endpoints_serve_every_chat_model_but_claude(shipped: Catalogue) -> None:
    for dialect in ("openai_chat", "openai_responses"):
        served = {model.id for model in shipped.served(dialect, Kind.CHAT)}
        assert served >= {*CHAT, *GEMINI, *CODEX}
        assert served.isdisjoint({"claude-opus-4-6", "text-embedding-3-small", "gpt-3.5-turbo-instruct"})


@pytest.mark.parametrize("dialect", ["anthropic", "gemini"])
def test_messages_and_gemini_serve_every_chat_model(shipped: Catalogue, dialect: str) -> None:
    served = {model.id for model in shipped.served(dialect, Kind.CHAT)}
    assert served >= {*CHAT, *GEMINI, *CODEX, "claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"}


def everything_configured() -> Catalogue:
    rows = [UpstreamRow.model_validate(row) for row in builtin_rows().upstreams.values()]
    environment = {row.key_env: "key" for row in rows if row.key_env}
    environment |= {name: "eu-west-1" for row in rows for name in variables(row.base_url) if name[:3] in ("AWS", "GOO")}
    return assemble(builtin_rows(), Rows(), around(environment))


def asked(catalogue: Catalogue, name: str, dialect: str, kind: Kind = Kind.CHAT) -> list[tuple[str, str]]:
    model = catalogue.resolve(name)
    assert model is not None
    return [(way.target.upstream.id, way.dialect) for way in catalogue.plan_targets(model, kind, dialect)]


@pytest.mark.parametrize("name", ["claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"])
def test_claude_is_asked_on_messages_by_every_client_wherever_it_is_served(name: str) -> None:
    everywhere = [(upstream, "anthropic") for upstream in ("anthropic", "bedrock", "vertex", "openrouter")]
    for dialect in ("anthropic", "gemini", "openai_chat", "openai_responses"):
        assert asked(everything_configured(), name, dialect) == everywhere


@pytest.mark.parametrize("name", sorted(GEMINI))
def test_gemini_is_asked_in_its_own_format_by_its_own_clients_and_by_those_that_need_translation(name: str) -> None:
    catalogue = everything_configured()
    for dialect in ("gemini", "anthropic", "openai_responses"):
        assert asked(catalogue, name, dialect)[:3] == [
            ("google", "gemini"),
            ("vertex", "gemini"),
            ("openrouter", "openai_chat"),
        ]
    assert asked(catalogue, name, "openai_chat")[:2] == [("google", "openai_chat"), ("vertex", "gemini")]


@pytest.mark.parametrize("name", [*sorted(CODEX), "gpt-5.5-pro", "gpt-5-pro-official"])
def test_what_openai_serves_on_responses_alone_is_asked_there_by_every_client(name: str) -> None:
    for dialect in ("openai_responses", "openai_chat", "anthropic", "gemini"):
        assert {way[1] for way in asked(everything_configured(), name, dialect)} == {"openai_responses"}


def test_openais_chat_models_are_asked_as_their_client_asks_and_on_responses_by_the_others() -> None:
    catalogue = everything_configured()
    assert asked(catalogue, "gpt-5", "openai_chat") == [("openai", "openai_chat"), ("openrouter", "openai_chat")]
    assert asked(catalogue, "gpt-5", "anthropic") == [("openai", "openai_responses"), ("openrouter", "openai_chat")]
    assert asked(catalogue, "gpt-audio-1.5-official", "anthropic")[0] == ("openai", "openai_chat")


def test_tokens_are_counted_where_the_format_has_a_way_to() -> None:
    catalogue = everything_configured()
    assert asked(catalogue, "claude-opus-4-6", "anthropic_count", Kind.COUNT) == [
        ("anthropic", "anthropic"),
        ("vertex", "anthropic"),
    ]
    assert asked(catalogue, "gemini-3.1-pro", "gemini_count", Kind.COUNT) == [
        ("google", "gemini"),
        ("vertex", "gemini"),
    ]
    assert asked(catalogue, "gpt-5", "openai_responses_count", Kind.COUNT) == [("openai", "openai_responses")]
    assert asked(catalogue, "gpt-5", "anthropic_count", Kind.COUNT) == []


def test_claude_states_the_shortest_prompt_that_is_cached(shipped: Catalogue) -> None:
    stated = {model.id: model.min_cache_tokens for model in shipped.models if model.min_cache_tokens is not None}
    assert stated == {"claude-opus-4-6": 4096, "claude-sonnet-4-6": 1024, "claude-haiku-4-5": 4096}


def test_every_intent_has_a_model_on_its_endpoint(shipped: Catalogue) -> None:
    for intent in shipped.intents.values():
        kind = Kind(intent.id) if intent.id in ("embedding", "completion") else Kind.CHAT
        assert shipped.by_intent(intent.id, kind, f"openai_{kind}", suits=lambda _: True) is not None
        assert intent.description
