"""What a provider's failure means for the request: whose fault it is, and whether another try can help.

What the error says beats its status, because providers answer the same thing with different statuses. The codes are
those of the providers' own error references.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType

from hypereal.providers.base import Failure, FailureKind
from hypereal.providers.error_body import ErrorBody, read_error
from hypereal.providers.retry_after import retry_after

UNPAID = frozenset(
    {
        "insufficient_quota",  # OpenAI
        "billing_hard_limit_reached",
        "billing_not_active",
        "account_deactivated",
        "exceeded_current_quota_error",  # Moonshot
        "insufficient_balance",
        "arrearage",  # DashScope
        *("1110", "1111", "1112", "1113", "1121", "1309"),  # Zhipu: inactive, locked, in arrears, plan over
        "1008",  # MiniMax: insufficient balance
        "billing_error",  # Anthropic
        "billing_disabled",  # Google Cloud
    }
)
UNAUTHORISED = frozenset(
    {
        "invalid_api_key",
        "api_key_invalid",  # Google, with status 400
        "authentication_error",
        "permission_error",  # Anthropic
        *("accessdeniedexception", "expiredtokenexception", "incompletesignatureexception"),  # AWS
        *("invalidsignatureexception", "missingauthenticationtokenexception", "unrecognizedclientexception"),
        *("permission_denied", "unauthenticated"),  # Google
        "invalid_authentication_error",  # Moonshot
        "unsupported_country_region_territory",
        "1004",  # MiniMax: authentication failed
        "2049",  # MiniMax: invalid key
    }
)
REFUSED_CONTENT = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "responsibleaipolicyviolation",  # Azure
        "data_inspection_failed",  # DashScope
        "datainspectionfailed",
        "1301",  # Zhipu
        "1026",  # MiniMax: sensitive input
    }
)
UNKNOWN_MODEL = frozenset(
    {
        "model_not_found",
        "model_not_available",  # Together
        "invalid_model",  # Mistral, with status 400
        "1211",  # Zhipu
        "deploymentnotfound",  # Azure
        "resource_not_found_error",  # Moonshot
        "resourcenotfoundexception",  # AWS
    }
)
TOO_MANY = frozenset(
    {
        "rate_limit_error",  # Anthropic
        "resource_exhausted",  # Google
        *(
            "throttlingexception",
            "servicequotaexceededexception",
            "toomanyrequestsexception",
        ),  # AWS, the second with 400
    }
)
TOO_BUSY = frozenset(
    {
        "overloaded_error",  # Anthropic
        *("modelnotreadyexception", "serviceunavailableexception"),  # AWS, the first with 429
    }
)
TOO_LONG = frozenset({"context_length_exceeded", "string_above_max_length", "1261"})

_UNPAID_TEXT = re.compile(r"credit balance is too low|insufficient (?:account )?(?:balance|credits?)", re.IGNORECASE)
_KEY_TEXT = re.compile(
    r"(?:incorrect|invalid) api[ -]key|api key not valid"
    r"|user location is not supported|^operation not allowed$",  # Google with 400; Bedrock, for an account, with 400
    re.IGNORECASE,
)
_MODERATION_TEXT = re.compile(r"moderation|flagged for|content (?:policy|management policy)", re.IGNORECASE)
_MODEL_TEXT = re.compile(
    r"not a valid model id|model identifier is invalid|on-demand throughput isn.t supported"
    r"|model not exist|invalid model[: ]|model [^.]{0,200}(?:does not exist|not found)",
    re.IGNORECASE,
)
_LENGTH_TEXT = re.compile(
    r"maximum context length|context[ _](?:length|window)[^.]{0,60}exceed"
    r"|exceed[^.]{0,60}context[ _](?:length|window|size)|prompt is too long"
    r"|input token count[^.]{0,40}exceeds|input is too long|range of input length should be",
    re.IGNORECASE,
)

ACCOUNT = Failure(
    kind=FailureKind.CREDENTIALS, message="The provider refused this server's account", code="credentials"
)
NO_TOKEN = Failure(
    kind=FailureKind.CREDENTIALS,
    message="This server has no access to the provider yet",
    code="credentials",
    detail="no access token has been granted",
)
MODEL_MISSING = Failure(kind=FailureKind.MISSING, message="The provider does not have this model", code="model_missing")
THROTTLED = Failure(
    kind=FailureKind.THROTTLED,
    message="The provider's rate limit is reached",
    status=429,
    retry_same=True,
    code="rate_limit_exceeded",
)
TIMEOUT = Failure(
    kind=FailureKind.TIMEOUT, message="The provider took too long", status=504, retry_same=True, code="timeout"
)
OVERLOADED = Failure(
    kind=FailureKind.SERVER_ERROR,
    message="The provider is overloaded",
    status=503,
    retry_same=True,
    code="overloaded",
)
MODEL_FAILED = Failure(
    kind=FailureKind.SERVER_ERROR, message="The provider's model failed", retry_same=True, code="model_failed"
)
BY_STATUS: Mapping[int, Failure] = MappingProxyType(
    {
        401: ACCOUNT,
        402: ACCOUNT,
        403: ACCOUNT,
        404: MODEL_MISSING,
        408: TIMEOUT,
        410: MODEL_MISSING,
        412: ACCOUNT,  # Fireworks: a suspended account
        424: MODEL_FAILED,  # AWS: ModelErrorException
        429: THROTTLED,
        498: THROTTLED,  # Groq: flex capacity exceeded
        503: OVERLOADED,
        504: TIMEOUT,
        522: TIMEOUT,  # Cloudflare: no connection to the provider
        524: TIMEOUT,  # Cloudflare: no answer from the provider
        529: OVERLOADED,  # Anthropic
    }
)


def classify(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> Failure:
    """What an answer other than 2xx means. `headers` have lower-case names; `now` is seconds since the epoch."""
    error = _named_by_headers(read_error(body), headers)
    failure = _by_words(status, error) or _by_status(status, error)
    if failure.kind is FailureKind.REJECTED:
        return failure
    wait = retry_after(headers, message=error.message, wait=error.wait, now=now)
    return replace(failure, retry_same=_retry_same(failure, headers), retry_after_s=wait, detail=error.message)


def _named_by_headers(error: ErrorBody, headers: Mapping[str, str]) -> ErrorBody:
    """With the code that AWS puts into a header (`ThrottlingException:http://…`), sometimes nowhere else."""
    named = headers.get("x-amzn-errortype", "").partition(":")[0]
    return replace(error, codes=error.codes | {named.lower()}) if named else error


def _retry_same(failure: Failure, headers: Mapping[str, str]) -> bool:
    """Anthropic's `x-should-retry` knows better than the status; what needs an operator, it cannot know."""
    advice = headers.get("x-should-retry")
    if advice not in ("true", "false") or failure.kind in (FailureKind.CREDENTIALS, FailureKind.MISSING):
        return failure.retry_same
    return advice == "true"


def _by_words(status: int, error: ErrorBody) -> Failure | None:
    """The meaning that the error's own code or text gives away, whatever its status."""
    is_client_error = status in (400, 413, 422)
    if _says(error, UNPAID, _UNPAID_TEXT if status in (400, 403, 429) else None):
        return ACCOUNT
    if _says(error, UNAUTHORISED, _KEY_TEXT if status in (400, 403) else None):
        return ACCOUNT
    if status in (400, 403) and _says(error, REFUSED_CONTENT, _MODERATION_TEXT):  # 403 is OpenRouter's
        return _rejected(status, error, code="content_policy_violation")
    if is_client_error and _says(error, UNKNOWN_MODEL, _MODEL_TEXT):
        return MODEL_MISSING
    if is_client_error and _says(error, TOO_LONG, _LENGTH_TEXT):
        return _rejected(status, error, code="context_length_exceeded")
    if TOO_MANY & error.codes:
        return THROTTLED
    return OVERLOADED if TOO_BUSY & error.codes else None


def _by_status(status: int, error: ErrorBody) -> Failure:
    # A web page with 400 or 413 comes from a proxy on the way, and another provider may well take the request.
    if status in (400, 413, 422) and not error.is_page:
        return _rejected(status, error, code="invalid_request")
    return BY_STATUS.get(status) or _server_error(status)


def _says(error: ErrorBody, codes: frozenset[str], text: re.Pattern[str] | None) -> bool:
    return bool(codes & error.codes) or bool(text and text.search(error.message))


def _rejected(status: int, error: ErrorBody, *, code: str) -> Failure:
    """The client's own fault: the provider's words, its field, and a status of api.md section 3 (never 422)."""
    return Failure(
        kind=FailureKind.REJECTED,
        message=error.message or f"The provider refused the request ({status})",
        status=413 if status == 413 else 400,
        try_next=False,
        code=code,
        param=error.param,
        detail=error.message,
    )


def _server_error(status: int) -> Failure:
    try:
        answer = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        answer = str(status)
    # Whatever else is no passing fault of a server (a redirect, 405, 501) comes again when the same is sent again.
    can_pass = status in (409, 425, 500, 502) or status >= 506
    return Failure(kind=FailureKind.SERVER_ERROR, message=f"The provider answered {answer}", retry_same=can_pass)
