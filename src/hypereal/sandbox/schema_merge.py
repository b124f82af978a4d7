"""Two JSON schemas as one that asks for both: what flattening `$ref`, `allOf` and the branches of `anyOf` needs."""

from __future__ import annotations

import math
from typing import Any

from hypereal.sandbox.schema_check import same

Json = Any

_LARGEST = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"})
_SMALLEST = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"})
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "$defs", "definitions", "$schema", "$id"})


def merge(left: Json, right: Json) -> Json:
    """A schema for the values that satisfy both; False when it is plain that there are none."""
    if left is False or right is False:
        return False
    if not isinstance(left, dict):
        return right
    if not isinstance(right, dict):
        return left
    merged = dict(left)
    for keyword, value in right.items():
        if keyword not in merged:
            merged[keyword] = value
        elif keyword not in _ANNOTATIONS and not same(merged[keyword], value):
            _combine(merged, keyword, value)
    _spread_additional(merged, left, right)
    return merged


def _combine(merged: dict[str, Json], keyword: str, value: Json) -> None:
    """Make `merged[keyword]` ask for what it asks for and for `value` too."""
    mine = merged[keyword]
    if keyword in _LARGEST:
        merged[keyword] = max(mine, value)
    elif keyword in _SMALLEST:
        merged[keyword] = min(mine, value)
    elif keyword == "type":
        merged[keyword] = _types(mine, value)
    elif keyword == "enum":
        merged[keyword] = [item for item in mine if any(same(item, other) for other in value)]
    elif keyword in ("properties", "patternProperties"):
        merged[keyword] = {**mine, **{key: merge(mine.get(key, True), part) for key, part in value.items()}}
    elif keyword == "required":
        merged[keyword] = list(dict.fromkeys([*mine, *value]))
    elif keyword in ("items", "additionalProperties") and not isinstance(mine, list) and not isinstance(value, list):
        merged[keyword] = merge(mine, value)
    elif keyword == "multipleOf" and isinstance(mine, int) and isinstance(value, int):
        merged[keyword] = math.lcm(mine, value)
    elif keyword == "uniqueItems":
        merged[keyword] = mine or value
    else:
        merged["allOf"] = [*merged.get("allOf", ()), {keyword: value}]


def _types(left: Json, right: Json) -> list[str]:
    mine = left if isinstance(left, list) else [left]
    theirs = right if isinstance(right, list) else [right]
    both = [kind for kind in mine if kind in theirs]
    crossed = ("number" in mine and "integer" in theirs) or ("integer" in mine and "number" in theirs)
    return [*both, "integer"] if crossed and "integer" not in both else both


def _spread_additional(merged: dict[str, Json], left: dict[str, Json], right: dict[str, Json]) -> None:
    """One side's `additionalProperties` also binds the properties that only the other side names."""
    if "properties" not in merged:
        return
    properties = dict(merged["properties"])
    for rule_side, other in ((left, right), (right, left)):
        rule = rule_side.get("additionalProperties", True)
        if rule is True:
            continue
        for key in other.get("properties", {}):
            if key not in rule_side.get("properties", {}) and not rule_side.get("patternProperties"):
                properties[key] = merge(properties[key], rule)
    merged["properties"] = properties
