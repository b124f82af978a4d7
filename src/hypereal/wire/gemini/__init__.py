"""Google's Gemini: `generateContent`, its streams and `countTokens`; and the format to and from the conversation."""

from hypereal.wire.gemini.codec import CODEC
from hypereal.wire.gemini.count import GeminiCount
from hypereal.wire.gemini.native import GeminiDialect, speaks_openai
from hypereal.wire.gemini.stream import GeminiStream

__all__ = ["CODEC", "GeminiCount", "GeminiDialect", "GeminiStream", "speaks_openai"]
