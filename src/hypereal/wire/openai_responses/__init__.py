"""OpenAI's Responses API."""

from hypereal.wire.openai_responses.codec import ResponsesCodec
from hypereal.wire.openai_responses.native import HEADERS, CompactDialect, CountDialect, ResponsesDialect

__all__ = ["HEADERS", "CompactDialect", "CountDialect", "ResponsesCodec", "ResponsesDialect"]
