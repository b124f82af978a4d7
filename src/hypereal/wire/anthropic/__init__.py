"""Anthropic's Messages, with its counting of tokens."""

from hypereal.wire.anthropic.codec import AnthropicCodec
from hypereal.wire.anthropic.native import HEADERS, AnthropicCount, AnthropicMessages

__all__ = ["HEADERS", "AnthropicCodec", "AnthropicCount", "AnthropicMessages"]
