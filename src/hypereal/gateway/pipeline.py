"""The pipeline: from a client's request to its answer and its bill. It reads as the specification does:

admit (who, what, may they, how fast, can they pay), attempt, relay, settle, log. Nothing here knows which transport
carries the client, and in the steady state nothing here waits for anything but the upstream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from hypereal.errors import (
    HyperealError,
    LargerThanLimit,
    RateLimited,
    ShuttingDown,
    Unauthorized,
    UpstreamFailed,
    UpstreamTimeout,
)
from hypereal.gateway.bill import COUNTED, ESTIMATED, Bill, bill_answer, bill_stream
from hypereal.gateway.books import Books
from hypereal.gateway.call import Call
from hypereal.gateway.downstream import Downstream
from hypereal.gateway.failover import Answered, Exchange, Failover, Result, to_error
from hypereal.gateway.plan import Plan, Planner, Refusal
from hypereal.gateway.relay import GONE, Streamed, StreamRelay
from hypereal.gateway.resumption import NAMED, Resumption
from hypereal.gateway.routes import Route
from hypereal.gateway.subjects import Subjects
from hypereal.identity.principal import Principal
from hypereal.identity.verifier import Verifier
from hypereal.kit.drive import in_task
from hypereal.kit.money import Micro, credits_text
from hypereal.kit.sse import split_events
from hypereal.kit.watch import Watch
from hypereal.limits.counters import Limited
from hypereal.limits.windows import Windows
from hypereal.providers.base import Failure, FailureKind
from hypereal.wire import COUNTERS
from hypereal.wire.base import BARE, EVENT_STREAM, Context, Endpoint, Kind
from hypereal.wire.families import render
from hypereal.wire.fields import likely_input

PATIENCE_S = 61
"""Clients are told not to try again by themselves where they would have to wait for longer than a window of a minute
may ask of them."""
CLIENT_CLOSED = 499  # logged only; nobody is left to read it

log = structlog.get_logger(__name__)


class Pipeline:
    """Serves requests. One for each event loop; everything it needs is handed to it."""

    def __init__(
        self,
        *,
        verifier: Verifier,
        planner: Planner,
        windows: Windows,
        subjects: Subjects,
        books: Books,
        failover: Failover,
        resumption: Resumption,
        watch: Watch,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._planner = planner
        self._windows = windows
        self._books = books
        self._failover = failover
        self._resumption = resumption
        self._watch = watch
        self._clock = clock
        self._subjects = subjects
        self._failures: list[tuple[str, str]] = []
        self.in_flight = 0
        self.is_stopping = False
        self._is_drained = asyncio.Event()

    async def serve(
        self,
        endpoint: Endpoint,
        *,
        secret: bytes | None,
        body: bytes,
        request_id: str,
        downstream: Downstream,
        context: Context = BARE,
    ) -> None:
        """Answer one request, whatever happens."""
        self.in_flight += 1
        call: Call | None = None
        try:
            principal = None if secret is None or self.is_stopping else self._verifier.find(secret)
            if principal is None:
                verdict = await self._verify(secret)
                if not isinstance(verdict, Principal):
                    _refuse(downstream, endpoint, verdict, request_id)
                    return
                principal = verdict
            if endpoint.goes_on and NAMED in body:
                written = await self._write_out(principal, body, context)
                if isinstance(written, HyperealError):
                    _refuse(downstream, endpoint, written, request_id)
                    return
                body, context = written
            call = Call(
                endpoint=endpoint,
                request_id=request_id,
                downstream=downstream,
                started=self._watch.time(),
                at=self._clock(),
                principal=principal,
            )
            refusal = self._admit(call, body, context)
            if refusal is None and call.hold is None and call.plan is not None and endpoint.kind is not Kind.COUNT:
                refusal = await self._books.hold(call, call.plan.hold)
            if refusal is not None:
                self._end_refused(call, refusal)
            elif endpoint.kind is Kind.COUNT and call.plan is not None:
                await self._count(call, call.plan)
            elif call.plan is not None:
                await self._fulfil(call, call.plan)
        finally:
            self.in_flight -= 1
            if call is not None:
                call.exchange = None  # which holds the call: a cycle would keep its body until the next collection
                self._books.leave(call)
            if self.is_stopping and not self.in_flight:
                self._is_drained.set()

    async def check(self, secret: bytes | None) -> HyperealError | None:
        """Why a caller would be refused whatever it asks."""
        verdict = await self._verify(secret)
        return None if isinstance(verdict, Principal) else verdict

    async def written_out(
        self, secret: bytes | None, body: bytes, context: Context
    ) -> tuple[bytes, Context] | HyperealError:
        """A request with the stored response in it that it goes on from, for one that is not served yet."""
        verdict = await self._verify(secret)
        if not isinstance(verdict, Principal):
            return verdict
        return await self._write_out(verdict, body, context) if NAMED in body else (body, context)

    async def refusal_of(
        self, secret: bytes | None, endpoint: Endpoint, body: bytes, context: Context
    ) -> HyperealError | None:
        """Why a request would be refused for what it asks or who asks it; nothing is held, counted or sent."""
        verdict = await self._verify(secret)
        if not isinstance(verdict, Principal):
            return verdict
        plan = self._planner.plan(verdict, endpoint, body, context)
        return plan.error if isinstance(plan, Refusal) else None

    async def stop(self) -> None:
        """Turn away new requests and wait for those under way."""
        self.is_stopping = True
        if self.in_flight:
            await self._is_drained.wait()

    async def _verify(self, secret: bytes | None) -> Principal | HyperealError:
        """Who calls, when memory does not know."""
        if self.is_stopping:
            return ShuttingDown(retry_after_s=1)
        await in_task()
        return await self._verifier.verify(secret)

    async def _write_out(
        self, principal: Principal, body: bytes, context: Context
    ) -> tuple[bytes, Context] | HyperealError:
        """The request with the stored response in it that it goes on from."""
        await in_task()
        return await self._resumption.write_out(principal.account_id, body, context)

    def _admit(self, call: Call, body: bytes, context: Context) -> HyperealError | None:
        """Plan the request, let it through its windows, and hold its credits if memory can; or say why not."""
        closed = self._books.why_closed()
        if closed is not None:
            return closed
        principal = call.principal
        plan = self._planner.plan(principal, call.endpoint, body, context)
        if isinstance(plan, Refusal):
            call.asked_for = plan.model
            return plan.error
        call.plan = plan
        envelope = plan.envelope
        envelope.request_id, envelope.at = call.request_id, int(call.at)
        admission = self._windows.admit(self._subjects.of(principal), plan.tokens)
        if isinstance(admission, Limited):
            call.limit_fields = _limit_fields(admission.limit, 0, admission.reset)
            if admission.retry_after_s is None:
                return LargerThanLimit(admission.message)
            return RateLimited(admission.message, retry_after_s=admission.retry_after_s)
        call.admission = admission
        if admission.limit is not None:
            call.limit_fields = _limit_fields(admission.limit, admission.remaining, admission.reset)
        if envelope.endpoint.kind is not Kind.COUNT:
            self._books.try_hold(call, plan.hold)
        return None

    async def _fulfil(self, call: Call, plan: Plan) -> None:
        """Attempt, relay, charge, and end the client's side."""
        exchange = call.exchange = Exchange(
            request_id=call.request_id,
            plan=plan,
            downstream=call.downstream,
            commit=lambda: self._commit(call),
            reassure=lambda: self._reassure(call),
            quiet_since=call.started,
        )
        try:
            result = await self._failover.run(exchange)
        except BaseException:
            if exchange.route is not None:
                exchange.route.breaker.undecided()
            raise
        if exchange.failed:
            self._failures += [(provider, failure.kind.value) for provider, failure in exchange.failed]
        route, relay = exchange.route, exchange.relay
        if isinstance(result, Failure):
            self._end_failed(call, exchange, result)
        elif isinstance(result, Answered) and route is not None:
            bill = bill_answer(plan, route, result.answer)
            self._note_cache(plan, route, bill)
            charged = await self._books.charge(call, bill.cost, route.model.price)
            if plan.envelope.stream:
                self._answer_as_stream(call, exchange, route, result.body, bill, charged=charged)
            else:
                self._answer(call, exchange, route, result.body, bill, charged=charged)
        elif isinstance(result, Streamed) and route is not None and relay is not None:
            bill = bill_stream(plan, route, relay, result)
            self._note_cache(plan, route, bill)
            charged = await self._books.charge(call, bill.cost, route.model.price)
            self._end_stream(call, relay, result, bill, charged)

    async def _count(self, call: Call, plan: Plan) -> None:
        """Count tokens where an upstream can, else estimate; nothing is charged for it.

        A request that the upstream refuses as malformed is refused here too: it would be as a real one.
        """
        exchange = call.exchange = Exchange(
            request_id=call.request_id,
            plan=plan,
            downstream=call.downstream,
            commit=_never_streams,
            reassure=_never_streams,
            quiet_since=call.started,
        )
        result: Result | None = await self._failover.run(exchange) if plan.routes else None
        gone = result is GONE
        if isinstance(result, Failure) and result.kind is FailureKind.REJECTED and not gone:
            self._end_failed(call, exchange, result)
            return
        record = call.settlement(
            now=self._watch.time(),
            status=CLIENT_CLOSED if gone else 200,
            basis=COUNTED if isinstance(result, Answered) else ESTIMATED,
            error="client closed" if gone else None,
        )
        self._books.settle(call, None, record)
        fields = call.limit_fields
        if isinstance(result, Answered) and exchange.route is not None:
            call.downstream.respond(200, fields + exchange.route.fields, result.body)
        else:
            body = COUNTERS[plan.envelope.endpoint.dialect].render_count(likely_input(plan.envelope.input_estimate))
            call.downstream.respond(200, fields, body)

    def _note_cache(self, plan: Plan, route: Route, bill: Bill) -> None:
        """Remember who holds the cache of a session that could also be served elsewhere."""
        if plan.affinity_key is not None and bill.usage.input != bill.usage.input_total:
            self._planner.affinity.note(plan.affinity_key, route.target.upstream.id)

    def _commit(self, call: Call) -> None:
        """A stream has begun: open the client's side."""
        exchange = call.exchange
        if exchange is None or exchange.route is None:
            return
        now = call.first_token_at = self._watch.time()
        self._books.open(call, now=now, price=exchange.route.model.price)
        relay = exchange.relay
        if not call.is_open:
            _open(call, exchange, exchange.route, relay.dialect.content_type if relay is not None else EVENT_STREAM)

    def _reassure(self, call: Call) -> None:
        """A stream is slow to begin: ping its client before something on the way takes the silence for an end.

        The status is 200 from here on; another provider may still give the answer, and if none does the stream says so.
        """
        exchange = call.exchange
        if exchange is None or exchange.route is None or exchange.relay is None:
            return
        exchange.quiet_since = self._watch.time()
        if not call.downstream.takes_pings:
            return
        dialect = exchange.relay.dialect
        if not call.is_open:
            _open(call, exchange, exchange.route, dialect.content_type)
        call.downstream.send(dialect.ping)

    def _answer(
        self, call: Call, exchange: Exchange, route: Route, answer: bytes, bill: Bill, *, charged: Micro
    ) -> None:
        plan, usage = exchange.plan, bill.usage
        body = route.dialect.render_answer(plan.envelope, answer, usage, charged)
        if call.endpoint.goes_on:
            self._resumption.keep(call.principal.account_id, plan.envelope, body, is_stream=False)
        status = CLIENT_CLOSED if call.downstream.is_gone else 200
        self._books.settle(
            call,
            usage,
            call.settlement(now=self._watch.time(), status=status, credits=charged, usage=usage, basis=bill.basis),
        )
        fields = b"%bx-hypereal-credits: %b\r\nx-hypereal-cache: %b\r\n" % (
            _answer_fields(call, exchange, route),
            credits_text(charged).encode(),
            b"hit" if usage.cache_read else b"miss",
        )
        call.downstream.respond(200, fields, body)

    def _answer_as_stream(
        self, call: Call, exchange: Exchange, route: Route, answer: bytes, bill: Bill, *, charged: Micro
    ) -> None:
        """The upstream answered a streaming request in one piece."""
        envelope, usage = exchange.plan.envelope, bill.usage
        stream = route.dialect.stream(envelope)
        events, _ = split_events(route.unfold(envelope, answer, usage))
        shown = [stream.edit(event) if stream.rewrites_events else event for event in events[:-1]]
        shown.append(stream.close(events[-1], bill.answer, usage, charged))
        payload = b"".join(shown)
        if call.endpoint.goes_on:
            self._resumption.keep(call.principal.account_id, envelope, payload, is_stream=True)
        status = CLIENT_CLOSED if call.downstream.is_gone else 200
        self._books.settle(
            call,
            usage,
            call.settlement(now=self._watch.time(), status=status, credits=charged, usage=usage, basis=bill.basis),
        )
        if not call.is_open:
            _open(call, exchange, route, stream.content_type)
        call.downstream.send(payload)
        call.downstream.close_stream()

    def _end_stream(self, call: Call, relay: StreamRelay, result: Streamed, bill: Bill, charged: Micro) -> None:
        """End the client's stream: as the upstream did, or with one clean error."""
        gone = call.downstream.is_gone and not bill.is_whole
        detail = "client closed" if gone else f"{result.ending}: {result.detail or 'cut short'}"
        record = call.settlement(
            now=self._watch.time(),
            status=200 if bill.is_whole else CLIENT_CLOSED if gone else 502,
            credits=charged,
            usage=bill.usage,
            basis=bill.basis,
            error=None if bill.is_whole else detail,
        )
        self._books.settle(call, bill.usage, record)
        if bill.is_whole:
            self._close_whole(call, relay, bill, charged)
        else:
            self._close_broken(call, relay, result)

    def _close_whole(self, call: Call, relay: StreamRelay, bill: Bill, charged: Micro) -> None:
        downstream = call.downstream
        framed = relay.framed_end() if bill.answer.usage is not None and not call.endpoint.goes_on else None
        if framed is not None:
            downstream.close_stream(framed)
            return
        end = relay.dialect.close(relay.tail_payload(), bill.answer, bill.usage, charged)
        if call.endpoint.goes_on and call.plan is not None:
            self._resumption.keep(call.principal.account_id, call.plan.envelope, end, is_stream=True)
        downstream.send(end)
        downstream.close_stream()

    def _close_broken(self, call: Call, relay: StreamRelay, result: Streamed) -> None:
        error: HyperealError
        if result.ending == "stalled":
            error = UpstreamTimeout("The provider stopped sending; the answer is incomplete")
        else:
            error = UpstreamFailed("The provider broke off; the answer is incomplete")
        call.downstream.send(relay.edited_tail() + relay.dialect.break_off(error, call.request_id))
        call.downstream.close_stream()

    def _end_failed(self, call: Call, exchange: Exchange, failure: Failure) -> None:
        now = self._watch.time()
        if failure is GONE:
            self._books.settle(call, None, call.settlement(now=now, status=CLIENT_CLOSED, error="client closed"))
            return
        error = to_error(failure, exchange.failures)
        log.warning(
            "attempts.failed",
            request_id=call.request_id,
            status=error.status,
            failures=[f"{one.kind}: {one.message}" for one in exchange.failures] or failure.message,
        )
        self._books.settle(
            call, None, call.settlement(now=now, status=error.status, error=f"{error.code}: {failure.message}")
        )
        if call.is_open and exchange.relay is not None:
            call.downstream.send(exchange.relay.dialect.break_off(error, call.request_id))
            call.downstream.close_stream()
            return
        fields = b"x-hypereal-attempts: %d\r\n%b" % (exchange.attempts, call.limit_fields)
        _refuse(call.downstream, call.endpoint, error, call.request_id, fields)

    def _end_refused(self, call: Call, error: HyperealError) -> None:
        record = call.settlement(now=self._watch.time(), status=error.status, error=f"{error.code}: {error.message}")
        self._books.settle(call, None, record)
        _refuse(call.downstream, call.endpoint, error, call.request_id, call.limit_fields)

    def take_failures(self) -> list[tuple[str, str]]:
        """Upstream and kind of each attempt that failed since this was last asked, for the metrics."""
        failures, self._failures = self._failures, []
        return failures


def _limit_fields(limit: int, remaining: int, reset: int) -> bytes:
    return b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d\r\n" % (
        limit,
        remaining,
        reset,
    )


def _answer_fields(call: Call, exchange: Exchange, route: Route) -> bytes:
    fields = b"%b%bx-hypereal-attempts: %d\r\n" % (route.fields, call.limit_fields, exchange.attempts)
    dropped = exchange.plan.envelope.dropped
    return (
        fields + b"x-hypereal-dropped: %b\r\n" % ", ".join(dropped).encode("latin-1", "replace") if dropped else fields
    )


def _open(call: Call, exchange: Exchange, route: Route, content_type: bytes) -> None:
    call.is_open = True
    call.downstream.open_stream(_answer_fields(call, exchange, route), content_type)


def _never_streams() -> None:
    raise AssertionError("a count is answered whole")


def _refuse(
    downstream: Downstream, endpoint: Endpoint, error: HyperealError, request_id: str, fields: bytes = b""
) -> None:
    if error.retry_after_s is not None:
        fields += b"retry-after: %d\r\n" % error.retry_after_s
    if (error.blame == "client" and not error.retryable) or (error.retry_after_s or 0) > PATIENCE_S:
        fields += b"x-should-retry: false\r\n"
    if isinstance(error, Unauthorized):
        fields += b"www-authenticate: Bearer\r\n"
    downstream.respond(error.status, fields, render(endpoint.family, error, request_id))
