"""A conversation's messages as Google's `contents`: turns of `user` and `model` that alternate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hypereal.wire.conversation import Media, Message, Opaque, Text, Thinking, ToolCall, ToolResult
from hypereal.wire.gemini.generations import sees_results, signs_calls
from hypereal.wire.gemini.media import media_part
from hypereal.wire.gemini.parts import Part, Parts
from hypereal.wire.gemini.signatures import NAME


def _own(opaque: Opaque) -> str | None:
    """A token goes back to where it came from, and nowhere else."""
    return opaque.data if opaque.origin == NAME else None


class WrittenTurns:
    """The turns in `contents`; `drop` is told what they cannot say.

    Neighbours of one role become one turn, and a system message in the middle becomes what a user says.
    """

    def __init__(self, messages: Iterable[Message], model: str, drop: Callable[[str], None]) -> None:
        self.contents: list[dict[str, Any]] = []
        self._model = model
        self._drop = drop
        self._names: dict[str, str] = {}
        for message in messages:
            parts = self._parts(message)
            role = "model" if message.role == "assistant" else "user"
            if self.contents and self.contents[-1]["role"] == role:
                self.contents[-1]["parts"] += parts
            elif parts:
                self.contents.append({"role": role, "parts": parts})

    def _parts(self, message: Message) -> list[Part]:
        parts = Parts(_own, signs_calls=signs_calls(self._model))
        for block in message.blocks:
            if isinstance(block, ToolResult):
                parts.items += self._result(block)
                continue
            if isinstance(block, ToolCall):
                self._names[block.id] = block.name
            if isinstance(block, Text | Media) and block.cache is not None:
                self._drop("cache_control")
            if isinstance(block, Thinking) and block.opaque is None:
                self._drop("thinking")  # of unknown origin: no prose of this conversation
            elif not parts.add(block):
                self._drop(self._kind(block))
        return parts.items

    @staticmethod
    def _kind(block: Any) -> str:
        if isinstance(block, Media):
            return "file_id"
        return "thinking" if isinstance(block, Thinking | ToolCall) else str(block.kind)

    def _result(self, result: ToolResult) -> list[Part]:
        """The result of a call, then the files in it where the model looks for none there."""
        text = "\n".join(block.text for block in result.content if isinstance(block, Text))
        files = [self._file(block) for block in result.content if isinstance(block, Media)]
        shown = [file for file in files if file is not None]
        if result.cache is not None:
            self._drop("cache_control")
        response: dict[str, Any] = {
            "id": result.call_id,
            "name": self._names.get(result.call_id) or result.name or result.call_id,
            "response": {"error" if result.is_error else "output": text},
        }
        if not sees_results(self._model):
            return [{"functionResponse": response}, *shown]
        return [{"functionResponse": {**response, "parts": shown} if shown else response}]

    def _file(self, media: Media) -> Part | None:
        part = media_part(media)
        if part is None:
            self._drop("file_id")
        return part
