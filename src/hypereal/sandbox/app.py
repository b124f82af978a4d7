"""The sandbox as an ASGI application: its routes, and the state that a process keeps."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from hypereal.sandbox.answers import Answer, chat_choices, prompt_tokens, reasoning_tokens, usage_of
from hypereal.sandbox.chat_format import chat_body, chat_chunks, chunk_count
from hypereal.sandbox.conversation import read_conversation
from hypereal.sandbox.delivery import Script, error_body, fail_first, send_json, send_stream, send_whole
from hypereal.sandbox.embeddings import embeddings_body, read_inputs
from hypereal.sandbox.exchange import ClientGone, Exchange, Receive, Scope, Send
from hypereal.sandbox.faults import FaultMemory, Faults, read_faults
from hypereal.sandbox.request import BadRequest, Sampling, read_model, read_sampling
from hypereal.sandbox.text_format import read_prompts, text_body, text_choices, text_chunk_count, text_chunks
from hypereal.sandbox.tokens import PrefixCache, split
from hypereal.sandbox.tools import read_offer

MODELS = ("sandbox", "sandbox:fast", "sandbox:slow", "sandbox-thinking", "text-embedding-3-small")

_MODEL_RATES: dict[str, float | None] = {":slow": 5.0, ":fast": 1000.0, ":instant": None}
_CREATED = 1_735_689_600  # 2025-01-01: when the models of this sandbox say that they were made


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """`chunks_per_second` is the pace of streams, 0 for no pace; `models` is what `GET /v1/models` lists."""

    chunks_per_second: float = 40.0
    models: tuple[str, ...] = MODELS


Body = dict[str, Any]
Handler = Callable[[Exchange], Awaitable[None]]


class Sandbox:
    """The application. Its only state is bounded: which prompts were seen, and how often counted faults fired."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._prompts = PrefixCache()
        self._memory = FaultMemory()
        self._routes: dict[str, tuple[str, Handler]] = {
            "/v1/chat/completions": ("POST", self._chat),
            "/v1/completions": ("POST", self._text),
            "/v1/embeddings": ("POST", self._embeddings),
            "/v1/models": ("GET", self._models),
            "/healthz": ("GET", self._health),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox does not speak {scope['type']}")
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        except ClientGone:
            return
        except BadRequest as exc:
            refusal = error_body(exc.message, status=exc.status, code=exc.code, param=exc.param)
            await send_json(exchange, exc.status, refusal)

    async def _answer(self, exchange: Exchange) -> None:
        method, handler = self._routes.get(exchange.path, ("", None))
        if handler is None and exchange.path.startswith("/v1/models/"):
            method, handler = "GET", self._model
        if handler is None:
            raise BadRequest(f"Unknown request URL: {exchange.method} {exchange.path}.", code="unknown_url", status=404)
        if exchange.method != method:
            raise BadRequest(f"Not allowed to {exchange.method} on {exchange.path}.", status=405)
        await handler(exchange)

    async def _chat(self, exchange: Exchange) -> None:
        raw, body = await _read_json(exchange)
        conversation = read_conversation(body)
        faults = self._faults(exchange, conversation.directive_text)
        if await fail_first(exchange, faults):
            return
        model, sampling, offer = read_model(body), read_sampling(body), read_offer(body)
        choices = chat_choices(conversation, sampling, offer=offer, body=body, faults=faults)
        prompt = prompt_tokens(conversation, body)
        usage = usage_of(
            choices,
            prompt=len(prompt),
            cached=self._prompts.remember(model, prompt),
            reasoning=reasoning_tokens(model, sampling, conversation.prompt),
        )
        answer = Answer(
            id="chatcmpl-" + _digest(raw),
            created=int(time.time()),
            model=model,
            choices=choices,
            usage=usage,
            is_legacy=offer.legacy,
        )
        if not sampling.stream:
            await send_whole(exchange, chat_body(answer, sampling), faults)
            return
        script = Script(chunks=lambda: chat_chunks(answer, sampling), total=chunk_count(answer))
        await send_stream(exchange, script, faults, rate=self._rate(model, faults))

    async def _text(self, exchange: Exchange) -> None:
        raw, body = await _read_json(exchange)
        prompts = read_prompts(body)
        faults = self._faults(exchange, "\n".join(prompts))
        if await fail_first(exchange, faults):
            return
        model, sampling = read_model(body), read_sampling(body)
        answer = self._text_answer(raw, body, model=model, sampling=sampling, prompts=prompts, faults=faults)
        if not sampling.stream:
            await send_whole(exchange, text_body(answer, sampling), faults)
            return
        script = Script(chunks=lambda: text_chunks(answer, sampling), total=text_chunk_count(answer))
        await send_stream(exchange, script, faults, rate=self._rate(model, faults))

    def _text_answer(
        self, raw: bytes, body: Body, *, model: str, sampling: Sampling, prompts: list[str], faults: Faults
    ) -> Answer:
        choices = text_choices(prompts, sampling, body=body, faults=faults)
        read = [piece for prompt in prompts for piece in split(prompt)]
        cached = self._prompts.remember(model, read)
        usage = usage_of(
            choices,
            prompt=len(read),
            cached=cached,
            reasoning=reasoning_tokens(model, sampling, "\n".join(prompts)),
        )
        return Answer(id="cmpl-" + _digest(raw), created=int(time.time()), model=model, choices=choices, usage=usage)

    async def _embeddings(self, exchange: Exchange) -> None:
        _, body = await _read_json(exchange)
        texts = [item for item in read_inputs(body) if isinstance(item, str)]
        faults = self._faults(exchange, "\n".join(texts))
        if not await fail_first(exchange, faults):
            await send_whole(exchange, embeddings_body(body), faults)

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


def _digest(raw: bytes) -> str:
    """An id for the answer to these bytes: the same request, the same id."""
    return hashlib.blake2b(raw, digest_size=14).hexdigest()


def _model_row(model: str) -> Body:
    return {"id": model, "object": "model", "created": _CREATED, "owned_by": "sandbox"}


def create_app(config: SandboxConfig | None = None) -> Sandbox:
    """A sandbox with state of its own."""
    return Sandbox(config or SandboxConfig())
