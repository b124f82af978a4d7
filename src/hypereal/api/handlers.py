"""Every way in which a framework route can end badly, as a `HyperealError` in the family of its path."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from hypereal.api.edge import family_of, find_endpoint
from hypereal.errors import HyperealError, Internal, InvalidRequest, MethodNotAllowed, NotFound, PayloadTooLarge
from hypereal.identity.fields import foreign_cursor
from hypereal.wire.families import render

_VERB = re.compile(r"/models/.+:[^/]*$")
"""A path of Google's whose verb nobody serves: beside it, at most the model can be looked up."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
WHERE = frozenset({"body", "query", "path", "header"})

log = structlog.get_logger(__name__)


def install(app: FastAPI) -> None:
    """Make `app` answer everything that goes wrong in our shapes; nothing leaves as 422 or as HTML."""
    app.add_exception_handler(HyperealError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)


def answer(request: Request, error: HyperealError, headers: dict[str, str] | None = None) -> Response:
    """The response for `error` on the path of `request`."""
    request_id = str(getattr(request.state, "request_id", ""))
    extra = dict(headers or {})
    if error.retry_after_s is not None:
        extra["Retry-After"] = str(error.retry_after_s)
    body = render(family_of(request.url.path), error, request_id)
    return Response(body, status_code=error.status, headers=extra, media_type="application/json")


def invalid_request(problems: list[Any]) -> InvalidRequest:
    """The first of FastAPI's validation errors in one sentence that names the field."""
    first = problems[0]
    if first["type"] == "json_invalid":
        return InvalidRequest("The body is not valid JSON")
    location = [str(part) for part in first["loc"]]
    field = ".".join(location[1:] if location and location[0] in WHERE else location)
    if not field and location == ["body"]:
        return InvalidRequest("The body must be a JSON object")
    if field == "cursor":
        return foreign_cursor()
    if first["type"] == "missing":
        return InvalidRequest(f"{field} is required", param=field or None)
    message = str(first["msg"]).removeprefix("Value error, ")
    return InvalidRequest(f"{field}: {message}" if field else message, param=field or None)


def _refused(request: Request, error: Exception) -> Response:
    return answer(request, error if isinstance(error, HyperealError) else Internal())


def _invalid(request: Request, error: Exception) -> Response:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    return answer(request, invalid_request(list(problems)) if problems else InvalidRequest())


def _framework(request: Request, error: Exception) -> Response:
    """What routing itself refuses: unknown paths, other methods, bodies that can't be read."""
    if not isinstance(error, HTTPException):
        return answer(request, Internal())
    headers = dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.METHOD_NOT_ALLOWED if request.method == "POST" and _VERB.search(request.url.path):
            return answer(request, NotFound(f"There is no POST {request.url.path}"))
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED if methods := _methods(request):
            message = f"{request.url.path} does not take {request.method}"
            return answer(request, MethodNotAllowed(message), headers | {"Allow": ", ".join(methods)})
        case HTTPStatus.NOT_FOUND:
            return answer(request, NotFound(f"There is no {request.method} {request.url.path}"), headers)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return answer(request, PayloadTooLarge(str(error.detail)), headers)
        case status if 400 <= status < 500:
            return answer(request, InvalidRequest(str(error.detail)), headers)
        case _:
            return answer(request, Internal(), headers)


def _methods(request: Request) -> list[str]:
    """What the path of a request takes, whoever serves it; the framework names the methods of its first route alone."""
    path = request.scope["path"]
    return [
        method
        for method in METHODS
        if (method == "POST" and find_endpoint(path)[0] is not None) or _is_routed(request, path, method)
    ]


def _is_routed(request: Request, path: str, method: str) -> bool:
    asked = {"type": "http", "method": method, "path": path, "root_path": ""}
    return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)


def _unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: the client learns that it happened, the log what it was; the server sees it raised as well.

    That makes the server close the connection, which the client must hear before it sends its next request there.
    """
    log.error("request.failed", path=request.url.path, error=type(error).__name__)
    return answer(request, Internal(), {"Connection": "close"})
