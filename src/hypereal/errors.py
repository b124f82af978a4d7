"""The one tree of errors that a caller can see, and what each means to a client.

* HyperealError
  + InvalidRequest (400)
    - UnknownModel, WrongEndpoint, PreviousResponseNotFound
  + Unauthorized (401)
  + InsufficientCredits (402)
    - SpendingLimitReached
  + Forbidden (403)
  + NotFound (404)
  + MethodNotAllowed (405)
  + Conflict (409)
  + Gone (410)
  + PayloadTooLarge (413)
  + RateLimited (429)
    - LargerThanLimit
  + HeadTooLarge (431)
  + Internal (500)
    - Unavailable (503)
  + UpstreamFailed (502)
    - NoUpstream (503), UpstreamTimeout (504), ShuttingDown (503)

A `HyperealError` is both an exception (raised by management code) and a value (returned by the pipeline as a refusal);
the families of `wire.families` render it from its attributes, so a new error is one class here and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

Blame = Literal["client", "gateway", "upstream"]


class HyperealError(Exception):
    """An answer other than success.

    `message` is for the client's eyes; `fields` are added to the error object (`required`, `available_models`, …);
    `param` names the offending field; `retry_after_s` becomes the `Retry-After` header.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "api_error"
    blame: ClassVar[Blame] = "gateway"
    retryable: ClassVar[bool] = False
    default_message: ClassVar[str] = "Internal server error"

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after_s: int | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message or self.default_message)
        self.message = message or self.default_message
        self.param = param
        self.retry_after_s = retry_after_s
        self.fields: Mapping[str, Any] = fields


class InvalidRequest(HyperealError):
    status = 400
    code = "invalid_request"
    type = "invalid_request_error"
    blame = "client"
    default_message = "Invalid request"


class UnknownModel(InvalidRequest):
    code = "model_not_found"
    default_message = "Unknown model"


class WrongEndpoint(InvalidRequest):
    code = "wrong_endpoint"
    default_message = "This model is served on another endpoint"


class PreviousResponseNotFound(InvalidRequest):
    code = "previous_response_not_found"
    default_message = "Previous response not found"


class Unauthorized(HyperealError):
    status = 401
    code = "unauthorized"
    type = "authentication_error"
    blame = "client"
    default_message = "Unauthorized. Please log in..."


class InsufficientCredits(HyperealError):
    status = 402
    code = "insufficient_credits"
    type = "insufficient_credits"
    blame = "client"
    default_message = "Insufficient credits"


class SpendingLimitReached(InsufficientCredits):
    code = "spending_limit_reached"
    default_message = "Insufficient credits: this key's monthly spending limit is reached"


class Forbidden(HyperealError):
    status = 403
    code = "forbidden"
    type = "permission_error"
    blame = "client"
    default_message = "This key may not do that"


class NotFound(HyperealError):
    status = 404
    code = "not_found"
    type = "not_found_error"
    blame = "client"
    default_message = "Not found"


class MethodNotAllowed(HyperealError):
    status = 405
    code = "method_not_allowed"
    type = "invalid_request_error"
    blame = "client"
    default_message = "Method not allowed"


class Conflict(HyperealError):
    status = 409
    code = "conflict"
    type = "invalid_request_error"
    blame = "client"
    default_message = "Conflict"


class Gone(HyperealError):
    status = 410
    code = "gone"
    type = "invalid_request_error"
    blame = "client"
    default_message = "This route was retired"


class PayloadTooLarge(HyperealError):
    status = 413
    code = "payload_too_large"
    type = "invalid_request_error"
    blame = "client"
    default_message = "The request body is too large"


class HeadTooLarge(HyperealError):
    status = 431
    code = "headers_too_large"
    type = "invalid_request_error"
    blame = "client"
    default_message = "The request's headers are too large"


class RateLimited(HyperealError):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    blame = "client"
    retryable = True
    default_message = "Rate limit exceeded"


class LargerThanLimit(RateLimited):
    """The request alone needs more than the limit allows: no waiting helps."""

    retryable = False


class Internal(HyperealError):
    pass


class Unavailable(Internal):
    status = 503
    code = "unavailable"
    retryable = True
    default_message = "The server can't do that at the moment; try again"


class UpstreamFailed(HyperealError):
    status = 502
    code = "upstream_error"
    type = "upstream_error"
    blame: ClassVar[Blame] = "upstream"
    retryable = True
    default_message = "Every provider of this model failed"


class NoUpstream(UpstreamFailed):
    status = 503
    code = "no_upstream"
    default_message = "No provider of this model is available"


class UpstreamTimeout(UpstreamFailed):
    status = 504
    code = "upstream_timeout"
    default_message = "Every provider of this model timed out"


class ShuttingDown(UpstreamFailed):
    status = 503
    code = "shutting_down"
    blame = "gateway"
    default_message = "This server is stopping; try again"
