"""Parsing as all formats do it: the body is a JSON object, and what is wrong with it is a refusal."""

from __future__ import annotations

from abc import ABC, abstractmethod

from hypereal.errors import HyperealError, InvalidRequest
from hypereal.wire.base import BARE, Context, Endpoint, Envelope
from hypereal.wire.fields import Fields, read_fields


class Parsing(ABC):
    """The part of a dialect that parses. What a format makes of the fields is for each to say."""

    def parse(self, endpoint: Endpoint, body: bytes, context: Context = BARE) -> Envelope | HyperealError:
        fields = read_fields(body)
        if not isinstance(fields, dict):
            return fields
        try:
            return self._envelope(endpoint, body, fields, context)
        except InvalidRequest as problem:
            return problem

    @abstractmethod
    def _envelope(self, endpoint: Endpoint, body: bytes, fields: Fields, context: Context) -> Envelope:
        """The envelope of a body with these fields; raises `InvalidRequest` for one that is missing or wrong."""
