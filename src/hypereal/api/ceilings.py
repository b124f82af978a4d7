"""How large a body a framework route reads: counted as it comes, before the framework has it in memory."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException

from hypereal.api.queued import Message, Receive

MANAGEMENT_BODY_BYTES = 1_048_576
"""For the management API, whose bodies are read before the key is looked at. Five times what its longest valid request
takes, a key with 1000 names of models."""


def ceiling_of(path: str, body_limit_bytes: int) -> int:
    """The most bytes that a body on a normalised path may have."""
    return min(body_limit_bytes, MANAGEMENT_BODY_BYTES) if path.startswith("/api/") else body_limit_bytes


def declared_length(scope: Message) -> int:
    """What the request says that its body has; 0 when it does not say."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def too_large(limit: int) -> str:
    """The refusal in words."""
    return f"The request body is larger than {limit} bytes"


def limited(receive: Receive, limit: int) -> Receive:
    """`receive` until the body has passed `limit`: then it raises the one error that the framework lets through from
    within its reading, and the connection ends with the answer, because the rest is not read."""
    size = 0

    async def receive_within() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(limit), headers={"Connection": "close"})
        return message

    return receive_within
