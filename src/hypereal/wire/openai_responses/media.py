"""Files in a Responses message: inline as data URLs, by address, or by the id of an upload."""

from __future__ import annotations

from typing import Any

from hypereal.wire.conversation import Media
from hypereal.wire.openai_responses.items import NAME, Part

_STORES = ("openai_chat", NAME)
"""The formats whose uploads have ids that this one's provider knows: it is the same provider."""
_BASE64 = ";base64,"
# The API's two audio formats and their media types, as they are written in practice.
_AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_AUDIO_FORMATS = {
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
}
_DEFAULT_TYPES = {"image": "image/png", "file": "application/pdf"}


def _inline(url: str) -> tuple[str | None, str | None, str | None]:
    """Media type and base64 of a data URL, or else the URL itself."""
    if not url.startswith("data:") or _BASE64 not in url:
        return None, None, url
    media_type, _, data = url[5:].partition(_BASE64)
    return media_type or None, data, None


def read_media(part: Part) -> Media | None:
    """The file in a part of a message; None for one that holds no file of a known kind."""
    if part.type == "input_image" and (part.image_url or part.file_id):
        media_type, data, url = _inline(part.image_url) if part.image_url else (None, None, None)
        return Media(
            kind="image",
            media_type=media_type,
            data=data,
            url=url,
            file_id=part.file_id,
            origin=NAME if part.file_id else None,
            detail=part.detail,
        )
    if part.type == "input_file" and (part.file_data or part.file_url or part.file_id):
        return _read_file(part)
    if part.type == "input_audio" and part.input_audio is not None:
        audio = part.input_audio
        return Media(kind="audio", media_type=_AUDIO.get(audio.format, f"audio/{audio.format}"), data=audio.data)
    if part.type == "input_video" and part.video_url:
        media_type, data, url = _inline(part.video_url)
        return Media(kind="video", media_type=media_type, data=data, url=url)
    return None


def _read_file(part: Part) -> Media:
    media_type, data, url = None, None, part.file_url
    if part.file_data:
        media_type, data, bare = _inline(part.file_data)
        data = data or bare  # base64 without a data URL around it is taken too
    return Media(
        kind="file",
        media_type=media_type,
        data=data,
        url=url,
        file_id=part.file_id,
        origin=NAME if part.file_id else None,
        name=part.filename,
        detail=part.detail,
    )


def _address(media: Media) -> str | None:
    if media.data is not None:
        return f"data:{media.media_type or _DEFAULT_TYPES[media.kind]}{_BASE64}{media.data}"
    return media.url


def write_media(media: Media) -> dict[str, Any] | None:
    """The part that holds a file; None for a kind that the API does not take, or an upload elsewhere."""
    if media.file_id and media.origin not in _STORES:
        return None
    if media.kind == "image":
        place = {"file_id": media.file_id} if media.file_id else {"image_url": _address(media)}
        return {"type": "input_image", "detail": media.detail or "auto", **place}
    if media.kind == "file":
        detail = {"detail": media.detail} if media.detail else {}
        return {"type": "input_file", **_file_place(media), **detail}
    audio_format = _AUDIO_FORMATS.get(media.media_type or "")
    if media.kind == "audio" and media.data is not None and audio_format is not None:
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": audio_format}}
    return None


def _file_place(media: Media) -> dict[str, Any]:
    if media.file_id:
        return {"file_id": media.file_id}
    if media.data is not None:
        return {"filename": media.name or "file", "file_data": _address(media)}
    return {"file_url": media.url, **({"filename": media.name} if media.name else {})}
