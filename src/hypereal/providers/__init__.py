"""Providers: how each kind of upstream is addressed, signed for, and understood when it fails.

`ADAPTERS` lists them by the name that a catalogue row gives. Most upstreams speak OpenAI's API and are rows alone; one
that must be addressed otherwise is a file here and a line below.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hypereal.providers.azure import AzureAdapter
from hypereal.providers.base import Adapter, Address, Failure, FailureKind, Prepared, Unframer
from hypereal.providers.openai import OpenAIAdapter

ADAPTERS: Mapping[str, Adapter] = MappingProxyType({"azure": AzureAdapter(), "openai": OpenAIAdapter()})

__all__ = ["ADAPTERS", "Adapter", "Address", "Failure", "FailureKind", "Prepared", "Unframer"]
