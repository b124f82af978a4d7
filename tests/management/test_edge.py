"""What a path means."""

from __future__ import annotations

import pytest

from hypereal.api.edge import HOT_PATHS, find_endpoint, normalise


@pytest.mark.parametrize(
    ("path", "means"),
    [
        ("/v1/codex/responses", "/v1/responses"),
        ("/api/v1/codex/responses/", "/v1/responses"),
        ("/v1/v1/codex//responses/compact", "/v1/responses/compact"),
        ("/v1/codex/responses/resp_1/input_items", "/v1/responses/resp_1/input_items"),
        ("/v1/codex/responsesque", "/v1/codex/responsesque"),
        ("/v1/codex", "/v1/codex"),
        ("/v1/codex/models", "/v1/codex/models"),
    ],
)
def test_codexs_spelling_of_responses_means_the_same_with_all_below_it(path: str, means: str) -> None:
    assert normalise(path) == means


def test_the_hot_lane_knows_every_usual_spelling_and_means_the_same_by_it() -> None:
    assert b"/api/v1/codex/responses/input_tokens" in HOT_PATHS
    for path, endpoint in HOT_PATHS.items():
        assert find_endpoint(normalise(path.decode())) == (endpoint, None)
