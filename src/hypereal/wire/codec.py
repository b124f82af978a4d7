"""What each format owes the others: its way to and from the canonical conversation and its stream.

A `Codec` is used only where client and upstream speak different formats (`translate`), or where an answer came in
another form than was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hypereal.kit.money import Micro
from hypereal.wire.base import Envelope, Usage
from hypereal.wire.conversation import Aim, Conversation, Reply, Written
from hypereal.wire.events import Event
from hypereal.wire.fields import Fields
from hypereal.wire.repeats import Repeats


class EventReader(Protocol):
    """Reads one upstream's stream into canonical events."""

    @property
    def repeats(self) -> Repeats | None:
        """What knows a run of like events without decoding them; None for a format that has no two alike."""
        ...

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

    def write_texts(self, index: int, texts: list[bytes]) -> bytes:
        """The client's events for pieces of text of the block `index`, one after the other, as `Repeats` reads them."""
        ...

    def end(self, usage: Usage, charged: Micro) -> bytes:
        """The last events, with the definitive usage, up to the terminal one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One format to and from the canonical conversation: six functions without state.

    They raise `InvalidRequest` naming a client's field, and `Garbage` for an upstream's answer. `read_request` says
    what a client's body asks, `write_request` is the body that asks it of an upstream, usage included. `read_reply`
    says what an upstream's whole answer says, and `write_reply` tells it to a client, whose request the envelope is.
    `reader` and `writer` are made for one stream each, of an upstream and to a client.
    """

    read_request: Callable[[Fields], Conversation]
    write_request: Callable[[Conversation, Aim], Written]
    read_reply: Callable[[bytes], Reply]
    write_reply: Callable[[Reply, Envelope, Usage], bytes]
    reader: Callable[[], EventReader]
    writer: Callable[[Envelope], EventWriter]
