"""Providers: how each kind of upstream is addressed, signed for, and understood when it fails.

`ADAPTERS` lists them by the name that a catalogue row gives. Most upstreams speak OpenAI's API and are rows alone; one
that must be addressed otherwise is a file here and a line below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hypereal.providers.anthropic import AnthropicAdapter
from hypereal.providers.azure import AzureAdapter
from hypereal.providers.base import Adapter, Address, Failure, FailureKind, Prepared, Unframer
from hypereal.providers.bedrock import BedrockAdapter
from hypereal.providers.google import GoogleAdapter
from hypereal.providers.google_tokens import GoogleTokens
from hypereal.providers.openai import OpenAIAdapter
from hypereal.providers.vertex import VertexAdapter

ADAPTERS: Mapping[str, Callable[[GoogleTokens], Adapter]] = MappingProxyType(
    {
        "anthropic": lambda _: AnthropicAdapter(),
        "azure": lambda _: AzureAdapter(),
        "bedrock": lambda _: BedrockAdapter(),
        "google": lambda _: GoogleAdapter(),
        "openai": lambda _: OpenAIAdapter(),
        "vertex": VertexAdapter,
    }
)


def make_adapters(tokens: GoogleTokens) -> Mapping[str, Adapter]:
    """The adapters of one process by name; `tokens` are kept by its owner."""
    return {name: make(tokens) for name, make in ADAPTERS.items()}


__all__ = [
    "ADAPTERS",
    "Adapter",
    "Address",
    "Failure",
    "FailureKind",
    "GoogleTokens",
    "Prepared",
    "Unframer",
    "make_adapters",
]
