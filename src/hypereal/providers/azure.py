"""Azure OpenAI: the key in `api-key`, and the deployment in the path when a dated API version is used.

Options of a row: `api_version` ("2024-10-21") selects the dated API; without it the v1 API is used, where the model of
the body is the deployment. Reference: Microsoft Learn, "Azure OpenAI API version lifecycle".
"""

from __future__ import annotations

from urllib.parse import quote

from hypereal.catalog.types import Target, Upstream
from hypereal.providers.openai import OpenAIAdapter


class AzureAdapter(OpenAIAdapter):
    """`base_url` is the resource's endpoint (`https://name.openai.azure.com`), with or without `/openai/v1`."""

    def path(self, target: Target, base: str, *, suffix: str) -> str:
        root = base.removesuffix("/v1").removesuffix("/openai")
        version = target.upstream.option("api_version")
        if version is None:
            return f"{root}/openai/v1/{suffix}"
        if suffix.startswith("responses"):  # served for the whole resource: the body names the deployment
            return f"{root}/openai/{suffix}?api-version={quote(version, safe='')}"
        deployment = quote(target.model, safe="")
        return f"{root}/openai/deployments/{deployment}/{suffix}?api-version={quote(version, safe='')}"

    def signature(self, upstream: Upstream, dialect: str) -> dict[str, str]:
        return {} if upstream.secret is None else {"api-key": upstream.secret}
