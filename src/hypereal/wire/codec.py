"""What each format owes the others: its way to and from the canonical conversation and its stream.

A `Codec` is used only where client and upstream speak different formats (`translate`), or where an answer came in
another form than was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from hypereal.kit.money import Micro
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Aim, Conversation, Reply, Written
from hypereal.wire.events import Event


class EventReader(Protocol):
    """Reads one upstream's stream into canonical events."""

    def read(self, event: bytes) -> list[Event]:
        """What one whole event (with its blank line) says; nothing for one that says nothing."""
        ...

    def end(self) -> list[Event]:
        """What the end of the body says: `Finished` for a format without a terminal event, else nothing more."""
        ...


class EventWriter(Protocol):
    """Writes canonical events as one client's stream."""

    def write(self, event: Event) -> bytes:
        """The client's events for one of ours. `Finished` is only noted: `end` says it."""
        ...

    def end(self, usage: Usage, charged: Micro) -> bytes:
        """The last events, with the definitive usage, up to the terminal one."""
        ...


class Codec(Protocol):
    """One format to and from the canonical conversation. Stateless; raises `InvalidRequest` naming a client's field and
    `Garbage` for an upstream's answer."""

    def read_request(self, fields: Mapping[str, msgspec.Raw]) -> Conversation:
        """What a client's body asks."""
        ...

    def write_request(self, conversation: Conversation, aim: Aim) -> Written:
        """The body that asks it of an upstream, usage included."""
        ...

    def read_reply(self, body: bytes) -> Reply:
        """What an upstream's whole answer says."""
        ...

    def write_reply(self, reply: Reply, envelope: Envelope, usage: Usage) -> bytes:
        """The whole answer for a client, whose request `envelope` is."""
        ...

    def reader(self) -> EventReader:
        """For one stream of an upstream."""
        ...

    def writer(self, envelope: Envelope) -> EventWriter:
        """For one stream to a client."""
        ...
