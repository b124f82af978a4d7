"""Files in the parts of a chat message: images, audio, video and documents."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from hypereal.wire.conversation import Media, Text

_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
_OPENAI = ("openai_chat", "openai_responses")
"""The formats of one provider, whose uploads they share."""


def _inner(part: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under a part's own name; `image_url` is a bare string in practice."""
    value = part.get(name)
    return value if isinstance(value, dict) else {"url": value}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def split_data_url(url: str) -> tuple[str, str] | None:
    """The media type and base64 text of a data URL; None for any other address."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return head[5:-7].partition(";")[0], data


def _by_address(kind: Any, url: str | None, **fields: Any) -> Media | None:
    if url is None:
        return None
    inline = split_data_url(url)
    if inline is None:
        return Media(kind=kind, url=url, **fields)
    return Media(kind=kind, media_type=inline[0] or None, data=inline[1], **fields)


def read_media(part: Any) -> Media | None:
    """The file in a content part; None when the part is no file that we know."""
    if not isinstance(part, dict):
        return None
    kind = part.get("type")
    cache = part.get("cache_control")
    if kind == "image_url":
        image = _inner(part, kind)
        return _by_address("image", _text(image.get("url")), detail=_text(image.get("detail")), cache=cache)
    if kind == "video_url":
        return _by_address("video", _text(_inner(part, kind).get("url")), cache=cache)
    if kind == "input_audio":
        audio = _inner(part, kind)
        data, form = _text(audio.get("data")), _text(audio.get("format"))
        if data is None:
            return None
        media_type = _AUDIO_TYPES.get(form or "", f"audio/{form}") if form else None
        return Media(kind="audio", media_type=media_type, data=data, cache=cache)
    return _read_file(_inner(part, "file"), cache) if kind == "file" else None


def _read_file(file: dict[str, Any], cache: Any) -> Media | None:
    name, data, file_id = _text(file.get("filename")), _text(file.get("file_data")), _text(file.get("file_id"))
    if data is None:
        return Media(kind="file", file_id=file_id, origin="openai_chat", name=name, cache=cache) if file_id else None
    if data.startswith(("data:", "http://", "https://")):
        return _by_address("file", data, name=name, cache=cache)
    return Media(kind="file", data=data, name=name, cache=cache)


def _address(media: Media, spare_type: str) -> str | None:
    if media.data is not None:
        return f"data:{media.media_type or spare_type};base64,{media.data}"
    return media.url


def write_image(media: Media) -> dict[str, Any] | None:
    """The part that shows an image; None for what is none, or has only an upload's id, which chat cannot say."""
    url = _address(media, "image/png") if media.kind == "image" else None
    if url is None:
        return None
    return {"type": "image_url", "image_url": {"url": url, **({"detail": media.detail} if media.detail else {})}}


def _write_file(media: Media) -> dict[str, Any] | None:
    if media.data is not None:
        name = media.name or ("document.pdf" if media.media_type == "application/pdf" else "document")
        data = _address(media, "application/octet-stream")
        return {"type": "file", "file": {"filename": name, "file_data": data}}
    if media.file_id is not None and media.origin in _OPENAI:
        return {"type": "file", "file": {"file_id": media.file_id}}
    return None  # a document by address: OpenAI takes none


def write_media(media: Media) -> dict[str, Any] | None:
    """The part for a file; None when chat cannot hold it. A text document becomes plain text."""
    if media.kind == "image":
        return write_image(media)
    if media.kind == "video":
        url = _address(media, "video/mp4")
        return {"type": "video_url", "video_url": {"url": url}} if url else None
    if media.kind == "audio":
        form = _AUDIO_FORMATS.get(media.media_type or "audio/wav")
        if media.data is None or form is None:
            return None
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}
    text = text_of(media)
    return {"type": "text", "text": text.text} if text is not None else _write_file(media)


def text_of(media: Media) -> Text | None:
    """The text of an inline plain text document."""
    if media.data is None or not (media.media_type or "").startswith("text/"):
        return None
    try:
        return Text(base64.b64decode(media.data, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError):
        return None
