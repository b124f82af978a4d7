"""What a prompt offers for filling fields: places, names, numbers, dates, quoted and labelled values.

Arguments of tools and fields of structured answers are taken from here, so that an application sees its own words
come back. Same prompt, same values.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-\s.]+")
_PROPER = r"[^\W\d_a-z][\w'\u2019.-]*(?:\s+(?:de|of|la|el|am|[^\W\d_a-z][\w'\u2019-]*))*"
_PLACES = re.compile(rf"\b(?:in|at|for|to|from|near|between|around|and|versus|vs)\s+({_PROPER}(?:,\s*[A-Z]{{2}}\b)?)")
_LISTED = re.compile(rf"(?:,|\band|\bor)\s+(?:in\s+)?({_PROPER})")
_QUOTED = re.compile(r"[\"“«]([^\"”»]{1,400})[\"”»]|(?<!\w)'([^']{1,400})'(?!\w)|`([^`]{1,400})`")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")
_CAPITAL = re.compile(rf"(?<![.!?]\s)(?<!^)\b({_PROPER})")
_FORMATS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w"),
    "uri": re.compile(r"https?://[^\s\"'<>)]+[^\s\"'<>).,]"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "time": re.compile(r"\b\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2})"),
    "date-time": re.compile(r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})"),
    "uuid": re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),
    "ipv4": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
}
_SAMPLES = {
    "email": "sandbox@example.com",
    "idn-email": "sandbox@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "iri": "https://example.com/",
    "uri-reference": "/sandbox",
    "date": "2025-01-15",
    "time": "09:30:00Z",
    "date-time": "2025-01-15T09:30:00Z",
    "duration": "PT30M",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "json-pointer": "/sandbox",
    "regex": "^.*$",
    "byte": "c2FuZGJveA==",
}
PLACE_WORDS = frozenset(
    {
        "city",
        "cities",
        "location",
        "locations",
        "place",
        "places",
        "country",
        "where",
        "destination",
        "origin",
        "town",
        "region",
        "address",
    }
)
_NAME_WORDS = frozenset({"name", "person", "who", "author", "user", "customer", "participant", "attendee", "recipient"})
_WHOLE_WORDS = frozenset(
    {
        "query",
        "question",
        "text",
        "prompt",
        "input",
        "message",
        "content",
        "body",
        "search",
        "request",
        "task",
        "instruction",
        "description",
        "summary",
        "answer",
    }
)
STOP_WORDS = frozenset(
    {
        "a",
        "about",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "get",
        "give",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "let",
        "like",
        "make",
        "me",
        "my",
        "need",
        "no",
        "not",
        "now",
        "of",
        "on",
        "or",
        "our",
        "out",
        "please",
        "put",
        "say",
        "should",
        "show",
        "so",
        "some",
        "tell",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "up",
        "us",
        "use",
        "using",
        "want",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "what's",
        "i'm",
        "it's",
    }
)


def words(text: str) -> list[str]:
    """The words of `text` in lower case."""
    return [word.lower() for word in WORD.findall(text)]


def name_words(name: str) -> list[str]:
    """The words in an identifier: `getWeather_now` is get, weather, now."""
    return [part.lower() for part in _CAMEL.split(name) if part]


def salient(text: str) -> list[str]:
    """The words that carry meaning, in order, each once."""
    return list(dict.fromkeys(word for word in words(text) if word not in STOP_WORDS))


def stable_number(*parts: object) -> int:
    """A number that depends on `parts` alone, the same in every process."""
    raw = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class Hints:
    """A prompt to take values from. `focus` is the place that one of several parallel calls is about."""

    prompt: str
    focus: str | None = None

    def focused(self, place: str) -> Hints:
        return replace(self, focus=place)

    def places(self) -> list[str]:
        """Proper nouns named as places: "in Paris and in London" gives Paris and London."""
        first = list(_PLACES.finditer(self.prompt))
        if not first:
            return []
        found = [(match.start(1), match[1]) for match in first]
        found += [(match.start(1), match[1]) for match in _LISTED.finditer(self.prompt, first[0].end())]
        return list(dict.fromkeys(place.rstrip("?!.,;: ") for _, place in sorted(found)))

    def quoted(self) -> list[str]:
        return [next(group for group in match.groups() if group) for match in _QUOTED.finditer(self.prompt)]

    def numbers(self) -> list[float | int]:
        """The numbers in the prompt, in order."""
        texts = (text for text in _NUMBER.findall(self.prompt) if len(text) < 16)
        return [float(text) if set(text) & set(".eE") else int(text) for text in texts]

    def number(self, name: str, salt: int) -> float | int | None:
        """The number meant for field `name`: labelled with it ("page 3", "3 pages") or else in order."""
        label = self._label(name)
        near = re.search(rf"\b{label}s?\b\W*(?:\w+\W+){{0,2}}?([-+]?\d+(?:\.\d+)?)", self.prompt, re.IGNORECASE)
        near = near or re.search(rf"([-+]?\d+(?:\.\d+)?)[\s-]+{label}", self.prompt, re.IGNORECASE)
        if near and len(near[1]) < 16 and salt == 0:
            return float(near[1]) if "." in near[1] else int(near[1])
        numbers = self.numbers()
        return numbers[salt % len(numbers)] if numbers else None

    def mentions(self, value: str) -> bool:
        """Whether the prompt contains `value` as words of their own."""
        wanted = re.escape(value).replace("_", "[_ -]")
        return bool(value) and re.search(rf"(?<!\w){wanted}s?(?!\w)", self.prompt, re.IGNORECASE) is not None

    def text(self, name: str, salt: int = 0) -> str:
        """The string meant for field `name`; another one for each `salt`."""
        candidates = list(dict.fromkeys(value for value in self._candidates(name) if value))
        if salt < len(candidates):
            return candidates[salt]
        return f"{name or 'value'} {salt + 1}"

    def formatted(self, form: str, salt: int) -> str | None:
        """A string of a JSON schema `format`, from the prompt where it has one; None for a format not known."""
        found = _FORMATS[form].findall(self.prompt) if form in _FORMATS else []
        if salt < len(found):
            return str(found[salt])
        if form == "uuid":
            digits = f"{stable_number(self.prompt, salt):016x}"
            return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[:3]}-{digits[4:16]}"
        return _vary(_SAMPLES[form], form, salt) if form in _SAMPLES else None

    def _label(self, name: str) -> str:
        return r"[\s_-]+".join(map(re.escape, name_words(name))) or r"(?!)"

    def _candidates(self, name: str) -> list[str]:
        labelled = re.search(
            rf"\b{self._label(name)}\b\s*(?:is|=|:|as)\s*[\"'“]?([^\n,;.\"'”]{{1,200}})", self.prompt, re.IGNORECASE
        )
        found = [labelled[1].strip()] if labelled else []
        parts = set(name_words(name))
        if parts & PLACE_WORDS:
            found += ([self.focus] if self.focus else []) + self.places()
        quoted = self.quoted()
        if parts & _WHOLE_WORDS:
            return [*found, *quoted, self.prompt.strip()[:400], *salient(self.prompt)]
        proper = [match.rstrip("?!.,;: ") for match in _CAPITAL.findall(self.prompt)]
        if parts & _NAME_WORDS:
            return [*found, *proper, *quoted, *salient(self.prompt)]
        return [*found, *quoted, *proper, *salient(self.prompt)]


def _vary(sample: str, form: str, salt: int) -> str:
    """`sample` itself for salt 0, otherwise another valid string of the same format."""
    if salt == 0:
        return sample
    if form in ("date", "date-time"):
        day = f"2025-{1 + salt // 28 % 12:02d}-{1 + salt % 28:02d}"
        return day + sample[10:]
    if form == "time":
        return f"{salt // 60 % 24:02d}:{salt % 60:02d}:00Z"
    if form == "ipv4":
        return f"192.0.2.{1 + salt % 254}"
    if form == "ipv6":
        return f"2001:db8::{1 + salt % 0xFFFF:x}"
    if form == "duration":
        return f"PT{30 + salt}M"
    if form in ("hostname", "email", "idn-email"):
        return f"s{salt}.{sample}"
    return f"{sample}{salt}"
