"""OpenAI's Chat Completions, with Completions and Embeddings, which share its shapes."""

from hypereal.wire.openai_chat.codec import CODEC

__all__ = ["CODEC"]
