"""The contents of a Gemini request: their parts as turns, and the rules on which part may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hypereal.sandbox.conversation import Media, Turn, inline_media, linked_media
from hypereal.sandbox.request import BadRequest
from hypereal.sandbox.seals import unseal

THOUGHT = "gemini thought"  # what thought signatures are sealed for

Part = Mapping[str, Any]

_ROLES = ("user", "model", "function")
_FREE_PASSES = ("context_engineering_is_the_way_to_go", "skip_thought_signature_validator")
"""What Google documents for calls that another model made."""

_HELD = frozenset(
    {
        "codeExecutionResult",
        "code_execution_result",
        "executableCode",
        "executable_code",
        "fileData",
        "file_data",
        "functionCall",
        "function_call",
        "functionResponse",
        "function_response",
        "inlineData",
        "inline_data",
        "text",
        "thoughtSignature",
        "thought_signature",
    }
)
"""What a part can hold, in either spelling."""


def read_contents(contents: object) -> tuple[Turn, ...]:
    """The turns of the conversation. Raises `BadRequest`."""
    listed = [contents] if isinstance(contents, dict) else contents
    if not isinstance(listed, list) or not listed:
        raise BadRequest("* GenerateContentRequest.contents: contents is not specified")
    reader = _Reader()
    for index, content in enumerate(listed):
        reader.read(content, f"contents[{index}]")
    return tuple(reader.turns)


def texts_of(content: object, where: str) -> str:
    """All text in a content."""
    parts = [content] if isinstance(content, dict) and "parts" not in content else _parts(content, where)
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _parts(content: object, where: str) -> list[Part]:
    given = content.get("parts") if isinstance(content, dict) else None
    parts = [given] if isinstance(given, dict) else given
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise BadRequest(f"Invalid value at '{where}.parts': expected a list of messages.")
    if not parts:
        raise BadRequest(f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
    return parts


def field(part: Part, name: str, other: str) -> Any:
    """A field under either spelling of its name."""
    return part.get(name, part.get(other))


class _Reader:
    """Reads contents in order; knows how many calls the last one made."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._calls: list[str] = []

    def read(self, content: object, where: str) -> None:
        parts = _parts(content, where)
        role = content.get("role", "user") if isinstance(content, dict) else "user"
        if role not in _ROLES:
            raise BadRequest("Please use a valid role: user, model.")
        for number, part in enumerate(parts):
            _check(part, f"{where}.parts[{number}]")
        calls = [_named(part, "functionCall", "function_call") for part in parts]
        results = [_named(part, "functionResponse", "function_response") for part in parts]
        given = [result for result in results if result is not None]
        if len(given) != len(self._calls):
            raise BadRequest(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        self._calls = [str(call["name"]) for call in calls if call is not None]
        if role == "model":
            self.turns.append(Turn(role="assistant", text=_text(parts)))
            return
        self.turns += [_result(result) for result in given]
        media = tuple(_media(parts))
        if not given or _text(parts) or media:
            self.turns.append(Turn(role="user", text=_text(parts), media=media))


def _text(parts: list[Part]) -> str:
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought"))


def _named(part: Part, name: str, other: str) -> Part | None:
    found = field(part, name, other)
    if found is None:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise BadRequest(f"* GenerateContentRequest.contents.parts.{other}.name: Name cannot be empty.")
    return found


def _check(part: Part, where: str) -> None:
    """Whether a part holds something, and whether its signature is one that this sandbox gave."""
    signature = field(part, "thoughtSignature", "thought_signature")
    if signature is not None and not _is_own(signature):
        raise BadRequest("Corrupted thought signature.")
    if _HELD.isdisjoint(part):
        raise BadRequest(
            f"* GenerateContentRequest.{where}.data: required oneof field 'data' must have one initialized field"
        )


def _is_own(signature: object) -> bool:
    if not isinstance(signature, str):
        return False
    # JSON of Google's reads bytes in either alphabet of base64, and its own client sends the one for URLs.
    plain = signature.replace("-", "+").replace("_", "/")
    return signature in _FREE_PASSES or unseal(THOUGHT, plain) is not None


def _result(result: Part) -> Turn:
    response = result.get("response")
    value = response.get("output", response.get("result", response)) if isinstance(response, dict) else response
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    inner = result.get("parts")
    media = tuple(_media(inner)) if isinstance(inner, list) else ()
    return Turn(role="tool", text=text, media=media, source=str(result["name"]))


def _media(parts: list[Part]) -> list[Media]:
    found = []
    for part in parts:
        inline, linked = field(part, "inlineData", "inline_data"), field(part, "fileData", "file_data")
        if isinstance(inline, dict):
            kind = str(field(inline, "mimeType", "mime_type") or "")
            found.append(inline_media(kind, str(inline.get("data", ""))))
        elif isinstance(linked, dict):
            family = str(field(linked, "mimeType", "mime_type") or "").partition("/")[0]
            found.append(linked_media(family if family in ("image", "audio", "video") else "file", ""))
    return found
