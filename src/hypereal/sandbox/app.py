"""The sandbox as an ASGI application: its routes, and the state that a process keeps."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from hypereal.sandbox import anthropic_request, gemini_request, responses_request
from hypereal.sandbox.answers import (
    REPLY_TOKENS,
    Answer,
    Request,
    answer_choices,
    prompt_tokens,
    reasoning_for,
    reasoning_tokens,
    usage_of,
)
from hypereal.sandbox.chat_format import OPENAI
from hypereal.sandbox.conversation import Conversation
from hypereal.sandbox.delivery import Script, fail_first, refuse, send_json, send_stream, send_whole
from hypereal.sandbox.embeddings import embeddings_body, read_inputs
from hypereal.sandbox.exchange import ClientGone, Exchange, Receive, Scope, Send
from hypereal.sandbox.faults import FaultMemory, Faults, read_faults
from hypereal.sandbox.formats import ANTHROPIC, CHAT, COMPACTION, RESPONSES, Format, gemini
from hypereal.sandbox.gemini_format import GEMINI
from hypereal.sandbox.grammar import Event, Grammar
from hypereal.sandbox.prompt_cache import BreakpointCache, Cached, PrefixCache
from hypereal.sandbox.request import BadRequest, read_model, read_sampling
from hypereal.sandbox.scenarios import Scenario, Step, step_for
from hypereal.sandbox.text_format import read_prompts, text_body, text_choices, text_chunks
from hypereal.sandbox.tokens import split
from hypereal.sandbox.tools import Offer

MODELS = ("sandbox", "sandbox:fast", "sandbox:slow", "sandbox-thinking", "text-embedding-3-small")

_MODEL_RATES: dict[str, float | None] = {":slow": 5.0, ":fast": 1000.0, ":instant": None}
_GEMINI_PATH = re.compile(
    r"/v1(?:beta|alpha)?/(?:models|tunedModels)/(?P<model>.+):(?P<method>generateContent|streamGenerateContent|countTokens)"
)
_CREATED = 1_735_689_600  # 2025-01-01: when the models of this sandbox say that they were made


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """`chunks_per_second` is the pace of streams, 0 for no pace; `models` is what `GET /v1/models` lists.

    `scenarios` are played before the sandbox makes an answer of its own.
    """

    chunks_per_second: float = 40.0
    models: tuple[str, ...] = MODELS
    scenarios: tuple[Scenario, ...] = ()


Body = dict[str, Any]
Handler = Callable[[Exchange], Awaitable[None]]
Read = Callable[[Mapping[str, Any]], Request]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path, and the grammar in which it refuses."""

    method: str
    handler: Handler
    grammar: Grammar = OPENAI


class Sandbox:
    """The application. Its only state is bounded: which prompts were seen, and how often counted faults fired."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._prefixes = PrefixCache()
        self._breakpoints = BreakpointCache()
        self._memory = FaultMemory()
        self._routes = {
            "/v1/chat/completions": Route("POST", partial(self._generate, CHAT, CHAT.read)),
            "/v1/completions": Route("POST", self._text),
            "/v1/embeddings": Route("POST", self._embeddings),
            "/v1/messages": Route("POST", self._messages, ANTHROPIC.grammar),
            "/v1/messages/count_tokens": Route("POST", self._count_messages, ANTHROPIC.grammar),
            "/v1/responses": Route("POST", partial(self._generate, RESPONSES, RESPONSES.read), RESPONSES.grammar),
            "/v1/responses/input_tokens": Route("POST", self._count_input, RESPONSES.grammar),
            "/v1/responses/compact": Route("POST", partial(self._generate, COMPACTION, COMPACTION.read)),
            "/v1/models": Route("GET", self._models),
            "/healthz": Route("GET", self._health),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox does not speak {scope['type']}")
        exchange = Exchange(scope, receive, send)
        route = self._route(exchange)
        try:
            if exchange.method != route.method:
                raise BadRequest(f"Not allowed to {exchange.method} on {exchange.path}.", status=405)
            await route.handler(exchange)
        except ClientGone:
            return
        except BadRequest as exc:
            await refuse(exchange, route.grammar, exc)

    def _route(self, exchange: Exchange) -> Route:
        route = self._routes.get(exchange.path)
        if route is not None:
            return route
        called = _GEMINI_PATH.fullmatch(exchange.path)
        if called is not None:
            return self._gemini_route(called["model"], called["method"], exchange)
        if exchange.path == "/v1beta/models":
            return Route("GET", self._gemini_models, GEMINI)
        if exchange.path.startswith("/v1/models/"):
            return Route("GET", self._model)
        return Route(exchange.method, _unknown)

    async def _messages(self, exchange: Exchange) -> None:
        _check_version(exchange)
        await self._generate(ANTHROPIC, ANTHROPIC.read, exchange)

    async def _count_messages(self, exchange: Exchange) -> None:
        _check_version(exchange)
        await self._count(
            ANTHROPIC.grammar, anthropic_request.read_count, lambda count: {"input_tokens": count}, exchange
        )

    async def _count_input(self, exchange: Exchange) -> None:
        def body(count: int) -> Event:
            return {"object": "response.input_tokens", "input_tokens": count}

        await self._count(RESPONSES.grammar, responses_request.read_count, body, exchange)

    def _gemini_route(self, model: str, method: str, exchange: Exchange) -> Route:
        if method == "countTokens":
            return Route("POST", partial(self._count_gemini, model), GEMINI)
        stream = method == "streamGenerateContent"
        is_array = stream and "alt=sse" not in exchange.query.split("&")
        form = gemini(model, stream=stream, is_array=is_array)
        return Route("POST", partial(self._generate, form, form.read), GEMINI)

    async def _count_gemini(self, model: str, exchange: Exchange) -> None:
        def body(count: int) -> Event:
            return {"totalTokens": count, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": count}]}

        await self._count(GEMINI, partial(gemini_request.read_count, model), body, exchange)

    async def _gemini_models(self, exchange: Exchange) -> None:
        methods = ["generateContent", "countTokens"]
        rows = [
            {"name": f"models/{model}", "displayName": model, "supportedGenerationMethods": methods}
            for model in self._config.models
        ]
        await send_json(exchange, 200, {"models": rows})

    async def _generate(self, form: Format, read: Read, exchange: Exchange) -> None:
        """Read, fail or answer: the way of every format."""
        raw, body = await _read_json(exchange)
        request = read(body)
        step, faults = self._plan(exchange, request.conversation)
        if await fail_first(exchange, faults, form.grammar):
            return
        answer = self._answer(raw, request, faults, step)
        if request.sampling.stream:
            failure = partial(form.failure, answer) if form.failure else None
            script = Script(grammar=form.grammar, events=lambda: form.events(answer), failure=failure)
            await send_stream(exchange, script, faults, rate=self._rate(request.model, faults))
        else:
            await send_whole(exchange, form.body(answer), faults, form.grammar)

    async def _count(self, grammar: Grammar, read: Read, body: Callable[[int], Event], exchange: Exchange) -> None:
        """How many tokens a prompt has."""
        _, given = await _read_json(exchange)
        request = read(given)
        faults = self._faults(exchange, request.conversation.directive_text)
        if not await fail_first(exchange, faults, grammar):
            await send_whole(exchange, body(_prompt_length(request)), faults, grammar)

    def _plan(self, exchange: Exchange, conversation: Conversation) -> tuple[Step | None, Faults]:
        """The turn of a scenario, if one plays, and what is to go wrong; a turn may say that too."""
        text = conversation.directive_text
        named = read_faults(text, exchange.headers).scenario
        step = step_for(self._config.scenarios, conversation, named)
        if step is not None and step.directives:
            text = f"{text}[[sandbox:{step.directives}]]"
        return step, self._faults(exchange, text)

    def _answer(self, raw: bytes, request: Request, faults: Faults, step: Step | None) -> Answer:
        choices = answer_choices(request, faults, step)
        length, cache = self._cached(request)
        thought = reasoning_tokens(request) if choices else 0
        return Answer(
            number=_digest(raw),
            created=int(time.time()),
            request=request,
            choices=choices,
            usage=usage_of(choices, prompt=length, cache=cache, reasoning=thought),
            is_redacted=faults.redacted,
        )

    def _cached(self, request: Request) -> tuple[int, Cached]:
        """The tokens of the prompt, and how many of them the cache had or keeps."""
        if request.blocks is not None:
            return _prompt_length(request), self._breakpoints.remember(request.model, request.blocks)
        prompt = prompt_tokens(request)
        return len(prompt), Cached(read=self._prefixes.remember(request.model, prompt))

    async def _text(self, exchange: Exchange) -> None:
        raw, body = await _read_json(exchange)
        prompts = read_prompts(body)
        faults = self._faults(exchange, "\n".join(prompts))
        if await fail_first(exchange, faults, OPENAI):
            return
        answer = self._text_answer(raw, body, prompts, faults)
        if answer.request.sampling.stream:
            script = Script(grammar=OPENAI, events=lambda: text_chunks(answer))
            await send_stream(exchange, script, faults, rate=self._rate(answer.model, faults))
        else:
            await send_whole(exchange, text_body(answer), faults, OPENAI)

    def _text_answer(self, raw: bytes, body: Body, prompts: list[str], faults: Faults) -> Answer:
        model, sampling = read_model(body), read_sampling(body)
        choices = text_choices(prompts, sampling, body=body, faults=faults)
        read = [piece for prompt in prompts for piece in split(prompt)]
        usage = usage_of(
            choices,
            prompt=len(read),
            cache=Cached(read=self._prefixes.remember(model, read)),
            reasoning=reasoning_for(model, sampling, "\n".join(prompts)),
        )
        request = Request(model=model, conversation=Conversation(turns=()), offer=Offer(), sampling=sampling)
        return Answer(number=_digest(raw), created=int(time.time()), request=request, choices=choices, usage=usage)

    async def _embeddings(self, exchange: Exchange) -> None:
        _, body = await _read_json(exchange)
        texts = [item for item in read_inputs(body) if isinstance(item, str)]
        faults = self._faults(exchange, "\n".join(texts))
        if not await fail_first(exchange, faults, OPENAI):
            payload = embeddings_body(body)
            shown = {**payload, "data": []} if faults.empty == "choices" else payload
            await send_whole(exchange, shown, faults, OPENAI)

    async def _models(self, exchange: Exchange) -> None:
        listed = [_model_row(model) for model in self._config.models]
        await send_json(exchange, 200, {"object": "list", "data": listed})

    async def _model(self, exchange: Exchange) -> None:
        await send_json(exchange, 200, _model_row(exchange.path.removeprefix("/v1/models/")))

    async def _health(self, exchange: Exchange) -> None:
        await send_json(exchange, 200, {"status": "ok"})

    def _faults(self, exchange: Exchange, text: str) -> Faults:
        return self._memory.admit(read_faults(text, exchange.headers))

    def _rate(self, model: str, faults: Faults) -> float | None:
        """Chunks a second: as the directives say, else the model's suffix, else the configuration."""
        if faults.slow is not None:
            return faults.slow
        for suffix, rate in _MODEL_RATES.items():
            if model.endswith(suffix):
                return rate
        return self._config.chunks_per_second or None


async def _read_json(exchange: Exchange) -> tuple[bytes, Body]:
    raw = await exchange.read_body()
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise BadRequest("We could not parse the JSON body of your request.") from exc
    if not isinstance(body, dict):
        raise BadRequest("The JSON body of your request must be an object.")
    return raw, body


async def _unknown(exchange: Exchange) -> None:
    raise BadRequest(f"Unknown request URL: {exchange.method} {exchange.path}.", code="unknown_url", status=404)


def _check_version(exchange: Exchange) -> None:
    """Anthropic answers nobody who does not say for which version of its API the request is."""
    if not any(name == "anthropic-version" for name, _ in exchange.headers):
        raise BadRequest("anthropic-version: header is required")


def _prompt_length(request: Request) -> int:
    if request.blocks is None:
        return len(prompt_tokens(request))
    return sum(block.tokens for block in request.blocks) + REPLY_TOKENS


def _digest(raw: bytes) -> str:
    """An id for the answer to these bytes: the same request, the same id."""
    return hashlib.blake2b(raw, digest_size=14).hexdigest()


def _model_row(model: str) -> Body:
    return {"id": model, "object": "model", "created": _CREATED, "owned_by": "sandbox"}


def create_app(config: SandboxConfig | None = None) -> Sandbox:
    """A sandbox with state of its own."""
    return Sandbox(config or SandboxConfig())
