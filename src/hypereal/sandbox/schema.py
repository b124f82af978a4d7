"""A value for a JSON schema, made of a prompt's own words.

Handles what structured output and tools are written with: `$ref` into the schema, `enum`, `const`, `anyOf`, `oneOf`,
`allOf`, `not`, `if`, bounds of every kind, nested objects and arrays. Each choice is tried in order of sense and
checked with `schema_check`; where no value is found the schema is refused rather than answered wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial, reduce
from itertools import islice
from typing import Any

from hypereal.sandbox.hints import Hints, stable_number
from hypereal.sandbox.patterns import example
from hypereal.sandbox.schema_check import (
    Json,
    Unsatisfiable,
    accepts,
    distinct,
    item_schemas,
    property_schemas,
    resolve,
)
from hypereal.sandbox.schema_merge import merge

MAX_NODES = 20_000
MAX_STRING = 100_000
MAX_ITEMS = 10_000
_MAX_DEPTH = 24
_GENEROUS_DEPTH = 5  # below this, optional properties and list items are left out, so that recursion ends
_TRIES = 12
_TYPES = ("object", "string", "integer", "number", "boolean", "array", "null")


def fill(schema: Json, hints: Hints) -> Json:
    """A value that satisfies `schema`. Raises `Unsatisfiable` when none is found, or when it is not a schema at all."""
    filler = _Filler(schema, hints)
    try:
        for salt in range(3):
            value = filler.value(schema, "", depth=0, salt=salt)
            if accepts(schema, value, root=schema):
                return value
    except RecursionError as exc:
        raise Unsatisfiable("the schema nests too deeply") from exc
    except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError) as exc:
        # A keyword whose value is of the wrong type: every use of one would otherwise need a check of its own.
        raise Unsatisfiable("a keyword has a value of the wrong type") from exc
    raise Unsatisfiable("no value was found for the schema")


class _Filler:
    """Fills one schema. `salt` asks for another value than the one that a lower salt gave."""

    def __init__(self, root: Json, hints: Hints) -> None:
        self._root = root
        self._hints = hints
        self._nodes = 0

    def value(self, schema: Json, name: str, *, depth: int, salt: int) -> Json:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > MAX_NODES:
            raise Unsatisfiable("the schema nests without end")
        if schema is False:
            raise Unsatisfiable("the schema allows no value")
        if not isinstance(schema, dict):
            return self._hints.text(name, salt)
        flat = self._flatten(schema)
        if flat is False:
            raise Unsatisfiable("the schema allows no value")
        for candidate in islice(self._candidates(flat, name, depth, salt), _TRIES):
            if accepts(flat, candidate, root=self._root):
                return candidate
        raise Unsatisfiable(f"no value was found for '{name}'")

    def _flatten(self, schema: Json, seen: int = 0) -> Json:
        """One schema in place of `schema`, its reference and its `allOf`."""
        if not isinstance(schema, dict):
            return schema
        if seen > _MAX_DEPTH:
            raise Unsatisfiable("references go round in a circle")
        parts: list[Json] = [{key: part for key, part in schema.items() if key not in ("$ref", "allOf")}]
        if isinstance(schema.get("$ref"), str):
            parts.append(self._flatten(resolve(schema["$ref"], self._root), seen + 1))
        parts += [self._flatten(part, seen + 1) for part in schema.get("allOf", ())]
        return reduce(merge, parts)

    def _candidates(self, schema: dict[str, Json], name: str, depth: int, salt: int) -> Iterator[Json]:
        if "const" in schema:
            yield schema["const"]
            return
        if "enum" in schema:
            yield from self._from_enum(schema["enum"], salt)
            return
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                yield from self._from_branches(schema, keyword, name, depth, salt)
                return
        if "if" in schema:
            yield from self._from_condition(schema, name, depth, salt)
        for attempt in range(3):
            for kind in self._kinds(schema):
                yield from self._try(partial(self._of_kind, kind, schema, name, depth=depth, salt=salt + attempt * 7))

    def _try(self, make: Callable[[], Json]) -> Iterator[Json]:
        try:
            yield make()
        except Unsatisfiable:
            return

    def _from_enum(self, options: list[Json], salt: int) -> Iterator[Json]:
        named = [option for option in options if isinstance(option, str) and self._hints.mentions(option)]
        rest = [option for option in options if not any(option is other for other in named)]
        ordered = named + [option for option in rest if option is not None] + [None] * (None in options)
        start = salt % len(ordered) if ordered else 0
        yield from ordered[start:] + ordered[:start]

    def _from_branches(self, schema: dict[str, Json], keyword: str, name: str, depth: int, salt: int) -> Iterator[Json]:
        base = {key: part for key, part in schema.items() if key != keyword}
        branches = [self._flatten(branch) for branch in schema[keyword]]
        order = sorted(branches, key=lambda branch: self._branch_rank(branch, depth))
        if salt and depth <= _GENEROUS_DEPTH and order:
            start = salt % len(order)
            order = order[start:] + order[:start]
        for attempt in range(3):
            for branch in order:
                merged = merge(base, branch)
                yield from self._try(partial(self.value, merged, name, depth=depth + 1, salt=salt + attempt * 5))

    def _branch_rank(self, branch: Json, depth: int) -> int:
        """Sense first: something rather than null, until it is time to end."""
        if not isinstance(branch, dict):
            return 3
        is_null = branch.get("type") == "null" or branch.get("const", 0) is None
        is_simple = branch.get("type") in ("string", "integer", "number", "boolean") or "enum" in branch
        if depth < _GENEROUS_DEPTH:
            return 2 if is_null else 0
        return 0 if is_null or is_simple else 1

    def _from_condition(self, schema: dict[str, Json], name: str, depth: int, salt: int) -> Iterator[Json]:
        base = {key: part for key, part in schema.items() if key not in ("if", "then", "else")}
        then = merge(merge(base, schema["if"]), schema.get("then", True))
        otherwise = merge(merge(base, {"not": schema["if"]}), schema.get("else", True))
        for branch in (then, otherwise, merge(base, schema.get("else", True))):
            yield from self._try(partial(self.value, branch, name, depth=depth + 1, salt=salt))

    def _kinds(self, schema: dict[str, Json]) -> list[str]:
        """The types to try, the most sensible first."""
        given = schema.get("type")
        kinds = list(given) if isinstance(given, list) else [given] if isinstance(given, str) else []
        if not kinds:
            kinds = [*_implied(schema), *(kind for kind in _TYPES if kind not in _implied(schema))]
        elif schema.get("nullable") is True:
            kinds.append("null")
        return sorted(kinds, key=lambda kind: kind == "null")

    def _of_kind(self, kind: str, schema: dict[str, Json], name: str, *, depth: int, salt: int) -> Json:
        match kind:
            case "object":
                return self._object(schema, depth, salt)
            case "array":
                return self._array(schema, name, depth, salt)
            case "string":
                return self._string(schema, name, salt)
            case "integer" | "number":
                return _number(schema, self._hints.number(name, salt), kind == "integer", salt)
            case "boolean":
                return (stable_number(self._hints.prompt, name) + salt) % 2 == 0 if salt else True
            case "null":
                return None
        raise Unsatisfiable(f"'{kind}' is not a type")

    def _string(self, schema: dict[str, Json], name: str, salt: int) -> str:
        low, high = schema.get("minLength", 0), schema.get("maxLength", MAX_STRING)
        if low > min(high, MAX_STRING):
            raise Unsatisfiable(f"no string is {low} characters long and at most {high}")
        pattern, form = schema.get("pattern"), schema.get("format")
        if isinstance(pattern, str):
            text = self._hints.text(name, salt)
            if accepts({**schema, "type": "string"}, text, root=self._root):
                return text
            made = example(pattern, low)
            if made is not None:
                return made
        elif isinstance(form, str) and (made := self._hints.formatted(form, salt)) is not None:
            return made
        text = self._hints.text(name, salt)
        padded = text + (" " + text) * math.ceil(max(0, low - len(text)) / (len(text) + 1))
        if len(padded) > high and salt:
            return _letters(salt, high).rjust(low, "a")
        return str(padded[:high] if len(text) >= low else padded[: max(low, 1)])

    def _array(self, schema: dict[str, Json], name: str, depth: int, salt: int) -> list[Json]:
        low = max(schema.get("minItems", 0), schema.get("minContains", 1) if "contains" in schema else 0)
        high = schema.get("maxItems", math.inf)
        if low > MAX_ITEMS:
            raise Unsatisfiable(f"{low} items are too many")
        wanted = max(low, len(schema.get("prefixItems", ())), 2 if depth < _GENEROUS_DEPTH else 0)
        contained = schema.get("minContains", 1) if "contains" in schema else 0
        items: list[Json] = []
        for index, part in enumerate(item_schemas(schema)):
            if len(items) >= min(wanted, high):
                break
            if index < contained:
                part = merge(self._flatten(part), self._flatten(schema["contains"]))  # noqa: PLW2901
            try:
                items.append(self._item(part, name, depth, salt + index, items if schema.get("uniqueItems") else []))
            except Unsatisfiable:
                if len(items) < low:
                    raise
                break
        return items

    def _item(self, part: Json, name: str, depth: int, salt: int, others: list[Json]) -> Json:
        """One item of a list, unlike `others`."""
        singular = name.removesuffix("s")
        for attempt in range(1 if not others else 8 + len(others)):
            value = self.value(part, singular, depth=depth + 1, salt=salt + attempt)
            if distinct([*others, value]) or not others:
                return value
        raise Unsatisfiable(f"no more different items for '{name}'")

    def _object(self, schema: dict[str, Json], depth: int, salt: int) -> dict[str, Json]:
        required = list(dict.fromkeys(schema.get("required", ())))
        optional = [key for key in schema.get("properties", {}) if key not in required]
        declared = schema.get("properties", {})
        order = [*(key for key in declared if key in required), *(key for key in required if key not in declared)]
        low, high = schema.get("minProperties", 0), schema.get("maxProperties", math.inf)
        value = {key: self._property(schema, key, depth, salt) for key in order}
        if depth < _GENEROUS_DEPTH or len(value) < low:
            for key in optional:
                if len(value) < high:
                    self._add_optional(value, schema, key, depth, salt)
        self._add_extras(value, schema, depth=depth, salt=salt, low=low)
        for key, needed in schema.get("dependentRequired", {}).items():
            for other in needed if key in value else ():
                if other not in value:
                    value[other] = self._property(schema, other, depth, salt)
        return {key: value[key] for key in [*declared, *value] if key in value}

    def _property(self, schema: dict[str, Json], key: str, depth: int, salt: int) -> Json:
        parts = [self._flatten(part) for part in property_schemas(schema, key)]
        return self.value(reduce(merge, parts), key, depth=depth + 1, salt=salt)

    def _add_optional(self, value: dict[str, Json], schema: dict[str, Json], key: str, depth: int, salt: int) -> None:
        try:
            value[key] = self._property(schema, key, depth, salt)
        except Unsatisfiable:
            value.pop(key, None)

    def _add_extras(self, value: dict[str, Json], schema: dict[str, Json], *, depth: int, salt: int, low: int) -> None:
        """Properties that are not declared, where there must be more than are."""
        names = [example(pattern) for pattern in schema.get("patternProperties", {})]
        names += [f"key{index}" for index in range(1, low + 1)] if low <= MAX_ITEMS else []
        for key in names:
            if key is not None and len(value) < max(low, 1 if not value and schema.get("patternProperties") else 0):
                self._add_optional(value, schema, key, depth, salt)
        rule = schema.get("additionalProperties")
        if not value and isinstance(rule, dict) and schema.get("maxProperties", 1) > 0 and depth < _GENEROUS_DEPTH:
            self._add_optional(value, schema, "key1", depth, salt)


def _implied(schema: dict[str, Json]) -> list[str]:
    """The types that a schema without `type` speaks of by its other keywords."""
    tells: dict[str, tuple[str, ...]] = {
        "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties"),
        "array": ("items", "prefixItems", "minItems", "contains"),
        "string": ("pattern", "minLength", "maxLength", "format"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
    found = [kind for kind, keywords in tells.items() if any(keyword in schema for keyword in keywords)]
    return found or ["string"]


def _number(schema: dict[str, Any], hint: float | None, is_integer: bool, salt: int) -> float | int:
    """A number within the bounds: the prompt's where it fits, otherwise the one nearest to it that does."""
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    step = schema.get("multipleOf") or (1 if is_integer else None)
    if is_integer and isinstance(step, float):
        step = int(step) if step.is_integer() else math.lcm(1, math.ceil(step)) if step > 1 else 1
    start = min(max(hint if hint is not None else 1 + salt, low), high)
    if start not in (hint, 1 + salt) and salt:
        start = start + salt if start + salt <= high else start - salt if start - salt >= low else start
    if step is None:
        return _inside(start, low, high, schema)
    nearest = round(start / step) * step
    for offset in (0, 1, -1, 2, -2):
        value = nearest + offset * step
        if accepts({**schema, "type": "number"}, value, root=schema):
            return int(value) if is_integer else value
    raise Unsatisfiable("no number is within the bounds")


def _inside(start: float, low: float, high: float, schema: dict[str, Any]) -> float | int:
    is_low_open, is_high_open = start == schema.get("exclusiveMinimum"), start == schema.get("exclusiveMaximum")
    if not (is_low_open or is_high_open):
        return start
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) / 2
    return start + 1 if is_low_open else start - 1


def _letters(salt: int, length: int) -> str:
    """A short string that is different for each salt, as far as `length` characters allow."""
    text = ""
    while salt and len(text) < length:
        salt, digit = divmod(salt, 26)
        text += chr(ord("a") + digit)
    return text
