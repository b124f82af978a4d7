"""The input of a Responses request: its items as turns, and the rules on what an item must be and follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypereal.sandbox.conversation import Media, Turn, inline_media, linked_media
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.seals import unseal

REASONING = "openai reasoning"  # what encrypted content is sealed for
COMPACTION = "openai compactio"

Item = Mapping[str, Any]

_ROLES = ("user", "assistant", "system", "developer")
_SAID = frozenset({"output_text", "refusal"})
_GIVEN = frozenset({"input_text", "input_image", "input_file", "input_audio"})
_PREFIXES = {"function_call": "fc", "custom_tool_call": "ctc", "reasoning": "rs"}
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = {"function_call_output": "function", "custom_tool_call_output": "custom tool"}


def read_items(body: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The turns of the input. Raises `BadRequest`."""
    given = body.get("input")
    if given is None:
        missing = "Missing required parameter: 'input'."
        raise BadRequest(missing, param="input", code="missing_required_parameter")
    if isinstance(given, str):
        return (Turn(role="user", text=given),)
    if not isinstance(given, list):
        raise _wrong_type("input", "a string or an array")
    reader = _Reader(is_stored=body.get("store") is not False)
    for index, item in enumerate(given):
        reader.read(item, f"input[{index}]")
    reader.end()
    return tuple(reader.turns)


class _Reader:
    """Reads items in order; knows which calls still lack an output."""

    def __init__(self, *, is_stored: bool) -> None:
        self.turns: list[Turn] = []
        self._is_stored = is_stored
        self._names: dict[str, str] = {}
        self._open: dict[str, str] = {}

    def read(self, item: object, where: str) -> None:
        if not isinstance(item, dict):
            raise _wrong_type(where, "an object")
        kind = item.get("type", "message" if "role" in item else None)
        if not isinstance(kind, str):
            raise _missing(f"{where}.type")
        prefix = _PREFIXES.get(kind)
        if prefix and item.get("id") is not None and not str(item["id"]).startswith(prefix):
            what = f"Invalid '{where}.id': '{item['id']}'. Expected an ID that begins with '{prefix}'."
            raise BadRequest(what, param=f"{where}.id", code="invalid_value")
        if kind == "message":
            self.turns.append(_message(item, where))
        elif kind in _CALLS:
            self._read_call(item, kind, where)
        elif kind in _OUTPUTS:
            self._read_output(item, kind, where)
        elif kind == "reasoning":
            self._read_reasoning(item, where)
        elif kind == "compaction":
            summary = _unsealed(COMPACTION, item.get("encrypted_content"))
            self.turns.append(Turn(role="developer", text=summary))

    def end(self) -> None:
        for call, what in self._open.items():
            raise BadRequest(f"No tool output found for {what} call {call}.", param="input")

    def _read_call(self, item: Item, kind: str, where: str) -> None:
        for name in ("call_id", "name", _CALLS[kind]):
            if not isinstance(item.get(name), str):
                raise _missing(f"{where}.{name}")
        self._names[item["call_id"]] = item["name"]
        self._open[item["call_id"]] = "function" if kind == "function_call" else "custom tool"
        self.turns.append(Turn(role="assistant", text=""))

    def _read_output(self, item: Item, kind: str, where: str) -> None:
        call = item.get("call_id")
        if not isinstance(call, str):
            raise _missing(f"{where}.call_id")
        if call not in self._names:
            raise BadRequest(f"No tool call found for {_OUTPUTS[kind]} call output with call_id {call}.", param="input")
        self._open.pop(call, None)
        text, media = _content(item.get("output"), f"{where}.output", _GIVEN)
        self.turns.append(Turn(role="tool", text=text, media=media, source=self._names[call]))

    def _read_reasoning(self, item: Item, where: str) -> None:
        if not isinstance(item.get("summary"), list):
            raise _missing(f"{where}.summary")
        if item.get("encrypted_content") is not None:
            _unsealed(REASONING, item["encrypted_content"])
        elif not self._is_stored:
            raise BadRequest(
                f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false. Try "
                "again with `store` set to true, or remove this item from your input.",
                param="input",
                status=404,
            )


def _unsealed(purpose: str, token: object) -> str:
    text = unseal(purpose, token)
    if text is None:
        raise BadRequest(
            f"The encrypted content {str(token)[:8]}... could not be verified. Reason: Encrypted content could not be "
            "decrypted or parsed.",
            code="invalid_encrypted_content",
        )
    return text


def _message(item: Item, where: str) -> Turn:
    role = item.get("role")
    if role not in _ROLES:
        what = f"Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
        raise BadRequest(what, param=f"{where}.role" if role is None else where, code="invalid_value")
    if item.get("content") is None:
        raise _missing(f"{where}.content")
    text, media = _content(item["content"], f"{where}.content", _SAID if role == "assistant" else _GIVEN)
    return Turn(role=role, text=text, media=media)


def _content(content: object, where: str, known: frozenset[str]) -> tuple[str, tuple[Media, ...]]:
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, list):
        raise _wrong_type(where, "a string or an array")
    texts: list[str] = []
    media: list[Media] = []
    for index, part in enumerate(content):
        place = f"{where}[{index}]"
        if not isinstance(part, dict):
            raise _wrong_type(place, "an object")
        kind = part.get("type")
        if kind not in known:
            supported = ", ".join(f"'{name}'" for name in sorted(known))
            what = f"Invalid value: '{kind}'. Supported values are: {supported}."
            raise BadRequest(what, param=place, code="invalid_value")
        _read_part(part, kind, place, texts, media)
    return "\n".join(texts), tuple(media)


def _read_part(part: Item, kind: str, where: str, texts: list[str], media: list[Media]) -> None:
    if kind in ("input_text", "output_text", "refusal"):
        name = "refusal" if kind == "refusal" else "text"
        if not isinstance(part.get(name), str):
            raise _missing(f"{where}.{name}")
        texts.append(part[name])
    elif kind == "input_audio":
        given = part.get("input_audio")
        inner = given if isinstance(given, dict) else {}
        media.append(inline_media(f"audio/{inner.get('format', 'wav')}", str(inner.get("data", ""))))
    else:
        name = "image_url" if kind == "input_image" else "file_data"
        if all(part.get(other) is None for other in (name, "file_id", "file_url")):
            raise _missing(f"{where}.{name}")
        media.append(linked_media(kind.removeprefix("input_"), str(part.get(name) or "")))


def _missing(where: str) -> BadRequest:
    what = f"Missing required parameter: '{where}'."
    return BadRequest(what, param=where, code="missing_required_parameter")


def _wrong_type(where: str, expected: str) -> BadRequest:
    return BadRequest(f"Invalid type for '{where}': expected {expected}.", param=where, code="invalid_type")
