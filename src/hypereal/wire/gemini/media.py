"""Files in a conversation: Google's `inlineData` and `fileData`, which both want a media type."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from hypereal.wire.conversation import Media, MediaKind

_UPLOADS = ("gs://", "https://generativelanguage.googleapis.com/")
"""Where files live that only Google can read."""
_KINDS: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
# What is likely when neither the client nor the name says it; Google looks into the file itself.
_LIKELY = {"image": "image/jpeg", "audio": "audio/mpeg", "video": "video/mp4", "file": "application/pdf"}
_BY_ENDING = {
    "avif": "image/avif",
    "csv": "text/csv",
    "flac": "audio/flac",
    "gif": "image/gif",
    "heic": "image/heic",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "md": "text/markdown",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ogg": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
}


def inline_media(media_type: str | None, data: str, name: str | None) -> Media:
    """The file of an `inlineData`; protocol buffers take both alphabets of base64, others only the standard one."""
    return Media(
        kind=_kind(media_type), media_type=media_type, data=data.replace("-", "+").replace("_", "/"), name=name
    )


def linked_media(media_type: str | None, uri: str, name: str | None) -> Media:
    """The file of a `fileData`: an upload, when its address is one of Google's."""
    kind = _kind(media_type or _guess(uri))
    if uri.startswith(_UPLOADS):
        return Media(kind=kind, media_type=media_type, file_id=uri, name=name)
    return Media(kind=kind, media_type=media_type, url=uri, name=name)


def media_part(media: Media) -> dict[str, Any] | None:
    """The part for a file; None for an upload at another provider."""
    if media.data is not None:
        media_type = media.media_type or _LIKELY[media.kind]
        return {"inlineData": {"mimeType": media_type, "data": media.data}}
    if media.url is not None:
        media_type = media.media_type or _guess(media.url) or _LIKELY[media.kind]
        return {"fileData": {"mimeType": media_type, "fileUri": media.url}}
    if media.file_id is not None and media.file_id.startswith(_UPLOADS):
        typed = {"mimeType": media.media_type} if media.media_type else {}
        return {"fileData": {**typed, "fileUri": media.file_id}}
    return None


def _kind(media_type: str | None) -> MediaKind:
    return _KINDS.get((media_type or "").partition("/")[0], "file")


def _guess(uri: str) -> str | None:
    """The media type that the ending of an address suggests."""
    try:
        path = urlsplit(uri).path
    except ValueError:  # no address at all
        return None
    return _BY_ENDING.get(path.rpartition(".")[2].lower())
