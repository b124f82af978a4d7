"""Whether a value satisfies a JSON schema: the keywords that structured output and tools are written with.

Drafts 7 to 2020-12 in the parts that `schema` fills; a keyword not known here is ignored, as the drafts ask.
`format` is not checked: it is an annotation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

MAX_DEPTH = 60

Json = Any
"""A decoded JSON value."""


class Unsatisfiable(Exception):
    """No value was found for a schema."""


def resolve(reference: str, root: Json) -> Json:
    """What a local `$ref` (`#/$defs/node`, `#`) points at. Raises `Unsatisfiable` when it points nowhere."""
    if not reference.startswith("#"):
        raise Unsatisfiable(f"'{reference}' is not a reference within the schema")
    found = root
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~").replace("%25", "%")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise Unsatisfiable(f"'{reference}' points at nothing")
    return found


def type_of(value: Json) -> str:
    """The JSON name of a value's type; "integer" for whole numbers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def same(left: Json, right: Json) -> bool:
    """Equality as JSON has it: 1 and 1.0 are equal, 1 and true are not."""
    kinds = {type_of(left), type_of(right)}
    if kinds <= {"integer", "number"}:
        return bool(left == right)
    if len(kinds) > 1:
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def distinct(values: Sequence[Json]) -> bool:
    """Whether no two values are the same."""
    return not any(same(value, other) for index, value in enumerate(values) for other in values[:index])


def accepts(schema: Json, value: Json, *, root: Json, depth: int = 0) -> bool:
    """Whether `value` satisfies `schema`, whose references point into `root`. Raises `Unsatisfiable` when endless."""
    if isinstance(schema, bool):
        return schema
    if depth > MAX_DEPTH:
        raise Unsatisfiable("the schema is nested too deeply")
    if not isinstance(schema, dict):
        return True

    def inner(part: Json, item: Json) -> bool:
        return accepts(part, item, root=root, depth=depth + 1)

    reference = schema.get("$ref")
    if isinstance(reference, str) and not inner(resolve(reference, root), value):
        return False
    return _plain(schema, value) and _combined(schema, value, inner) and _contents(schema, value, inner)


Inner = Callable[[Json, Json], bool]


def _plain(schema: Mapping[str, Json], value: Json) -> bool:
    if "const" in schema and not same(schema["const"], value):
        return False
    if "enum" in schema and not any(same(item, value) for item in schema["enum"]):
        return False
    kind = type_of(value)
    allowed = schema.get("type")
    if allowed is not None:
        names = allowed if isinstance(allowed, list) else [allowed]
        if schema.get("nullable") is True:
            names = [*names, "null"]
        if kind not in names and not (kind == "integer" and "number" in names):
            return False
    if kind in ("integer", "number"):
        return _number(schema, value)
    return _text(schema, value) if kind == "string" else True


def _number(schema: Mapping[str, Json], value: float) -> bool:
    step = schema.get("multipleOf")
    return (
        value >= schema.get("minimum", -math.inf)
        and value <= schema.get("maximum", math.inf)
        and value > schema.get("exclusiveMinimum", -math.inf)
        and value < schema.get("exclusiveMaximum", math.inf)
        and (not step or _is_multiple(value, step))
    )


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    quotient = value / step
    return math.isfinite(quotient) and quotient == int(quotient)


def _text(schema: Mapping[str, Json], value: str) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
        return False
    pattern = schema.get("pattern")
    return not isinstance(pattern, str) or matches(pattern, value)


def matches(pattern: str, value: str) -> bool:
    """Whether `pattern` is found in `value`; a pattern that Python cannot read binds nothing."""
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True


def _combined(schema: Mapping[str, Json], value: Json, inner: Inner) -> bool:
    if not all(inner(part, value) for part in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(inner(part, value) for part in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(inner(part, value) for part in schema["oneOf"]) != 1:
        return False
    if "not" in schema and inner(schema["not"], value):
        return False
    if "if" in schema:
        branch = "then" if inner(schema["if"], value) else "else"
        return inner(schema.get(branch, True), value)
    return True


def _contents(schema: Mapping[str, Json], value: Json, inner: Inner) -> bool:
    if isinstance(value, list):
        return _array(schema, value, inner)
    return _object(schema, value, inner) if isinstance(value, dict) else True


def item_schemas(schema: Mapping[str, Json]) -> Iterator[Json]:
    """The schema of each item of an array, without end (also draft 7's list of `items`)."""
    items = schema.get("items", True)
    first = schema.get("prefixItems", ())
    if isinstance(items, list):
        first, items = items, schema.get("additionalItems", True)
    yield from first
    while True:
        yield items


def _array(schema: Mapping[str, Json], value: list[Json], inner: Inner) -> bool:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        return False
    if schema.get("uniqueItems") is True and not distinct(value):
        return False
    if not all(inner(part, item) for part, item in zip(item_schemas(schema), value, strict=False)):
        return False
    if "contains" not in schema:
        return True
    found = sum(inner(schema["contains"], item) for item in value)
    return bool(schema.get("minContains", 1) <= found <= schema.get("maxContains", math.inf))


def property_schemas(schema: Mapping[str, Json], name: str) -> list[Json]:
    """Every schema that the value of property `name` must satisfy."""
    found = [schema["properties"][name]] if name in schema.get("properties", {}) else []
    found += [part for pattern, part in schema.get("patternProperties", {}).items() if matches(pattern, name)]
    return found or [schema.get("additionalProperties", True)]


def _object(schema: Mapping[str, Json], value: dict[str, Json], inner: Inner) -> bool:
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", math.inf):
        return False
    if not all(name in value for name in schema.get("required", ())):
        return False
    if not all(inner(schema.get("propertyNames", True), name) for name in value):
        return False
    for name, needed in schema.get("dependentRequired", {}).items():
        if name in value and not all(other in value for other in needed):
            return False
    return all(inner(part, item) for name, item in value.items() for part in property_schemas(schema, name))
