"""The canonical stream: an answer as it comes, in nobody's format.

Every block has a life: `BlockStarted`, any number of deltas, `BlockStopped`. Indices count blocks in the order in which
they start. Blocks may overlap (some upstreams interleave parallel calls); `Serial` puts them one after another for the
formats that cannot say so. The stream begins with `Started` and ends with exactly one `Finished` or `Failed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from hypereal.wire.base import Usage
from hypereal.wire.conversation import Block, Foreign, Media, Opaque, Reply, Stop, Text, Thinking, ToolCall


class Started(msgspec.Struct, frozen=True, gc=False):
    """The answer begins. `usage` is what is known of the input, where the upstream says it first."""

    id: str
    model: str
    usage: Usage | None = None


class BlockStarted(msgspec.Struct, frozen=True):
    """A block begins as `block` has it: empty for what comes in deltas, whole for `Media` and `Foreign`."""

    index: int
    block: Text | Thinking | ToolCall | Media | Foreign


class Delta(msgspec.Struct, frozen=True, gc=False):
    """More text for a block: of its prose, its thinking, or its call's arguments, as the block is."""

    index: int
    text: str


class BlockStopped(msgspec.Struct, frozen=True, gc=False):
    """A block is whole. `opaque` is its provider's token, which is only known now."""

    index: int
    opaque: Opaque | None = None


class Finished(msgspec.Struct, frozen=True, gc=False):
    """The answer is whole."""

    stop: Stop
    stop_sequence: str | None = None
    usage: Usage | None = None


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The upstream gave up in the middle and said so."""

    message: str


Event = Started | BlockStarted | Delta | BlockStopped | Finished | Failed


def as_deltas(index: int, texts: list[bytes]) -> Iterator[Delta]:
    """Texts that were read at once (`Repeats.read_run`), one by one."""
    return (Delta(index, text.decode()) for text in texts)


def _grown(block: Block, text: str, opaque: Opaque | None) -> Block:
    if isinstance(block, Text):
        return Text(block.text + text)
    if isinstance(block, Thinking):
        return Thinking(text=block.text + text, opaque=opaque or block.opaque)
    if isinstance(block, ToolCall):
        return msgspec.structs.replace(block, arguments=block.arguments + text, opaque=opaque or block.opaque)
    return block


def fold(events: Iterable[Event]) -> Reply | Failed:
    """The whole answer that a stream amounts to; `Failed` if it says so or never finishes."""
    started = Started("", "")
    blocks: dict[int, Block] = {}
    texts: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, Delta):
            texts[event.index].append(event.text)
        elif isinstance(event, BlockStarted):
            blocks[event.index] = event.block
            texts[event.index] = []
        elif isinstance(event, BlockStopped):
            text = "".join(texts.pop(event.index))
            blocks[event.index] = _grown(blocks[event.index], text, event.opaque)
        elif isinstance(event, Started):
            started = event
        elif isinstance(event, Failed):
            return event
        else:
            return Reply(
                id=started.id,
                model=started.model,
                blocks=tuple(blocks[index] for index in sorted(blocks)),
                stop=event.stop,
                stop_sequence=event.stop_sequence,
                usage=event.usage,
            )
    return Failed("the stream ended before the answer did")


def unfold(reply: Reply) -> Iterator[Event]:
    """A whole answer as the stream that it might have been: each block in one delta."""
    yield Started(reply.id, reply.model)
    for index, block in enumerate(reply.blocks):
        if isinstance(block, Text):
            yield BlockStarted(index, Text(""))
            yield Delta(index, block.text)
            yield BlockStopped(index)
        elif isinstance(block, Thinking):
            yield BlockStarted(index, Thinking())
            if block.text:
                yield Delta(index, block.text)
            yield BlockStopped(index, block.opaque)
        elif isinstance(block, ToolCall):
            yield BlockStarted(index, msgspec.structs.replace(block, arguments="", opaque=None))
            yield Delta(index, block.arguments)
            yield BlockStopped(index, block.opaque)
        elif isinstance(block, Media | Foreign):
            yield BlockStarted(index, block)
            yield BlockStopped(index)
    yield Finished(reply.stop, reply.stop_sequence, reply.usage)


class Serial:
    """Puts overlapping blocks one after another: what comes for a block while an earlier one is open waits for it.

    Here and in the writers kinds are told by `type`, a fraction of what `isinstance` costs for structs.
    """

    def __init__(self) -> None:
        self._open: int | None = None
        self._waiting: dict[int, list[Event]] = {}

    def arrange(self, event: Event) -> list[Event]:
        """The events that may be told now, in order."""
        if type(event) is Delta or type(event) is BlockStarted or type(event) is BlockStopped:
            return self._arrange_block(event)
        return [*self._release_all(), event]

    def _arrange_block(self, event: BlockStarted | Delta | BlockStopped) -> list[Event]:
        if self._open is None and type(event) is BlockStarted:
            self._open = event.index
            return [event]
        if event.index != self._open:
            self._waiting.setdefault(event.index, []).append(event)
            return []
        if type(event) is not BlockStopped:
            return [event]
        self._open = None
        return [event, *self._release()]

    def _release(self) -> list[Event]:
        """What has waited, up to a block that is still open."""
        told: list[Event] = []
        while self._open is None and self._waiting:
            index = min(self._waiting)
            told += self._waiting.pop(index)
            if not isinstance(told[-1], BlockStopped):
                self._open = index
        return told

    def _release_all(self) -> list[Event]:
        """Whatever has waited, at the end of a stream whose blocks were not all closed."""
        told: list[Event] = []
        if self._open is not None:
            told.append(BlockStopped(self._open))
            self._open = None
        while self._waiting:
            told += self._release()
            if self._open is not None:
                told.append(BlockStopped(self._open))
                self._open = None
        return told
