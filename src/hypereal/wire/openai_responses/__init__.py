"""OpenAI's Responses API."""

from hypereal.wire.openai_responses.codec import CODEC
from hypereal.wire.openai_responses.native import HEADERS, CompactDialect, CountDialect, ResponsesDialect

__all__ = ["CODEC", "HEADERS", "CompactDialect", "CountDialect", "ResponsesDialect"]
