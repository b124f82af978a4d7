"""OpenAI's text completions (`/v1/completions`): their prompts, the whole body, and the chunks of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypereal.sandbox import replies, tokens
from hypereal.sandbox.answers import Answer, Choice, text_choice
from hypereal.sandbox.chat_format import FINGERPRINT, alternatives, openai_usage, token_logprob
from hypereal.sandbox.faults import Faults, strip_directives
from hypereal.sandbox.request import BadRequest, Sampling

MAX_PROMPTS = 128


def read_prompts(body: Mapping[str, Any]) -> list[str]:
    """The prompts; token numbers stand as text. Raises `BadRequest`."""
    given = body.get("prompt", "")
    if given is None or isinstance(given, str):
        return [given or ""]
    if isinstance(given, list) and given and len(given) <= MAX_PROMPTS:
        if all(type(item) is int for item in given):
            return [_tokens_text(given)]
        if all(isinstance(item, str) for item in given):
            return given
        if all(isinstance(item, list) and all(type(token) is int for token in item) for item in given):
            return [_tokens_text(item) for item in given]
    raise BadRequest("Invalid 'prompt': expected a string, strings or arrays of token numbers.", param="prompt")


def _tokens_text(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def text_choices(
    prompts: Sequence[str], sampling: Sampling, *, body: Mapping[str, Any], faults: Faults
) -> tuple[Choice, ...]:
    """The choices of all prompts, `n` for each."""
    choices: list[Choice] = []
    if faults.empty == "choices":
        return ()
    for prompt in prompts:
        for number in range(sampling.n):
            said = replies.reply_to_text(strip_directives(prompt), sampling.seed + number)
            choice = text_choice(said, len(choices), sampling, faults)
            if body.get("echo") is True:
                echoed = [*tokens.split(prompt), *choice.pieces]
                choice = Choice(index=choice.index, pieces=echoed, finish=choice.finish)
            choices.append(choice)
    return tuple(choices)


def text_body(answer: Answer) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    sampling = answer.request.sampling
    choices = [_choice(choice.index, choice.pieces, choice.finish, sampling) for choice in answer.choices]
    return {**_head(answer), "choices": choices, "usage": openai_usage(answer.usage)}


def text_chunks(answer: Answer) -> Iterator[dict[str, Any]]:
    """The chunks of a stream: text, finish reasons and, when asked for, the usage."""
    sampling = answer.request.sampling
    head = _head(answer)
    tail: dict[str, Any] = {"usage": None} if sampling.include_usage else {}
    for choice in answer.choices:
        offset = 0
        for piece in choice.pieces:
            yield {**head, "choices": [_choice(choice.index, [piece], None, sampling, offset=offset)], **tail}
            offset += len(piece)
        yield {**head, "choices": [_choice(choice.index, [], choice.finish, sampling, offset=offset)], **tail}
    if not answer.choices:
        yield {**head, "choices": [], **tail}
        return
    if sampling.include_usage:
        yield {**head, "choices": [], "usage": openai_usage(answer.usage)}


def _head(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"cmpl-{answer.number}",
        "object": "text_completion",
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": FINGERPRINT,
    }


def _choice(
    index: int, pieces: Sequence[str], finish: str | None, sampling: Sampling, *, offset: int = 0
) -> dict[str, Any]:
    logprobs = _logprobs(pieces, sampling.logprobs, offset) if sampling.logprobs is not None else None
    return {"text": "".join(pieces), "index": index, "logprobs": logprobs, "finish_reason": finish}


def _logprobs(pieces: Sequence[str], top: int, offset: int) -> dict[str, Any]:
    offsets = []
    for piece in pieces:
        offsets.append(offset)
        offset += len(piece)
    return {
        "tokens": list(pieces),
        "token_logprobs": [token_logprob(piece) for piece in pieces],
        "top_logprobs": [dict(alternatives(piece, top)) for piece in pieces],
        "text_offset": offsets,
    }
