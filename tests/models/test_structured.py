"""Schemas: what conforms, and prices, which are facts and not guesses."""

from __future__ import annotations

from typing import Any

import pytest

from tilth.errors import UsageError
from tilth.models import Reply, Usage, cost
from tilth.models.prices import parse_price, price
from tilth.models.structured import problem, with_parsed

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {"$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}}}, "$ref": "#/$defs/node"}
GOOD: list[tuple[Any, Any]] = [
    ({"name": "a"}, PERSON),
    ({"name": "a", "age": 3}, PERSON),
    ({"name": "a", "age": 3.0}, PERSON),
    ([[], [[]]], TREE),
    ("a", {"enum": ["a", "b"]}),
    (1, {"type": ["integer", "null"]}),
    (None, {"type": ["integer", "null"]}),
    (3, {"anyOf": [{"type": "string"}, {"type": "number"}]}),
    ("ab1", {"type": "string", "pattern": "[0-9]$"}),
    (1, True),
    (1, {}),
]
BAD: list[tuple[Any, Any, str]] = [
    ({}, PERSON, "'name' is missing"),
    ({"name": ""}, PERSON, "'name': 0 is not an allowed length"),
    ({"name": "a", "age": -1}, PERSON, "out of range"),
    ({"name": "a", "age": "3"}, PERSON, "str where integer"),
    ({"name": "a", "age": True}, PERSON, "bool where integer"),
    ({"name": "a", "x": 1}, PERSON, "'x': nothing is allowed here"),
    ([[], [1]], TREE, "item 1: item 0: int where array"),
    (1, {"enum": [True, "1"]}, "is none of"),
    ([1, 2], {"type": "array", "maxItems": 1}, "number of items"),
    (3, {"oneOf": [{"type": "integer"}, {"type": "number"}]}, "fits 2 of oneOf"),
    (1, {"$ref": "#"}, "without end"),
]


@pytest.mark.parametrize(("value", "schema"), GOOD)
def test_what_conforms_passes(value: Any, schema: Any) -> None:
    assert problem(value, schema) is None


@pytest.mark.parametrize(("value", "schema", "said"), BAD)
def test_what_does_not_conform_is_named(value: Any, schema: Any, said: str) -> None:
    assert said in (problem(value, schema) or "")


def test_a_reply_is_parsed_only_when_it_conforms() -> None:
    assert with_parsed(Reply('```json\n{"name": "a"}\n```'), PERSON).parsed == {"name": "a"}
    assert with_parsed(Reply('{"name": "a",}'), PERSON).repaired
    assert with_parsed(Reply('{"nome": "a"}'), PERSON).parsed is None
    assert with_parsed(Reply('{"name": "a"}'), None).parsed is None


def test_a_number_cut_off_by_length_is_not_taken_for_whole() -> None:
    assert with_parsed(Reply("12", finish_reason="length"), {"type": "integer"}).parsed is None
    assert with_parsed(Reply("12"), {"type": "integer"}).parsed == 12


def test_prices_fall_back_from_a_dated_name_and_the_user_wins() -> None:
    assert price("gpt-4o-mini-2024-07-18") == price("openai/gpt-4o-mini") == price("gpt-4o-mini")
    assert price("gpt-4o-mini") != price("gpt-4o")
    assert price("gpt-4o-mini", {"gpt-4o-mini": "1/2"}) == (1.0, 2.0)
    assert price("llama-of-mine") is None


def test_cost_is_per_million_tokens_and_unknown_is_not_zero() -> None:
    assert cost("m", Usage(1_000_000, 500_000), {"m": "2/4"}) == pytest.approx(4.0)
    assert cost("m", Usage(1, 1)) is None


@pytest.mark.parametrize("value", ["2.5/10", [2.5, 10], {"input": 2.5, "output": 10}])
def test_a_price_may_be_written_in_several_ways(value: Any) -> None:
    assert parse_price(value) == (2.5, 10.0)
    assert parse_price("3") == parse_price(3) == (3.0, 3.0)


@pytest.mark.parametrize("value", ["cheap", "1/2/3", -1, None, {"input": 1}, "nan", "inf/1"])
def test_what_is_not_a_price_is_a_usage_error(value: Any) -> None:
    with pytest.raises(UsageError, match=r"prices\.m"):
        price("m", {"m": value})
