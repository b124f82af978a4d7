"""What routes ask for by type: the services of this process, and a caller whose key allows what the route does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBearer

from hypereal.api.auth import extract_secret
from hypereal.api.services import Services
from hypereal.errors import Forbidden
from hypereal.identity.principal import Principal
from hypereal.identity.scopes import Scope


def get_services(request: Request) -> Services:
    """The services that `app` composed for this process."""
    services: Services = request.app.state.services
    return services


Served = Annotated[Services, Depends(get_services)]


async def authenticate(request: Request, response: Response, services: Served) -> Principal:
    """Who holds the key of this request, in whichever form it came; raises `Unauthorized`.

    The answer shows the tightest rate limit, which only inference counts against (api.md section 12).
    """
    secret = extract_secret(request.scope["headers"], request.scope["query_string"])
    outcome = await services.verifier.verify(secret)
    if not isinstance(outcome, Principal):
        raise outcome
    limit, remaining, reset = services.windows.show(services.subjects.of(outcome))
    if limit is not None:
        response.headers["X-RateLimit-Limit"] = str(limit)
        response.headers["X-RateLimit-Remaining"] = str(remaining)
        response.headers["X-RateLimit-Reset"] = str(reset)
    return outcome


def caller(scope: Scope) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency that gives the caller, or raises `Forbidden` when the key's scopes lack `scope`."""

    async def permitted(principal: Annotated[Principal, Depends(authenticate)]) -> Principal:
        if not principal.may(scope):
            raise Forbidden(f"This key may not do that: its scopes lack {scope.value}", scope=scope.value)
        return principal

    return permitted


ModelsRead = Annotated[Principal, Depends(caller(Scope.MODELS_READ))]
Inferring = Annotated[Principal, Depends(caller(Scope.INFERENCE))]
KeysRead = Annotated[Principal, Depends(caller(Scope.KEYS_READ))]
KeysWrite = Annotated[Principal, Depends(caller(Scope.KEYS_WRITE))]
UsageRead = Annotated[Principal, Depends(caller(Scope.USAGE_READ))]
CreditsRead = Annotated[Principal, Depends(caller(Scope.CREDITS_READ))]

# For the OpenAPI document only: `authenticate` finds the key itself, in the same four places for every route.
DOCUMENTED = (
    Security(HTTPBearer(scheme_name="bearer", auto_error=False, description="`Authorization: Bearer ck_…`")),
    Security(APIKeyHeader(name="x-api-key", scheme_name="x-api-key", auto_error=False)),
    Security(APIKeyHeader(name="x-goog-api-key", scheme_name="x-goog-api-key", auto_error=False)),
    Security(APIKeyQuery(name="key", scheme_name="key", auto_error=False)),
)
