"""JSON Schema, the part that model output needs: a small validator with no dependency that refuses what it
does not know.

Types, properties, items, enumerations, bounds, patterns and combinations of draft 2020-12; an unknown keyword
is an error rather than a check that silently passes. This module knows no verdict and no file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tilth.errors import UsageError, did_you_mean

_NOTES = {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"}
_TYPES: dict[str, Any] = {
    "object": lambda v: isinstance(v, dict), "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str), "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: not isinstance(v, bool) and (isinstance(v, int) or (isinstance(v, float) and v.is_integer())),
}  # fmt: skip
_SUB = {"items", "additionalProperties", "not"}
_LISTS = {"anyOf", "allOf", "oneOf"}
_KEYWORDS = _NOTES | _SUB | _LISTS | {
    "type", "properties", "required", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minProperties",
    "maxProperties", "$ref", "$defs", "definitions",
}  # fmt: skip


def check_schema(schema: Any, at: str = "schema") -> None:
    """Raise on a schema that `violations` cannot judge.

    Raises:
        UsageError: a keyword is unknown or its value is not what JSON Schema asks for.
    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise UsageError("a JSON Schema is an object or a boolean", where=at, todo="mend the schema")
    for key, value in schema.items():
        here = f"{at}.{key}"
        if key not in _KEYWORDS:
            raise UsageError(
                f"keyword '{key}' is not supported", where=here, todo=did_you_mean(key, _KEYWORDS - _NOTES)
            )
        if key == "type":
            kinds = value if isinstance(value, list) else [value]
            if not all(isinstance(k, str) and k in _TYPES for k in kinds):
                raise UsageError(
                    f"type {json.dumps(value)} is not known", where=here, todo=f"known: {', '.join(_TYPES)}"
                )
        elif key == "pattern":
            try:
                re.compile(value)
            except (re.error, TypeError) as error:
                raise UsageError(f"not a regular expression ({error})", where=here, todo="mend the pattern") from error
        elif key in _SUB:
            check_schema(value, here)
        elif key in _LISTS:
            for index, sub in enumerate(value if isinstance(value, list) else [None]):
                check_schema(sub, f"{here}[{index}]")
        elif key in ("properties", "$defs", "definitions"):
            for name, sub in value.items() if isinstance(value, dict) else [("", None)]:
                check_schema(sub, f"{here}.{name}")


def violations(value: Any, schema: Any) -> list[str]:
    """What of `value` breaks `schema`, at most 20 lines such as ``$.items[2]: 7 is more than the maximum 5``.

    Args:
        value: plain JSON.
        schema: a schema that `check_schema` accepts.
    """
    found = []
    for line in _broken(value, schema, "$", schema, 0):
        found.append(line)
        if len(found) == 20:
            break
    return found


def _broken(value: Any, schema: Any, at: str, root: Any, depth: int) -> Iterator[str]:
    if schema is True:
        return
    if schema is False or depth > 100:
        yield f"{at}: not allowed" if schema is False else f"{at}: nested too deeply"
        return
    if "$ref" in schema:
        yield from _broken(value, _target(schema["$ref"], root), at, root, depth + 1)
    kinds = schema.get("type")
    if kinds is not None and not any(_TYPES[k](value) for k in ([kinds] if isinstance(kinds, str) else kinds)):
        yield f"{at}: {_shown(value)} is not of type {kinds if isinstance(kinds, str) else ' or '.join(kinds)}"
        return
    if "enum" in schema and not any(_equal(value, e) for e in schema["enum"]):
        yield f"{at}: {_shown(value)} is not one of {_shown(schema['enum'])}"
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{at}: {_shown(value)} is not {_shown(schema['const'])}"
    if isinstance(value, dict):
        yield from _broken_object(value, schema, at, root, depth)
    elif isinstance(value, list):
        yield from _broken_array(value, schema, at, root, depth)
    elif isinstance(value, str):
        yield from _outside(len(value), schema, at, "minLength", "maxLength", "characters")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{at}: {_shown(value)} does not match {schema['pattern']}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _broken_number(value, schema, at)
    yield from _combined(value, schema, at, root, depth)


def _combined(value: Any, schema: Mapping[str, Any], at: str, root: Any, depth: int) -> Iterator[str]:
    for sub in schema.get("allOf", ()):
        yield from _broken(value, sub, at, root, depth + 1)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            fitting = sum(not any(_broken(value, sub, at, root, depth + 1)) for sub in schema[key])
            if fitting == 0 or (key == "oneOf" and fitting > 1):
                yield f"{at}: {_shown(value)} fits {fitting} of the {key} choices"
    if "not" in schema and not any(_broken(value, schema["not"], at, root, depth + 1)):
        yield f"{at}: {_shown(value)} is what 'not' forbids"


def _broken_object(value: dict[str, Any], schema: Mapping[str, Any], at: str, root: Any, depth: int) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: '{name}' is missing"
    yield from _outside(len(value), schema, at, "minProperties", "maxProperties", "properties")
    known = schema.get("properties", {})
    for name, part in value.items():
        if name in known:
            yield from _broken(part, known[name], f"{at}.{name}", root, depth + 1)
        elif schema.get("additionalProperties", True) is False:
            yield f"{at}: '{name}' is not allowed"
        else:
            yield from _broken(part, schema.get("additionalProperties", True), f"{at}.{name}", root, depth + 1)


def _broken_array(value: list[Any], schema: Mapping[str, Any], at: str, root: Any, depth: int) -> Iterator[str]:
    yield from _outside(len(value), schema, at, "minItems", "maxItems", "items")
    if schema.get("uniqueItems") and len({json.dumps(v, sort_keys=True) for v in value}) < len(value):
        yield f"{at}: items repeat"
    for index, part in enumerate(value):
        yield from _broken(part, schema.get("items", True), f"{at}[{index}]", root, depth + 1)


def _broken_number(value: float, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    if value < schema.get("minimum", value):
        yield f"{at}: {value} is less than the minimum {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield f"{at}: {value} is more than the maximum {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"{at}: {value} is not more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield f"{at}: {value} is not less than {schema['exclusiveMaximum']}"
    if "multipleOf" in schema and value % schema["multipleOf"]:
        yield f"{at}: {value} is not a multiple of {schema['multipleOf']}"


def _outside(size: int, schema: Mapping[str, Any], at: str, least: str, most: str, what: str) -> Iterator[str]:
    if size < schema.get(least, size):
        yield f"{at}: {size} {what}, at least {schema[least]} wanted"
    if size > schema.get(most, size):
        yield f"{at}: {size} {what}, at most {schema[most]} wanted"


def _target(ref: str, root: Any) -> Any:
    found = root
    for part in ref.removeprefix("#/").split("/") if ref != "#" else []:
        if not ref.startswith("#/") or not isinstance(found, dict) or part not in found:
            raise UsageError(
                f"$ref {ref} points at nothing", where="schema", todo="point into this schema: #/$defs/NAME"
            )
        found = found[part]
    return found


def _equal(a: Any, b: Any) -> bool:
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
