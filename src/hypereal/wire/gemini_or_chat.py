"""`POST /v1/gemini`: Google's shape or OpenAI's, told apart by the body; the answer has the shape of the request.

The model is in the body either way (api.md section 8).
"""

from __future__ import annotations

from hypereal.errors import HyperealError
from hypereal.wire.base import BARE, Context, Endpoint, Envelope, Family, Kind
from hypereal.wire.fields import read_fields
from hypereal.wire.gemini import GeminiDialect, speaks_openai
from hypereal.wire.openai_chat.native import OpenAIDialect

PATH = "/v1/gemini"
_AS_GEMINI = Endpoint(path=PATH, kind=Kind.CHAT, dialect="gemini", family=Family.GEMINI)
_AS_CHAT = Endpoint(path=PATH, kind=Kind.CHAT, dialect="gemini_chat", family=Family.GEMINI)


class GeminiOrChat(GeminiDialect):
    """Reads both shapes; the envelope's endpoint says which one it was."""

    def __init__(self) -> None:
        super().__init__()
        self._chat = OpenAIDialect("messages")

    def parse(self, endpoint: Endpoint, body: bytes, context: Context = BARE) -> Envelope | HyperealError:
        fields = read_fields(body)
        if isinstance(fields, dict) and speaks_openai(fields):
            return self._chat.parse(_AS_CHAT, body, context)
        return super().parse(_AS_GEMINI, body, context)
