"""What the sandbox says: a small set of rules from the prompt to a reply, the first that fits.

Every reply depends on the last user message; the same conversation gets the same reply.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypereal.sandbox.conversation import Conversation, Turn, describe_media
from hypereal.sandbox.hints import salient, words

MAX_COUNT = 500
_QUOTES = "\"'“”`« »"
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SPOKEN = (
    (r"\bplus\b", "+"),
    (r"\bminus\b", "-"),
    (r"\b(?:times|multiplied by)\b", "*"),
    (r"\bdivided by\b", "/"),
    (r"(?<=\d)\s*[x\u00d7]\s*(?=\d)", "*"),
    (r"÷", "/"),
)
_EXPRESSION = re.compile(r"[-+(]*\d[\d.\s+\-*/%()]*[-+*/%][\d.\s+\-*/%()]*\d\)*")
_DATE = re.compile(r"\d+-\d+-\d+")
_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], start=1
    )
}
_CAPITALS = {
    "france": "Paris",
    "germany": "Berlin",
    "italy": "Rome",
    "spain": "Madrid",
    "japan": "Tokyo",
    "china": "Beijing",
    "india": "New Delhi",
    "england": "London",
    "the united kingdom": "London",
    "the united states": "Washington, D.C.",
    "canada": "Ottawa",
    "brazil": "Brasília",
    "poland": "Warsaw",
}
_OPENINGS = (
    "You said:",
    "I understood your message as:",
    "Here is what I received:",
    "Your message was:",
)
_GREETINGS = (
    "Hello! How can I help you today?",
    "Hi there! What can I do for you?",
    "Hello! What would you like to talk about?",
    "Hi! How may I help?",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a rule sees. `variation` is another number for another choice or seed."""

    text: str
    earlier: Sequence[str] = ()
    system: str = ""
    variation: int = 0

    def pick(self, options: Sequence[str]) -> str:
        return options[self.variation % len(options)]


Rule = Callable[[Ask], str | None]


def reply(conversation: Conversation, variation: int) -> str:
    """The answer to a conversation, in the manner that its instructions ask for."""
    ask = Ask(
        text=conversation.prompt.strip(),
        earlier=conversation.earlier,
        system=conversation.system,
        variation=variation,
    )
    results = conversation.results
    said = _from_results(results) if results else _answer(ask)
    if conversation.media:
        said = f"I received {describe_media(conversation.media)}. {said if ask.text else ''}".strip()
    return _in_manner(said, conversation.system)


def thoughts(conversation: Conversation, called: Sequence[str]) -> str:
    """What a reasoning model thinks before it answers, or before it calls the tools `called`."""
    about = (
        f"The user wrote: “{_shorten(conversation.prompt, 200)}”." if conversation.prompt else "The message is empty."
    )
    if called:
        return f"{about} I should call {' and '.join(dict.fromkeys(called))} for this."
    if conversation.results:
        return f"{about} The results of the tools are here, so I can answer from them."
    return f"{about} I can answer this directly."


def reply_to_text(text: str, variation: int) -> str:
    """The answer to a bare prompt."""
    return _answer(Ask(text=text.strip(), variation=variation))


def _answer(ask: Ask) -> str:
    for rule in RULES:
        said = rule(ask)
        if said is not None:
            return said
    return f"{ask.pick(_OPENINGS)} “{_shorten(ask.text)}” This is a simulated answer from the Hypereal sandbox."


def _shorten(text: str, length: int = 300) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1].rstrip() + "…"


def _in_manner(said: str, system: str) -> str:
    lower = system.lower()
    if re.search(r"\b(all caps|uppercase|upper case|capital letters)\b", lower):
        said = said.upper()
    elif re.search(r"\blower ?case\b", lower):
        said = said.lower()
    if re.search(r"\b(one sentence|be brief|concise|short answers?)\b", lower):
        said = re.split(r"(?<=[.!?])\s", said, maxsplit=1)[0]
    if "pirate" in lower:
        said = f"Arr! {said}"
    always = re.search(
        r"always (?:end|finish) (?:your answers? )?with [\"'“]?([^\"'”\n]{1,80}?)[\"'”.]?$", system, re.MULTILINE
    )
    return f"{said} {always[1]}" if always else said


def _empty(ask: Ask) -> str | None:
    return None if ask.text else "I received an empty message. What would you like to talk about?"


def _only_one_word(ask: Ask) -> str | None:
    if not re.search(r"\b(?:one|single|1)[ -]word\b", ask.text, re.IGNORECASE):
        return None
    said = re.search(
        r"\b(?:say|reply|answer|respond|write)\s+(?:with\s+|only\s+)?[\"'“]?(?!in\b|with\b)(\w+)",
        ask.text,
        re.IGNORECASE,
    )
    if said and said[1].lower() not in ("one", "only", "exactly", "just", "a"):
        return said[1].capitalize()
    capital = _capital(ask)
    if capital is not None:
        return capital.split()[-1].rstrip(".")
    topic = [word for word in salient(ask.text) if word not in ("one", "word", "single", "answer", "reply")]
    return max(topic, key=len).capitalize() if topic else "Yes"


def _repeat(ask: Ask) -> str | None:
    found = re.match(
        r"(?:please\s+)?(?:can you\s+)?(?:repeat|say|echo|reply with|respond with|answer with)\b"
        r"(?:\s+(?:after me|exactly|only|just|the following|this|the words?|back))*\s*:?\s*(.+)",
        ask.text,
        re.IGNORECASE | re.DOTALL,
    )
    if not found:
        return None
    said, times = found[1].strip(), 1
    counted = re.search(r"\s+(\w+)\s+times[.!]?$", said, re.IGNORECASE)
    if counted and (number := _number_of(counted[1])):
        said, times = said[: counted.start()], min(number, MAX_COUNT)
    said = said.strip(_QUOTES) if said[:1] in _QUOTES else said
    return " ".join([said] * times)


def _number_of(word: str) -> int | None:
    return _NUMBER_WORDS.get(word.lower()) or (int(word) if word.isdecimal() and len(word) < 7 else None)


def _arithmetic(ask: Ask) -> str | None:
    text = ask.text
    for spoken, sign in _SPOKEN:
        text = re.sub(spoken, sign, text, flags=re.IGNORECASE)
    found = _EXPRESSION.search(text[:2000])
    if not found:
        return None
    expression = found[0].strip()
    is_asked = re.search(r"\b(?:what|how much|calculate|compute|evaluate|solve|sum)\b|=", text, re.IGNORECASE)
    if _DATE.fullmatch(expression) or not (is_asked or len(expression) * 2 > len(text)):
        return None
    try:
        value = _evaluate(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return None
    shown = f"{value:.10g}" if isinstance(value, float) else str(value)
    if re.search(r"\b(?:only|just)\b.*\b(?:number|result|digits?|answer)\b", text, re.IGNORECASE):
        return shown
    return f"{' '.join(expression.split())} = {shown}"


def _evaluate(node: ast.expr) -> float | int:
    """The value of plain arithmetic; ValueError for anything else."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _evaluate(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    work = _OPERATORS.get(type(node.op)) if isinstance(node, ast.BinOp) else None
    if isinstance(node, ast.BinOp) and work is not None:
        value = work(_evaluate(node.left), _evaluate(node.right))
        return int(value) if abs(value) < 2**53 and value == int(value) else value
    raise ValueError("not plain arithmetic")


def _count(ask: Ask) -> str | None:
    found = re.search(r"\bcount\b(?:.*?\bfrom\s+(\w+))?.*?\bto\s+(\w+)", ask.text, re.IGNORECASE)
    if not found:
        return None
    first, last = _number_of(found[1]) if found[1] else 1, _number_of(found[2])
    if found[1] == "0":
        first = 0
    if first is None or last is None:
        return None
    step = 1 if last >= first else -1
    numbers = list(range(first, last + step, step))[:MAX_COUNT]
    return ", ".join(map(str, numbers))


def _list(ask: Ask) -> str | None:
    found = re.search(r"\b(?:list|name|give me|suggest|write)\s+(?:me\s+)?(\w+)\s+([^.?!\n]+)", ask.text, re.IGNORECASE)
    number = _number_of(found[1]) if found else None
    if not found or number is None:
        return None
    thing = _shorten(found[2].strip(), 60)
    return "\n".join(f"{index}. {thing}: example {index}" for index in range(1, min(number, MAX_COUNT) + 1))


def _haiku(ask: Ask) -> str | None:
    if "haiku" not in ask.text.lower():
        return None
    topic = next((word for word in reversed(salient(ask.text)) if word not in ("haiku", "write", "poem")), "silence")
    middle = ask.pick(("a quiet stream of tokens", "the morning tests are passing", "a small light in the window"))
    return f"Thinking of {topic},\n{middle} —\nthen the line goes still."


def _story(ask: Ask) -> str | None:
    found = re.search(
        r"\b(story|poem|essay|paragraph|letter|article)\b(?:\s+(?:about|on|of|to)\s+([^.?!\n]+))?",
        ask.text,
        re.IGNORECASE,
    )
    if not found or not re.search(r"\b(?:write|tell|compose|give)\b", ask.text, re.IGNORECASE):
        return None
    topic = _shorten((found[2] or "a sandbox").strip(), 80)
    return (
        f"Here is a short {found[1].lower()} about {topic}. Once there was {topic}. "
        f"Everyone had heard of {topic}, yet nobody knew how it would end. "
        f"One day things changed, and {topic} was never quite the same. The end."
    )


def _summary(ask: Ask) -> str | None:
    found = re.match(r"(?:please\s+)?summari[sz]e\b[^:\n]*[:\n]\s*(.+)", ask.text, re.IGNORECASE | re.DOTALL)
    if not found:
        return None
    first = re.split(r"(?<=[.!?])\s", found[1].strip(), maxsplit=1)[0]
    return f"In short: {_shorten(first, 200)}"


def _capital(ask: Ask) -> str | None:
    found = re.search(r"\bcapital(?: city)? of ([a-z ]+)", ask.text, re.IGNORECASE)
    country = next((name for name in _CAPITALS if found and found[1].lower().startswith(name)), None)
    return f"The capital of {country.title().replace('The ', 'the ')} is {_CAPITALS[country]}." if country else None


def _names(ask: Ask) -> str | None:
    if re.search(r"\bwhat(?:'s| is) my name\b|\bwho am i\b", ask.text, re.IGNORECASE):
        for said in reversed(ask.earlier):
            told = re.search(r"\bmy name is ([\w'’-]+)|\bi am ([A-Z][\w-]+)|\bi'm ([A-Z][\w-]+)", said, re.IGNORECASE)  # noqa: RUF001
            if told:
                return f"Your name is {next(name for name in told.groups() if name)}."
        return "You have not told me your name yet."
    if re.search(r"\bwho are you\b|\bwhat are you\b|\bwhat(?:'s| is) your name\b", ask.text, re.IGNORECASE):
        role = re.search(r"\byou are (?:called |named )?([^.\n]{1,100})", ask.system, re.IGNORECASE)
        return f"I am {role[1].strip()}." if role else "I am the Hypereal sandbox, a simulated model."
    told = re.search(r"\bmy name is ([\w'’-]+)", ask.text, re.IGNORECASE)  # noqa: RUF001
    return f"Nice to meet you, {told[1]}!" if told else None


def _greeting(ask: Ask) -> str | None:
    said = words(ask.text)
    if len(said) <= 5 and said and said[0] in ("hi", "hello", "hey", "hallo", "bonjour", "hola"):
        return ask.pick(_GREETINGS)
    if len(said) <= 6 and said and said[0] in ("thanks", "thank"):
        return "You are welcome!"
    return "Goodbye!" if said in (["bye"], ["goodbye"]) else None


RULES: tuple[Rule, ...] = (
    _empty,
    _only_one_word,
    _repeat,
    _names,
    _count,
    _arithmetic,
    _haiku,
    _story,
    _list,
    _summary,
    _capital,
    _greeting,
)


def _from_results(results: Sequence[Turn]) -> str:
    parts = [f"{turn.source or 'The tool'} returned {_result_of(turn)}" for turn in results]
    return f"Here is what I found: {'; '.join(parts)}."


def _result_of(turn: Turn) -> str:
    media = describe_media(turn.media)
    return _result_text(turn.text) if not media else f"{_result_text(turn.text)} and {media}" if turn.text else media


def _result_text(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _shorten(text, 500).rstrip(".") or "nothing"
    pairs = _flat(value, "", 0)
    return _shorten(", ".join(f"{name} {item}" if name else item for name, item in pairs[:40]), 1000) or "nothing"


def _flat(value: object, name: str, depth: int) -> list[tuple[str, str]]:
    """The scalars in a result, each with the name it stands under."""
    if depth > 8:
        return [(name, "…")]
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _flat(item, str(key), depth + 1)]
    if isinstance(value, list):
        return [pair for item in value for pair in _flat(item, name, depth + 1)]
    return [(name, value if isinstance(value, str) else json.dumps(value))]
