"""Reading a JSON value out of what a model wrote, in layers, each more forgiving and none of them guessing.

Strict JSON first; then without reasoning tags; then inside code fences; then the outermost object or array in
the prose; last, small repairs of a value whose brackets balance (flagged). A value that is cut off is
refused, never completed, and its inner parts are never taken for the whole. The one home of these rules: models read
answers after a schema with it, verifiers and methods whatever a completion holds. Knows no schema and no method.
"""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.M | re.S)
_OPENS = re.compile(
    r"""\{\s*(?:["'}]|[A-Za-z_]\w*\s*:|//|/\*|\Z)|\[\s*(?:["'\]{\[]|-?\d|(?:true|false|null|True|False|None)\b|\Z)"""
)
_CLOSER = {"{": "}", "[": "]"}
_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_BAD_ESCAPE = re.compile(r'\\(?!["\\/bfnrtu])|\\u(?![0-9a-fA-F]{4})')
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])|\b(?:True|False|None)\b|[A-Za-z_]\w*(?=\s*:)', re.S
)
_JSON_FENCES = ("", "json", "jsonc", "json5", "javascript", "js", "python", "text")
_PYTHON = {"True": "true", "False": "false", "None": "null"}
_SMALL = 4
"""Of several values in one text, those shorter than 1/4 of the longest are asides such as ``[1]``."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A JSON value found in text.

    Args:
        value: the value.
        layer: how it was found: ``strict``, ``think`` (after reasoning was cut away), ``fence`` or ``scan``.
        repaired: whether its spelling had to be mended; never its structure.
        chosen: whether it was one of several of similar size (the last), or is the list of objects one after another.
    """

    value: Any
    layer: str
    repaired: bool = False
    chosen: bool = False


class _Place(NamedTuple):
    """A value where it stands in a text."""

    value: Any
    start: int
    end: int
    repaired: bool


def find_json(text: str) -> Parsed:
    """The JSON value that a reply holds, and how it was found.

    Of several values the last of similar size is taken (models correct themselves); a reply made of objects alone, one
    after another, is their list.

    Args:
        text: what the model wrote.

    Raises:
        ValueError: no value, a value that is cut off, or one beyond repair.
    """
    text = text.strip().lstrip("\ufeff")
    try:
        return Parsed(_strict(text), "strict")
    except ValueError:
        pass
    text = without_reasoning(text)
    try:
        return Parsed(_strict(text), "think")
    except ValueError:
        pass
    fenced = [_from_prose(m[3]) for m in _FENCE.finditer(text) if m[2].lower() in _JSON_FENCES]
    found = [place for block in fenced for place in block]
    if found:
        return _choose(found, "fence")
    found = _from_prose(text)
    if not found:
        raise ValueError("no JSON value in the text")
    gaps = [
        text[a:b] for a, b in zip([0, *(f.end for f in found)], [*(f.start for f in found), len(text)], strict=True)
    ]
    if len(found) > 1 and not any(gap.strip(" \t\r\n,") for gap in gaps):
        return Parsed([f.value for f in found], "scan", any(f.repaired for f in found), chosen=True)
    return _choose(found, "scan")


def json_value(text: str) -> tuple[Any, bool]:
    """The JSON value that a reply holds, and whether reading it took a repair or a choice; see `find_json`.

    Raises:
        ValueError: no value, a value that is cut off, or one beyond repair.
    """
    found = find_json(text)
    return found.value, found.repaired or found.chosen


def without_reasoning(text: str) -> str:
    """The text after ``<think>...</think>``, or after a ``</think>`` whose opening stood in the prompt.

    Raises:
        ValueError: the reasoning never ends, so there is no answer.
    """
    answer = split_reasoning(text)[1]
    if answer is None:
        raise ValueError("the reasoning never ends: there is no answer")
    return answer


def split_reasoning(text: str) -> tuple[str, str | None]:
    """Reasoning and answer of a reply; the answer is None when the reasoning never ends."""
    start = text.lstrip()
    opened = start.startswith("<think>")
    end = start.find("</think>")
    if end < 0:
        return (start[7:].strip(), None) if opened else ("", text)
    if not opened and ('"' in start[:1] or start[:1] in "{["):
        return "", text
    return start[7 if opened else 0 : end].strip(), start[end + 8 :].strip()


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse_constant(number)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _strict(text: str) -> Any:
    try:
        value, end = _DECODER.raw_decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if end != len(text):
        raise ValueError("more than one JSON value")
    if "\\ud" in text or "\\uD" in text:
        _refuse_surrogates(value)
    return value


def _refuse_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair") from error


def _from_prose(text: str) -> list[_Place]:
    """Every outermost value in the text."""
    try:
        return [_Place(_strict(text.strip()), 0, len(text), False)]
    except ValueError:
        pass
    found: list[_Place] = []
    at = 0
    while opening := _OPENS.search(text, at):
        start = opening.start()
        try:
            value, end = _DECODER.raw_decode(text, start)
            _refuse_surrogates(value)
            found.append(_Place(value, start, end, False))
        except (ValueError, RecursionError):
            end = _balanced_end(text, start)
            try:
                found.append(_Place(_repaired(text[start:end]), start, end, True))
            except ValueError as error:
                if not found and '"' in text[start:end]:
                    raise ValueError("the JSON value in the text is beyond repair") from error
        at = end
    return found


def _balanced_end(text: str, start: int) -> int:
    """Where the value that opens at `start` closes; brackets inside double-quoted strings do not count."""
    stack: list[str] = []
    in_string = False
    for token in re.finditer(r'\\.|["{}\[\]]', text[start:], re.S):
        mark = token[0]
        if mark == '"':
            in_string = not in_string
        elif in_string or len(mark) > 1:
            continue
        elif mark in _CLOSER:
            stack.append(_CLOSER[mark])
        elif not stack or stack.pop() != mark:
            raise ValueError("the brackets do not match")
        elif not stack:
            return start + token.end()
    raise ValueError("the JSON value is cut off")


def _repaired(text: str) -> Any:
    """A value whose brackets balance, after small repairs that add no content.

    Trailing commas, comments, Python's constants, bare keys, raw line ends in strings, backslashes that were
    not doubled, halves of surrogate pairs; and Python literals with single quotes.
    """
    if _BAD_ESCAPE.search(text.replace("\\\\", "")):
        text = re.sub(
            r'\\\\|\\(?=[bfrt][A-Za-z])|\\(?!["\\/bfnrtu])|\\u(?![0-9a-fA-F]{4})',
            lambda m: m[0] if m[0] == "\\\\" else "\\\\" + m[0][1:],
            text,
        )
    text = _LONE_SURROGATE.sub(r"\\ufffd", text)
    try:
        return json.JSONDecoder(strict=False, parse_constant=_refuse_constant, parse_float=_finite).decode(
            _TOKEN.sub(_mended, text)
        )
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("beyond repair") from error
    return _only_json(value)


def _mended(token: re.Match[str]) -> str:
    word = token[0]
    if word[0] == '"':
        return word
    if word[0] in ",/":
        return ""
    return _PYTHON.get(word) or f'"{word}"'


def _only_json(value: Any) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise ValueError("a key that is not a string")
        return {k: _only_json(v) for k, v in value.items()}
    if isinstance(value, tuple):
        raise ValueError("a tuple is not JSON")
    return [_only_json(v) for v in value] if isinstance(value, list) else value


def _choose(found: list[_Place], layer: str) -> Parsed:
    longest = max(f.end - f.start for f in found)
    rivals = [f for f in found if (f.end - f.start) * _SMALL >= longest]
    return Parsed(rivals[-1].value, layer, rivals[-1].repaired, chosen=len(rivals) > 1)
