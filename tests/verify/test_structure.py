from __future__ import annotations

import json

import pytest

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.verify.jsonschema import check_schema, violations
from tilth.verify.structure import RegexVerifier, SchemaVerifier

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def judged(completion, **settings):
    return SchemaVerifier(**{"schema": SCHEMA, **settings}).verify(Row({"completion": completion}, "r")).reason


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ('{"name": "x"}', "schema:pass"),
        ('Here:\n```json\n{"name": "x", "age": 3}\n```', "schema:pass"),
        ('{"name": ""}', "schema:fail:schema"),
        ('{"age": 3}', "schema:fail:schema"),
        ('{"name": "x", "age": -1}', "schema:fail:schema"),
        ('{"name": "x", "age": true}', "schema:fail:schema"),
        ('{"name": "x", "more": 1}', "schema:fail:schema"),
        ('{"name": "x", "tags": ["a", "c"]}', "schema:fail:schema"),
        ('{"name": "x", "tags": ["a", "b", "a"]}', "schema:fail:schema"),
        ('{"name": "x",}', "schema:fail:repaired"),
        ('{"name": "x"', "schema:unknown:no-json"),
        ("no", "schema:unknown:no-json"),
        ("", "schema:unknown:no-json"),
    ],
)
def test_completions_are_held_against_the_schema(completion, reason):
    assert judged(completion) == reason


def test_mended_json_passes_only_when_allowed_and_strict_means_nothing_else():
    assert judged('{"name": "x",}', repaired=True) == "schema:pass"
    assert judged('Here: {"name": "x"}', strict=True) == "schema:unknown:no-json"


def test_the_schema_may_be_text_or_the_row_s_own():
    assert judged('{"name": "x"}', schema=json.dumps(SCHEMA)) == "schema:pass"
    row = Row({"completion": "3", "schema": {"type": "integer", "maximum": 2}}, "r")
    assert SchemaVerifier().verify(row).evidence["violations"] == ["$: 3 is more than the maximum 2"]


@pytest.mark.parametrize(
    ("value", "schema", "right"),
    [
        (3, {"anyOf": [{"type": "string"}, {"minimum": 3}]}, True),
        (2, {"anyOf": [{"type": "string"}, {"minimum": 3}]}, False),
        (3, {"oneOf": [{"type": "integer"}, {"minimum": 3}]}, False),
        ("ab", {"pattern": "^a"}, True),
        ("ba", {"pattern": "^a"}, False),
        (True, {"const": 1}, False),
        (1.0, {"type": "integer"}, True),
        (None, {"type": ["string", "null"]}, True),
        ([1, 1], {"uniqueItems": True}, False),
        ({"a": 1}, {"additionalProperties": {"type": "string"}}, False),
        (5, {"not": {"type": "integer"}}, False),
        (
            {"n": {"n": {}}},
            {"$defs": {"t": {"type": "object", "properties": {"n": {"$ref": "#/$defs/t"}}}}, "$ref": "#/$defs/t"},
            True,
        ),
        (4, {"exclusiveMaximum": 4}, False),
        (4, {"multipleOf": 2}, True),
        (1, False, False),
        (1, True, True),
    ],
)
def test_keywords_mean_what_json_schema_says(value, schema, right):
    check_schema(schema)
    assert (violations(value, schema) == []) == right


@pytest.mark.parametrize(
    "schema", [{"requird": []}, {"type": "text"}, {"pattern": "("}, [], {"properties": {"a": 3}}, {"if": {}}]
)
def test_a_schema_that_cannot_be_judged_is_an_error_not_a_pass(schema):
    with pytest.raises(UsageError):
        check_schema(schema)


def test_a_pattern_is_found_or_forbidden():
    def reason(text, **settings):
        return RegexVerifier(**settings).verify(Row({"completion": text}, "r")).reason

    assert reason("x\n#### 12", pattern=r"^#### \d+$") == "regex:pass"
    assert reason("x", pattern=r"^#### \d+$") == "regex:fail"
    assert reason("as an AI", pattern="as an AI", forbid=True) == "regex:fail"
    assert reason("ab", pattern="a", whole=True) == "regex:fail"
    assert reason(" ", pattern="a") == "regex:unknown:no-answer"
    with pytest.raises(UsageError):
        RegexVerifier(pattern="(")
    with pytest.raises(UsageError):
        RegexVerifier()
