"""Anthropic's Messages, with its counting of tokens."""

from hypereal.wire.anthropic.codec import CODEC
from hypereal.wire.anthropic.native import HEADERS, AnthropicCount, AnthropicMessages

__all__ = ["CODEC", "HEADERS", "AnthropicCount", "AnthropicMessages"]
