"""Failover: attempts over the targets of a plan, each from the original request, until one answers."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

import msgspec

from hypereal.errors import (
    HyperealError,
    InvalidRequest,
    NoUpstream,
    PayloadTooLarge,
    RateLimited,
    UpstreamFailed,
    UpstreamTimeout,
)
from hypereal.gateway.downstream import Downstream
from hypereal.gateway.plan import Plan
from hypereal.gateway.relay import GONE, Outcome, Relay, Streamed, StreamRelay, Whole
from hypereal.gateway.routes import Route
from hypereal.kit.connection import Connection
from hypereal.kit.drive import Cell, in_task
from hypereal.kit.framing import header_map
from hypereal.kit.upstream import ConnectFailed, ConnectTimeout
from hypereal.kit.watch import Watch
from hypereal.providers.base import Failure, FailureKind
from hypereal.wire.base import Answer, Garbage

TRIES_PER_TARGET = 2
_EVENT_STARTS = (b"data:", b"event:", b":", b"id:")
"""How a body begins that is a stream of events although one object was asked for; JSON never does."""
SMALL_BODY_BYTES = 32_768  # up to here one copy is cheaper than handing the socket two pieces
BACKOFF_S = 0.1
MAX_BACKOFF_S = 2.0
MAX_RETRY_AFTER_S = 5.0
"""An upstream that asks for a longer wait than this is not waited for: the next target is asked at once."""


class Exchange(msgspec.Struct, kw_only=True):
    """A planned request on its way to an answer: who waits for it, and what has happened so far.

    `commit` is called when a stream begins; from then on there is no other attempt. `reassure` is called while a stream
    is slow to begin: the client has heard nothing since `quiet_since`. `failed` are the attempts that did not become
    the answer, by upstream; `route` and `relay` are those of the last one.
    """

    request_id: str
    plan: Plan
    downstream: Downstream
    commit: Callable[[], None]
    reassure: Callable[[], None]
    quiet_since: float
    attempts: int = 0
    failed: list[tuple[str, Failure]] = []
    route: Route | None = None
    relay: StreamRelay | None = None

    def is_abandoned(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.downstream.is_gone

    @property
    def failures(self) -> list[Failure]:
        return [failure for _, failure in self.failed]


class Answered(msgspec.Struct, frozen=True):
    """A whole answer, judged sound."""

    answer: Answer
    body: bytes


Result = Answered | Streamed | Failure


def backoff_s(tries: int) -> float:
    """Exponential, with full jitter, so that clients that failed together do not return together."""
    return random.uniform(0, min(MAX_BACKOFF_S, BACKOFF_S * 2**tries))


class Failover:
    """Sends requests. One for each event loop."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def run(self, exchange: Exchange) -> Result:
        """Try the plan's routes in order, one retry each; the answer, or the failure that ended it."""
        for route in exchange.plan.routes:
            if not route.breaker.allows(self._watch.time()):
                continue
            exchange.route = route
            for tries in range(1, TRIES_PER_TARGET + 1):
                if exchange.is_abandoned():
                    route.breaker.undecided()
                    return GONE
                exchange.attempts += 1
                found = route.pool.take() or await self._connect(exchange, route)
                outcome = found if isinstance(found, Failure) else await self._ask(exchange, route, found)
                exchange.downstream.flow = exchange.downstream.on_gone = None
                result = self._judge(exchange.plan, route, outcome) if isinstance(outcome, Whole) else outcome
                if not isinstance(result, Failure):
                    self._judge_target(route, result)
                    return result
                if exchange.is_abandoned() or not result.try_next:
                    route.breaker.undecided()
                    return GONE if exchange.is_abandoned() else result
                if not await self._waits_to_retry(exchange, route, result, tries):
                    break
        if not exchange.failed:
            return Failure(kind=FailureKind.CONNECT, message="every target rests after failures", status=503)
        return exchange.failed[-1][1]

    async def _waits_to_retry(self, exchange: Exchange, route: Route, failure: Failure, tries: int) -> bool:
        """Note a failed attempt; whether the same target is to be tried again, after the wait that is due."""
        exchange.failed.append((route.target.upstream.id, failure))
        route.breaker.failed(self._watch.time())
        wait_s = failure.retry_after_s if failure.retry_after_s is not None else backoff_s(tries - 1)
        may_retry = failure.retry_same and tries < TRIES_PER_TARGET and not route.breaker.is_open
        if not may_retry or wait_s > MAX_RETRY_AFTER_S:
            return False
        await in_task()
        await asyncio.sleep(wait_s)
        return True

    def _judge_target(self, route: Route, result: Answered | Streamed) -> None:
        """What an answer says of the target that gave it."""
        if isinstance(result, Answered) or result.ending == "complete":
            route.breaker.succeeded()
        elif result.ending == "gone":
            route.breaker.undecided()
        else:
            route.breaker.failed(self._watch.time())

    async def _connect(self, exchange: Exchange, route: Route) -> Connection | Failure:
        await in_task()
        try:
            connection = await route.pool.connect()
        except ConnectTimeout as exc:
            return Failure(kind=FailureKind.TIMEOUT, message=str(exc), status=504, retry_same=True)
        except ConnectFailed as exc:
            return Failure(kind=FailureKind.CONNECT, message=str(exc), retry_same=True)
        if exchange.is_abandoned():
            route.pool.put(connection)
            return GONE
        return connection

    def _ask(self, exchange: Exchange, route: Route, connection: Connection) -> Cell[Outcome]:
        """Send the request; what becomes of it is in the cell."""
        downstream = exchange.downstream
        request = self._request(exchange, route)
        if isinstance(request, Failure):
            route.pool.put(connection)
            refused: Cell[Outcome] = Cell()
            refused.set_result(request)
            return refused
        relay = self._relay(exchange, route, connection)
        downstream.flow = connection
        downstream.on_gone = relay.gone
        connection.send(request, relay, streams=exchange.plan.envelope.stream)
        return relay.outcome

    @staticmethod
    def _request(exchange: Exchange, route: Route) -> tuple[bytes, ...] | Failure:
        """Head and body for a route; in one piece while that is cheaper."""
        try:
            made = route.request(exchange.plan.envelope)
        except InvalidRequest as problem:  # a field that only a translation looks at
            return Failure(
                kind=FailureKind.REJECTED,
                message=problem.message,
                status=problem.status,
                try_next=False,
                code=problem.code,
                param=problem.param,
            )
        if isinstance(made, Failure):
            return made
        head, body = made
        request_id = exchange.request_id.encode()
        head = b"%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (head, request_id, len(body))
        return (head + body,) if len(body) <= SMALL_BODY_BYTES else (head, body)

    def _relay(self, exchange: Exchange, route: Route, connection: Connection) -> Relay:
        upstream, envelope = route.target.upstream, exchange.plan.envelope
        drains = route.model.disconnect == "drain"
        if not envelope.stream:
            return Relay(upstream, self._watch, connection, drains=drains)
        exchange.relay = StreamRelay(
            upstream,
            self._watch,
            connection,
            downstream=exchange.downstream,
            dialect=route.dialect.stream(envelope),
            commit=exchange.commit,
            reassure=exchange.reassure,
            quiet_since=exchange.quiet_since,
            drain_s=route.model.drain_s if drains else None,
            unframer=route.adapter.unframer(),
        )
        return exchange.relay

    @staticmethod
    def _judge(plan: Plan, route: Route, whole: Whole) -> Answered | Failure:
        """Whether a whole answer is what was asked for."""
        if not 200 <= whole.status < 300:
            return route.adapter.classify(whole.status, header_map(whole.head), whole.body)
        if not whole.body:
            return Failure(kind=FailureKind.EMPTY, message="the upstream sent an empty answer", retry_same=True)
        body = whole.body
        try:
            if not plan.envelope.stream and body.lstrip()[:6].startswith(_EVENT_STARTS):
                body, answer = route.fold(plan.envelope, body)
            else:
                answer = route.dialect.read_answer(body)
                if plan.envelope.stream:
                    route.check_unfolds(body)
        except Garbage as exc:
            message = f"the upstream's answer is malformed: {exc}"
            return Failure(kind=FailureKind.GARBAGE, message=message, retry_same=True)
        if answer.error is not None:
            return Failure(kind=FailureKind.SERVER_ERROR, message=f"the upstream sent: {answer.error}", retry_same=True)
        if answer.is_empty:
            return Failure(kind=FailureKind.EMPTY, message="the upstream sent an empty answer", retry_same=True)
        return Answered(answer, body)


def to_error(final: Failure, failures: list[Failure]) -> HyperealError:
    """The one clean error for the client, after the attempts have failed.

    A request that the upstream rejected is answered as rejected. Otherwise: throttled everywhere is 429, timed out
    everywhere 504, nothing to ask 503, and anything else 502.
    """
    if final.kind is FailureKind.REJECTED:
        kind = PayloadTooLarge if final.status == 413 else InvalidRequest
        if final.code:
            return kind(final.message, param=final.param, code=final.code)
        return kind(final.message, param=final.param)
    if not failures:
        return NoUpstream()
    kinds = {failure.kind for failure in failures}
    if kinds == {FailureKind.THROTTLED}:
        waits = [failure.retry_after_s for failure in failures if failure.retry_after_s is not None]
        return RateLimited(
            "Every provider of this model is throttled; try again later",
            retry_after_s=max(1, math.ceil(min(waits))) if waits else 1,
        )
    if kinds == {FailureKind.TIMEOUT}:
        return UpstreamTimeout()
    return UpstreamFailed()
