"""The catalogue in use: names, ways, intents, hints."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypereal.catalog.resolve import Catalogue
from hypereal.catalog.types import Model
from hypereal.wire.base import Kind
from tests.catalog.rows import catalogue_of

ROWS = """
[[upstreams]]
id = "one"
base_url = "https://one.example.com/v1"
[[upstreams]]
id = "two"
base_url = "https://two.example.com/v1"
kinds = ["chat", "completion"]
dialects = ["openai_responses", "openai_chat"]
compacts = true
[[upstreams]]
id = "claude"
base_url = "https://claude.example.com/v1"
dialects = ["anthropic"]
counts = ["anthropic"]
[[upstreams]]
id = "asleep"
base_url = "https://asleep.example.com/v1"
key_env = "ASLEEP_KEY"

[[models]]
id = "small"
aliases = ["tiny", "small:latest"]
kinds = ["chat", "completion"]
price = { input = "1", output = "2", cache_read = "0.1" }
targets = ["asleep:s", "one:s1", "two:vendor/s2:free"]
fallbacks = ["large"]
context_tokens = 1000
max_output_tokens = 500
[[models]]
id = "large"
price = { input = "2", output = "8" }
targets = ["two:l"]
fallbacks = ["switched-off", "claudia", "small-too"]
context_tokens = 9000
max_output_tokens = 8000
[[models]]
id = "small-too"
price = { input = "1", output = "2" }
targets = ["one:st"]
fallbacks = ["claudia"]
context_tokens = 1000
max_output_tokens = 500
[[models]]
id = "claudia"
dialects = ["anthropic"]
price = { input = "0.1", output = "0.1" }
targets = ["claude:c", "two:c2"]
context_tokens = 1000
max_output_tokens = 500
[[models]]
id = "coder"
dialects = ["openai_responses", "gemini"]
price = { input = "1", output = "1" }
targets = ["two:c"]
context_tokens = 1000
max_output_tokens = 500
[[models]]
id = "vectors"
kinds = ["embedding"]
price = { input = "1", output = "0" }
targets = ["asleep:v"]
context_tokens = 1000
max_output_tokens = 0
[[models]]
id = "switched-off"
enabled = false
price = { input = "1", output = "1" }
targets = ["one:off"]
context_tokens = 1000
max_output_tokens = 500

[[intents]]
id = "any"
models = ["large", "small-too", "small", "claudia", "coder"]
"""


TEXT = ROWS.replace('id = "asleep"', 'id = "asleep"\nkinds = ["chat", "completion", "embedding"]')


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return catalogue_of(TEXT, tmp_path)


def found(catalogue: Catalogue, name: str) -> Model:
    model = catalogue.resolve(name)
    assert model is not None
    return model


def ways(catalogue: Catalogue, name: str, kind: Kind = Kind.CHAT, dialect: str = "openai_chat") -> list[str]:
    plan = catalogue.plan_targets(found(catalogue, name), kind, dialect)
    return [f"{way.model.id}@{way.target.upstream.id}:{way.target.model}" for way in plan]


def asked(catalogue: Catalogue, name: str, dialect: str, kind: Kind = Kind.CHAT) -> list[str]:
    plan = catalogue.plan_targets(found(catalogue, name), kind, dialect)
    return [f"{way.target.upstream.id} in {way.dialect}" for way in plan]


def test_a_name_is_an_id_or_an_alias_to_the_letter(catalogue: Catalogue) -> None:
    assert found(catalogue, "small") is found(catalogue, "tiny") is found(catalogue, "small:latest")
    assert catalogue.aliases == {"tiny": "small", "small:latest": "small"}
    assert catalogue.resolve("Small") is None
    assert catalogue.resolve("") is None


def test_ways_are_a_models_own_live_targets_and_then_its_fallbacks_each_once(catalogue: Catalogue) -> None:
    assert ways(catalogue, "small") == [
        "small@one:s1",
        "small@two:vendor/s2:free",
        "large@two:l",
        "claudia@claude:c",
        "claudia@two:c2",
        "small-too@one:st",
    ]


def test_native_chat_is_chat_completions_upstream(catalogue: Catalogue) -> None:
    assert ways(catalogue, "small", dialect="native_chat") == ways(catalogue, "small")


def test_a_way_serves_the_kind(catalogue: Catalogue) -> None:
    assert ways(catalogue, "small", Kind.COMPLETION, "openai_completion") == ["small@two:vendor/s2:free"]
    assert asked(catalogue, "small", "openai_completion", Kind.COMPLETION) == ["two in openai_completion"]
    assert ways(catalogue, "small", Kind.EMBEDDING, "openai_embedding") == []


def test_a_target_is_asked_in_the_clients_format_where_it_is_spoken_else_in_the_upstreams_first(
    catalogue: Catalogue,
) -> None:
    assert asked(catalogue, "large", "openai_chat")[0] == "two in openai_chat"
    assert asked(catalogue, "large", "native_chat")[0] == "two in openai_chat"
    assert asked(catalogue, "large", "openai_responses")[0] == "two in openai_responses"
    assert asked(catalogue, "large", "gemini")[0] == "two in openai_responses"


def test_a_model_is_asked_only_in_formats_of_its_own_unless_its_upstream_speaks_none_of_them(
    catalogue: Catalogue,
) -> None:
    assert asked(catalogue, "coder", "openai_chat") == ["two in openai_responses"]
    assert asked(catalogue, "claudia", "openai_chat") == ["claude in anthropic", "two in openai_chat"]
    assert asked(catalogue, "claudia", "anthropic") == ["claude in anthropic", "two in openai_responses"]


def test_tokens_are_counted_in_the_clients_format_by_the_models_own_targets(catalogue: Catalogue) -> None:
    assert asked(catalogue, "claudia", "anthropic_count", Kind.COUNT) == ["claude in anthropic"]
    assert asked(catalogue, "claudia", "openai_responses_count", Kind.COUNT) == []
    assert asked(catalogue, "large", "anthropic_count", Kind.COUNT) == []
    assert asked(catalogue, "vectors", "anthropic_count", Kind.COUNT) == []


def test_only_models_of_the_responses_format_are_compacted(catalogue: Catalogue) -> None:
    served = catalogue.served("openai_responses_compact", Kind.COMPACT)
    assert all("openai_responses" in model.dialects for model in served)
    assert catalogue.wrong_endpoint(found(catalogue, "claudia"), Kind.COMPACT, "openai_responses_compact") is not None


def test_only_an_upstream_that_can_is_asked_to_compact(catalogue: Catalogue, tmp_path: Path) -> None:
    assert set(asked(catalogue, "large", "openai_responses_compact", Kind.COMPACT)) == {"two in openai_responses"}
    unable = catalogue_of(TEXT.replace("compacts = true", ""), tmp_path)
    assert asked(unable, "large", "openai_responses_compact", Kind.COMPACT) == []


def test_every_chat_model_that_can_be_reached_is_taken_for_counting(catalogue: Catalogue) -> None:
    served = [model.id for model in catalogue.served("gemini_count", Kind.COUNT)]
    assert served == ["small", "large", "small-too", "claudia", "coder"]
    assert catalogue.wrong_endpoint(found(catalogue, "small"), Kind.COUNT, "anthropic_count") is None
    assert catalogue.wrong_endpoint(found(catalogue, "vectors"), Kind.COUNT, "anthropic_count") is not None


def test_a_model_without_a_live_target_is_known_but_not_served(catalogue: Catalogue) -> None:
    assert found(catalogue, "vectors").targets == ()
    assert catalogue.served("openai_embedding", Kind.EMBEDDING) == ()
    assert catalogue.nearest("vectors", "openai_embedding", Kind.EMBEDDING) == ()


def test_an_endpoint_serves_the_models_of_its_kind_and_dialect(catalogue: Catalogue) -> None:
    def served(dialect: str, kind: Kind, *, cross_format: bool = False) -> list[str]:
        return [model.id for model in catalogue.served(dialect, kind, cross_format=cross_format)]

    every = ["small", "large", "small-too", "claudia", "coder"]
    but_claude = ["small", "large", "small-too", "coder"]
    for dialect in ("openai_chat", "openai_responses", "native_chat"):
        assert served(dialect, Kind.CHAT) == but_claude
        assert served(dialect, Kind.CHAT, cross_format=True) == every
    assert served("anthropic", Kind.CHAT) == served("gemini", Kind.CHAT) == every
    assert served("openai_completion", Kind.COMPLETION) == ["small"]


def test_available_models_are_all_that_fit_with_lookalikes_first(catalogue: Catalogue) -> None:
    assert catalogue.nearest("smal", "openai_chat", Kind.CHAT) == ("small", "small-too", "coder", "large")
    assert catalogue.nearest("LARGE-2", "openai_chat", Kind.CHAT) == ("large", "coder", "small", "small-too")
    assert catalogue.nearest("x" * 100_000, "openai_chat", Kind.CHAT) == ("coder", "large", "small", "small-too")


def test_a_model_on_the_wrong_endpoint_is_sent_to_its_own(catalogue: Catalogue) -> None:
    def hint(name: str, kind: Kind, dialect: str, *, cross_format: bool = False) -> str | None:
        return catalogue.wrong_endpoint(found(catalogue, name), kind, dialect, cross_format=cross_format)

    assert hint("small", Kind.CHAT, "openai_chat") is None
    assert hint("claudia", Kind.CHAT, "native_chat") == (
        "The model 'claudia' is not served on this endpoint; use /v1/messages"
    )
    assert hint("claudia", Kind.CHAT, "native_chat", cross_format=True) is None
    assert hint("claudia", Kind.CHAT, "gemini") is None
    assert hint("coder", Kind.CHAT, "openai_chat") is None
    assert str(hint("coder", Kind.COMPLETION, "openai_completion")).endswith("use /v1/responses or /v1/gemini")
    assert str(hint("small", Kind.EMBEDDING, "openai_embedding", cross_format=True)).endswith(
        "use /v1/chat/completions or /v1/responses or /v1/messages or /v1/gemini or /v1/completions"
    )
    assert str(hint("vectors", Kind.CHAT, "openai_chat")).endswith("use /v1/embeddings")


def test_an_intent_means_its_cheapest_healthy_model_that_the_endpoint_takes(catalogue: Catalogue) -> None:
    def answer(*ill: str, kind: Kind = Kind.CHAT, cross_format: bool = False, intent: str = "any") -> str | None:
        model = catalogue.by_intent(
            intent, kind, "openai_chat", suits=lambda model: model.id not in ill, cross_format=cross_format
        )
        return model.id if model else None

    assert catalogue.intents["any"].models == ("claudia", "coder", "small", "small-too", "large")
    assert answer() == "coder"
    assert answer("coder") == "small"
    assert answer("coder", "small") == "small-too"
    assert answer("coder", "small", "small-too") == "large"
    assert answer("coder", "small", "small-too", "large") is None
    assert answer(cross_format=True) == "claudia"
    assert answer(kind=Kind.EMBEDDING) is None
    assert answer(intent="unheard-of") is None


def test_rates_left_out_cost_what_their_side_does(catalogue: Catalogue) -> None:
    price = found(catalogue, "small").price
    assert (price.input, price.cache_read, price.cache_write) == (100_000_000, 10_000_000, 100_000_000)
    assert price.cache_write_1h == price.cache_write
    assert (price.output, price.reasoning, price.base, price.overrun) == (200_000_000, 200_000_000, 0, 4)


def test_output_is_held_for_by_default_up_to_what_the_model_can_write(catalogue: Catalogue) -> None:
    assert found(catalogue, "small").default_output_tokens == 500
    assert found(catalogue, "large").default_output_tokens == 4096
    assert found(catalogue, "vectors").default_output_tokens == 0
