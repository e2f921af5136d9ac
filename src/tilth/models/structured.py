"""Answers after a schema: what to ask when the endpoint cannot enforce one, and how to read what comes back.

The reading is layered (`tilth.rows.jsonparse`) and the result checked against the schema; an answer that does
not conform is left unparsed, never bent into shape. Knows no method and no verifier.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from tilth.models.base import Reply
from tilth.rows.jsonparse import json_value

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
    "integer": int, "number": (int, float),
}  # fmt: skip


def with_parsed(reply: Reply, schema: Mapping[str, Any] | None) -> Reply:
    """The reply with `parsed` and `repaired` filled, when there is a schema and the text conforms to it.

    A reply cut off by length is parsed only when it holds a whole object or array.
    """
    if schema is None or reply.parsed is not None:
        return reply
    try:
        value, repaired = json_value(reply.text)
    except ValueError:
        return reply
    if problem(value, schema) or (reply.cut and not isinstance(value, dict | list)):
        return reply
    return replace(reply, parsed=value, repaired=repaired)


def schema_instruction(schema: Mapping[str, Any]) -> str:
    """The words that ask for a schema in plain prompting."""
    text = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS, default=dict).decode()
    return f"Reply with one JSON value and nothing else. It has to satisfy this JSON Schema:\n{text}"


def problem(value: Any, schema: Any, root: Any = None, depth: int = 0) -> str | None:
    """What in `value` breaks the schema, or None.

    Covers the part of JSON Schema that endpoints enforce: type, enum, const, properties, required,
    additionalProperties, items, bounds on length and size, pattern, anyOf / oneOf / allOf and local ``$ref``.

    Args:
        value: plain JSON.
        schema: a JSON schema; keywords it does not know are ignored.
        root: the whole schema, for ``$ref``; by default `schema`.
        depth: how deep in the schema this is; a schema that refers to itself without end is cut off at 64.
    """
    root = schema if root is None else root
    if schema is True or not isinstance(schema, Mapping):
        return "nothing is allowed here" if schema is False else None
    if depth > 64:
        return "the schema refers to itself without end"
    if isinstance(schema.get("$ref"), str):
        return problem(value, _resolve(schema["$ref"], root), root, depth + 1)
    return (
        _wrong_kind(value, schema)
        or _wrong_size(value, schema)
        or _wrong_parts(value, schema, root, depth)
        or _wrong_choice(value, schema, root, depth)
    )


def _resolve(reference: str, root: Any) -> Any:
    at = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        at = at.get(name, True) if isinstance(at, Mapping) and name else at
    return at


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, object))


def _wrong_kind(value: Any, schema: Mapping[str, Any]) -> str | None:
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"{type(value).__name__} where {' or '.join(kinds)} is asked for"
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        return f"{value!r:.40} is none of {schema['enum']!r:.80}"
    if "const" in schema and not _same(value, schema["const"]):
        return f"{value!r:.40} is not {schema['const']!r:.40}"
    return None


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _wrong_size(value: Any, schema: Mapping[str, Any]) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        if (low is not None and value < low) or (high is not None and value > high):
            return f"{value} is out of range"
        if (above is not None and value <= above) or (below is not None and value >= below):
            return f"{value} is out of range"
    if isinstance(value, str | list):
        low, high = ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
        if not schema.get(low, 0) <= len(value) <= schema.get(high, len(value)):
            return f"{len(value)} is not an allowed {'length' if isinstance(value, str) else 'number of items'}"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{value!r:.40} does not match {schema['pattern']}"
    return None


def _wrong_parts(value: Any, schema: Mapping[str, Any], root: Any, depth: int) -> str | None:
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            return f"'{missing[0]}' is missing"
        others = schema.get("additionalProperties", True)
        for name, part in value.items():
            found = problem(part, properties.get(name, others), root, depth + 1)
            if found:
                return f"'{name}': {found}"
    if isinstance(value, list) and "items" in schema:
        for index, part in enumerate(value):
            found = problem(part, schema["items"], root, depth + 1)
            if found:
                return f"item {index}: {found}"
    return None


def _wrong_choice(value: Any, schema: Mapping[str, Any], root: Any, depth: int) -> str | None:
    for part in schema.get("allOf", ()):
        found = problem(value, part, root, depth + 1)
        if found:
            return found
    for word in ("anyOf", "oneOf"):
        if word in schema:
            fits = sum(problem(value, part, root, depth + 1) is None for part in schema[word])
            if fits == 0 or (word == "oneOf" and fits > 1):
                return f"fits {fits} of {word}"
    return None
