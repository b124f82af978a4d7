"""What load balancers and monitoring ask: is the process alive, should it get traffic, what has it counted."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool

from hypereal.api.auth import extract_secret
from hypereal.api.deps import Served
from hypereal.api.readiness import OK
from hypereal.errors import Unauthorized
from hypereal.usage.metrics import exposition

router = APIRouter(tags=["Operation"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Is the process alive")
async def healthz() -> dict[str, str]:
    """Answers whenever the process can answer at all; restart it when this fails."""
    return {"status": OK}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Should the process get traffic", responses={503: {"description": "Not ready"}})
async def readyz(services: Served) -> JSONResponse:
    """200 while every check is well, 503 otherwise and from the moment that the process begins to stop."""
    readiness = await services.readiness.check()
    body = {"status": OK if readiness.is_ready else "unavailable", "checks": dict(readiness.checks)}
    return JSONResponse(body, status_code=200 if readiness.is_ready else 503)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(request: Request, services: Served) -> Response:
    """All processes of this server added up. With `HYPEREAL_METRICS_TOKEN` set, a bearer token is asked for."""
    token = services.metrics_token
    if token is not None and not _carries(request, token):
        raise Unauthorized("The metrics of this server need its metrics token")
    page = await run_in_threadpool(exposition, services.metrics_directory)
    return Response(page, media_type=CONTENT_TYPE_LATEST)


def _carries(request: Request, token: str) -> bool:
    secret = extract_secret(request.scope["headers"], b"")
    return secret is not None and hmac.compare_digest(secret, token.encode())
