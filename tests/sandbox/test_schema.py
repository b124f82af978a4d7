"""Values for JSON schemas: checked against jsonschema, the reference implementation in Python."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.sandbox.hints import Hints
from hypereal.sandbox.patterns import example
from hypereal.sandbox.schema import fill
from hypereal.sandbox.schema_check import Unsatisfiable, accepts
from hypereal.sandbox.schema_merge import merge

PROMPT = "Book a table for 4 in Paris on 2026-03-01 for Ada Lovelace, email ada@example.org, unit celsius."
NAMES = st.sampled_from(["city", "name", "count", "query", "email", "tags", "a", "ünïcode", "date"])


def _bounds(low: str, high: str, largest: int) -> st.SearchStrategy[dict[str, int]]:
    pair = st.tuples(st.integers(0, largest), st.integers(0, largest)).map(sorted)
    return st.one_of(
        st.just({}),
        pair.map(lambda both: {low: both[0], high: both[1]}),
        pair.map(lambda both: {low: both[0]}),
        pair.map(lambda both: {high: both[1]}),
    )


STRINGS = st.one_of(
    _bounds("minLength", "maxLength", 40).map(lambda bounds: {"type": "string", **bounds}),
    st.sampled_from(["date", "date-time", "email", "uuid", "uri", "ipv4", "time", "made-up"]).map(
        lambda form: {"type": "string", "format": form}
    ),
    st.sampled_from(
        [r"^[A-Z]{2}-\d{4}$", r"^\+?[0-9]{7,}$", r"^(red|green)$", r"[a-f0-9]{8}", r"^\w+@\w+\.com$", r"^[^aA]+$"]
    ).map(lambda pattern: {"type": "string", "pattern": pattern}),
)
NUMBERS = st.one_of(
    _bounds("minimum", "maximum", 100).map(lambda bounds: {"type": "integer", **bounds}),
    _bounds("minimum", "maximum", 100).map(lambda bounds: {"type": "number", **bounds}),
    st.integers(-50, 50).map(lambda low: {"type": "integer", "exclusiveMinimum": low, "maximum": low + 1}),
    st.integers(-50, 50).map(lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 1}),
    st.integers(1, 30).map(lambda step: {"type": "integer", "multipleOf": step}),
)
LEAVES = st.one_of(
    STRINGS,
    NUMBERS,
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({}),
    st.just(True),
    st.just({"$ref": "#/$defs/leaf"}),
    st.just({"$ref": "#/$defs/tree"}),
    st.sampled_from([{"const": 5}, {"const": None}, {"const": {"a": [1]}}, {"type": ["string", "null"]}]),
    st.lists(st.sampled_from(["celsius", "kelvin", 1, None, True, 2.5]), min_size=1).map(lambda given: {"enum": given}),
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda properties, drop, extra: {
            "type": "object",
            "properties": properties,
            "required": [name for index, name in enumerate(properties) if index % 2 or not drop],
            **({} if extra is None else {"additionalProperties": extra}),
        },
        st.dictionaries(NAMES, inner, max_size=4),
        st.booleans(),
        st.sampled_from([None, False, True, {"type": "integer"}]),
    )


def _branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
        inner.map(lambda part: {"allOf": [part, {"description": "the same"}]}),
        inner.map(lambda part: {"oneOf": [part, {"type": "object", "required": ["only-here"], "not": part}]}),
        inner.map(lambda part: {"anyOf": [part, {"type": "null"}]}),
    )


def _arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.tuples(inner, _bounds("minItems", "maxItems", 5)).map(
            lambda made: {"type": "array", "items": made[0], **made[1]}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"type": "array", "prefixItems": parts}),
        st.just({"type": "array", "items": {"type": "string"}, "minItems": 4, "uniqueItems": True}),
        st.just({"type": "array", "items": {"enum": ["x", "y", "z"]}, "minItems": 3, "uniqueItems": True}),
    )


SCHEMAS = st.recursive(
    LEAVES, lambda inner: st.one_of(_objects(inner), _arrays(inner), _branches(inner)), max_leaves=10
)
DEFINITIONS = {
    "leaf": {"type": "integer", "minimum": 3},
    "tree": {
        "type": "object",
        "properties": {
            "value": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
            "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
        },
        "required": ["value", "children", "next"],
        "additionalProperties": False,
    },
}


@settings(max_examples=400, deadline=None)
@given(SCHEMAS)
def test_every_satisfiable_schema_is_filled_with_a_value_that_the_reference_validator_accepts(inner: Any) -> None:
    schema = {"type": "object", "properties": {"it": inner}, "required": ["it"], "$defs": DEFINITIONS}
    value = fill(schema, Hints(PROMPT))
    jsonschema.Draft202012Validator(schema).validate(value)


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 60), st.floats(-5, 60), st.sampled_from(["celsius", "x", "red"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, VALUES)
def test_the_checker_agrees_with_the_reference_validator(inner: Any, value: Any) -> None:
    schema = {"allOf": [inner], "$defs": DEFINITIONS}
    assert accepts(schema, value, root=schema) == jsonschema.Draft202012Validator(schema).is_valid(value)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, SCHEMAS, VALUES)
def test_a_merged_schema_accepts_nothing_that_either_side_refuses(left: Any, right: Any, value: Any) -> None:
    root = {"$defs": DEFINITIONS}
    if accepts(merge(left, right), value, root=root):
        assert accepts(left, value, root=root)
        assert accepts(right, value, root=root)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"x": False}, "required": ["x"]},
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"type": "array", "items": {"enum": [1, 2]}, "minItems": 3, "uniqueItems": True},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"properties": [1]},
        {"type": "string", "minLength": "x"},
        {"type": 5},
        {"enum": 5},
        {"enum": []},
        {"type": "number", "minimum": 1e308, "multipleOf": 1e-300},
        {"type": "array", "minItems": 10**9},
        {"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
         "$ref": "#/$defs/n"},
    ],
)  # fmt: skip
def test_a_schema_without_values_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Unsatisfiable):
        fill(schema, Hints(PROMPT))


def test_values_come_from_the_prompt() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "email": {"type": "string", "format": "email"},
            "date": {"type": "string", "format": "date"},
            "guests": {"type": "integer"},
            "unit": {"enum": ["kelvin", "celsius"]},
        },
        "required": ["city"],
    }
    assert fill(schema, Hints(PROMPT)) == {
        "city": "Paris",
        "email": "ada@example.org",
        "date": "2026-03-01",
        "guests": 4,
        "unit": "celsius",
    }


def test_a_condition_is_satisfied() -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["card", "cash"]}, "number": {"type": "string", "minLength": 1}},
        "required": ["kind"],
        "if": {"properties": {"kind": {"const": "card"}}},
        "then": {"required": ["number"]},
    }
    jsonschema.Draft202012Validator(schema).validate(fill(schema, Hints("pay by card")))


@pytest.mark.parametrize("pattern", ["(?=a)b", "a{99999999}", "(", "[", "\\1", "*a"])
def test_an_unreadable_pattern_yields_nothing(pattern: str) -> None:
    assert example(pattern) is None
