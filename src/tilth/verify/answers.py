"""Reads an answer that is more than one number: expressions, several answers, tuples, intervals, sets, unions, inequalities,
equations, ratios, matrices. Compares nothing; does not know where an answer stands in a completion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tilth.verify import algebra, solving
from tilth.verify.algebra import Expr, TooHardError, rational
from tilth.verify.latex import MAX_CHARS, expression
from tilth.verify.spelling import cleaned

_RELATION = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|\\ne(?![A-Za-z])|[<>=]")
_MATRIX = re.compile(r"\\begin ?\{([pbvB]?matrix|array)\}(?:\{[^{}]*\})?(.*?)\\end ?\{(?:[pbvB]?matrix|array)\}", re.S)
_WORD = re.compile(r"[A-Za-z]{2,}")
_AND = re.compile(r"(?:,|;)?\s+(?:or|and)\s+|;")
_DISPLAY = re.compile(r"(?<!\\)\\[()\[\]]")
_DOUBTFUL = re.compile(r"\.\.|…|\\[lc]?dots|(?<!\d)\d{1,3}(?:\.\d{3})+,\d")
_LABEL = re.compile(
    r"^(?:[A-Za-z](?:_\{?\w+\}?)?(?:\^ ?\{? ?-1 ?\}?)?(?: ?\( ?[A-Za-z0-9]+ ?\))?|\( ?[a-z](?: ?, ?[a-z])+ ?\)"
    r"|(?:m ?)?\\angle ?\{? ?[A-Z]{1,3} ?\}?|\\[a-z]+) ?(?:=|\\in(?![A-Za-z])|:=|\\approx(?![A-Za-z])) ?"
)
_BUILDER = re.compile(r"⦃ ?[A-Za-z](?: ?\\in ?\\?[A-Za-z]+)? ?(?::|\||\\mid) ?(.+)⦄", re.S)
_WITHOUT = re.compile(
    r"(?:R|\( ?-?\\infty ?, ?\\infty ?\)|all (?:real numbers|reals)) ?(?:\\setminus|-(?= ?⦃)|except(?: for)?|but) ?(.+)"
)
_POINT = re.compile(r"[A-Z](?:_\{?\w+\}?)? ?(?=\(.*,.*\)$)")
_NAMED = re.compile(r" ?([A-Za-z]) ?= ?([^=]+)")
_RATIO = re.compile(r"[^:]+(?::[^:]+)+")
_CLOCK = re.compile(r"\d{1,2} ?: ?[0-5]\d")
_ANGLES = re.compile(r"(?:sin|cos|tan|sec|csc|cot)(?![a-z])")
_UNITS = re.compile(
    r"(?<=[\d)}\w]) ?\\?(?:(?:square|cubic) )?(?:units?|cm|mm|km|m|meters?|inch(?:es)?|feet|ft|degrees?|degree|radians?|rad"
    r"|hours?|minutes?|seconds?|dollars?|days?|years?|miles?|mph)(?: ?(?:\^ ?\{? ?[23] ?\}?|squared|cubed))?$"
)


@dataclass(frozen=True, slots=True)
class Node:
    """A read answer.

    Args:
        kind: ``expr``, ``list``, ``tuple``, ``set``, ``interval``, ``union``, ``without`` (the reals but these), ``both``, ``equation``,
            ``unequal``, ``below``, ``atmost``, ``ratio``, ``matrix``, ``row``, ``reals``, ``empty``.
        parts: what it is made of.
        value: of an expression.
        ends: brackets of a tuple or interval; ``clock`` of a ratio that may be a time of day.
    """

    kind: str
    parts: tuple[Node, ...] = ()
    value: Expr | None = None
    ends: str = ""


@lru_cache(maxsize=4096)
def read(text: str) -> Node:
    """Read an answer.

    Raises:
        TooHardError: it cannot be read.
    """
    if len(text) > MAX_CHARS or _DOUBTFUL.search(text):
        raise TooHardError("too long, goes on, or a number with separators of another country")
    text = cleaned(_DISPLAY.sub(" ", text.replace("$", "")))
    return _read(text.rstrip(".,; "), 0)


def _read(text: str, depth: int) -> Node:
    text = text.strip()
    if not text or depth > 8:
        raise TooHardError("nothing to read")
    special = _special(text)
    if special is not None:
        return special
    builder, without = _BUILDER.fullmatch(text), _WITHOUT.fullmatch(text)
    if builder:
        return _read(builder[1], depth + 1)
    if without:
        return Node("without", _values(_read(without[1], depth + 1)))
    text = _POINT.sub("", _unlabelled(text).strip(), count=1) if _POINT.match(text) else _unlabelled(text).strip()
    if not text:
        raise TooHardError("a name without a value")
    matrix = _MATRIX.fullmatch(text.strip("[]() ")) if "\\begin" in text else None
    if matrix:
        rows = [r for r in re.split(r"\\\\", matrix[2]) if r.strip()]
        cells = tuple(Node("row", tuple(_read(c, depth + 1) for c in row.split("&"))) for row in rows)
        return _determinant(cells) if matrix[1] == "vmatrix" else Node("matrix", cells)
    parts = _split(_AND.sub(" ⟂ ", text) if not _RELATION.search(text) or " or " in text else text, "⟂")
    if len(parts) > 1:
        return _named(parts, depth) or _several([_read(p, depth + 1) for p in parts])
    if len(pieces := _split_command(text, "cup")) > 1:
        return Node("union", tuple(_read(p, depth + 1) for p in pieces))
    parts = _split(text, ",")
    if len(parts) > 1 and "\\ne" in text and all(_RELATION.search(p) for p in parts):
        return Node("both", tuple(_read(p, depth + 1) for p in parts))
    if len(parts) > 1:
        return _named(parts, depth) or _several([_read(p, depth + 1) for p in parts])
    if text.startswith("⦃") and text.endswith("⦄"):
        inside = text[1:-1].strip()
        return Node("set", tuple(_read(p, depth + 1) for p in _split(inside, ","))) if inside else Node("empty")
    if "\\pm" in text and not _RELATION.search(text):
        return Node("list", tuple(_read(text.replace("\\pm", sign), depth + 1) for sign in ("+", "-")))
    bracketed = _bracketed(text, depth)
    if bracketed is not None:
        return bracketed
    if _RELATION.search(text):
        return _relation(text, depth)
    if _RATIO.fullmatch(text):
        clock = "clock" if _CLOCK.fullmatch(text) else ""
        return Node("ratio", tuple(Node("expr", value=expression(p)) for p in text.split(":")), ends=clock)
    return Node("expr", value=expression(_unitless(_base(text))))


def _unitless(text: str) -> str:
    """Without a unit at the end; the degrees of an angle are none."""
    return text if _ANGLES.search(text) else _UNITS.sub("", text)


def _named(parts: Sequence[str], depth: int) -> Node | None:
    """``x = 2, y = 7``: values of different letters, in the letters' order; None for anything else."""
    found = [_NAMED.fullmatch(p) for p in parts]
    names = [m[1] for m in found if m]
    if len(names) < len(parts) or len(set(names)) < len(names):
        return None
    values = sorted(((m[1], m[2]) for m in found if m), key=lambda pair: pair[0])
    return Node("tuple", tuple(_read(v, depth + 1) for _, v in values), ends="()")


def _determinant(rows: Sequence[Node]) -> Node:
    """The determinant of what stands between bars, by its first row."""
    size = len(rows)
    if size > 4 or any(len(row.parts) != size or any(c.value is None for c in row.parts) for row in rows):
        raise TooHardError("no determinant of up to four rows")
    total = rational(0)
    for at, cell in enumerate(rows[0].parts):
        assert cell.value is not None
        rest = [Node("row", row.parts[:at] + row.parts[at + 1 :]) for row in rows[1:]]
        minor = _determinant(rest).value if rest else rational(1)
        assert minor is not None
        total = total + cell.value * minor * rational((-1) ** at)
    return Node("expr", value=total)


def _values(node: Node) -> tuple[Node, ...]:
    """The members of a set or list, or the one value."""
    return node.parts if node.kind in ("set", "list") else (node,)


def _unlabelled(text: str) -> str:
    """Without ``x =`` where it only names the answer: ``y = 2x + 1`` is an equation, ``f(x) = 2x + 1`` is not."""
    label = _LABEL.match(text)
    if label is None or (len(_RELATION.findall(text)) > 1 and "\\in" not in label[0]):
        return text
    rest = text[label.end() :]
    free = set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", rest))) - {"e", "i"}
    return text if free and "=" in label[0] and "(" not in label[0] else rest


def _base(text: str) -> str:
    """A number in another base keeps its base: ``1011_2`` only equals itself."""
    match = re.fullmatch(r"([0-9A-F ]+)_ ?\{? ?(\d+) ?\}?", text)
    if not match:
        return text
    base = int(match[2])
    if not 2 <= base <= 16:
        raise TooHardError("a base that is not from 2 to 16")
    return str(int(match[1].replace(" ", ""), base))


def _special(text: str) -> Node | None:
    lower = text.lower().strip(". ")
    if lower in (
        "\\emptyset",
        "empty set",
        "no solution",
        "no solutions",
        "none",
        "the empty set",
        "no real solutions",
    ):
        return Node("empty")
    if lower in ("r", "all real numbers", "all reals", "the real numbers", "real numbers", "x \\in r"):
        return Node("reals") if lower != "r" or "R" in text else None
    return None


def _several(parts: Sequence[Node]) -> Node:
    flat = [p for part in parts for p in (part.parts if part.kind == "list" else (part,))]
    if all(p.kind in ("interval", "union") for p in flat):
        return Node("union", tuple(flat))
    return Node("list", tuple(flat))


def _bracketed(text: str, depth: int) -> Node | None:
    if text[0] not in "([" or text[-1] not in ")]" or not _encloses(text):
        return None
    parts = _split(text[1:-1], ",")
    if len(parts) < 2:
        return None
    return Node("tuple", tuple(_read(p, depth + 1) for p in parts), ends=text[0] + text[-1])


def _encloses(text: str) -> bool:
    """Whether the first bracket is closed by the last."""
    level = 0
    for index, c in enumerate(text):
        level += (c in "([{⦃") - (c in ")]}⦄")
        if level == 0 and index < len(text) - 1:
            return False
    return level == 0


def _split(text: str, at: str) -> list[str]:
    """Split outside brackets; a comma between groups of three digits is not one when the text looks like one number."""
    if at == "," and re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        return [text]
    found, level, start = [], 0, 0
    for index, c in enumerate(text):
        level += (c in "([{⦃") - (c in ")]}⦄")
        if c == at and level == 0:
            found.append(text[start:index])
            start = index + 1
    return [*found, text[start:]]


def _split_command(text: str, name: str) -> list[str]:
    return re.split(rf"\\{name}(?![A-Za-z])", text)


def _relation(text: str, depth: int) -> Node:
    signs = given = _RELATION.findall(text)
    sides = [s.strip() for s in _RELATION.split(text)]
    if not all(sides):
        raise TooHardError("a relation without a side")
    values = [expression(_unitless(s)) for s in sides]
    if signs == ["="]:
        return Node("equation", value=values[0] - values[1])
    if signs == ["\\ne"]:
        return Node("unequal", value=values[0] - values[1])
    low, high = Node("expr", value=-algebra.INFINITY), Node("expr", value=algebra.INFINITY)
    names = [len(v.variables) == 1 and v.den == {algebra.ONE: 1} and len(v.num) == 1 for v in values]
    if len(signs) == 1 and signs[0] != "=":
        sign, difference = signs[0], values[0] - values[1]
        if sign in (">", "\\ge"):
            sign, difference = _turned(sign), -difference
        line = solving.linear(difference)
        if line is None:
            return Node("below" if sign == "<" else "atmost", value=difference)
        bound = Node("expr", value=-line[1] / line[0])
        if line[0].number({}).real > 0:
            return Node("interval", (low, bound), ends="(" + (")" if sign == "<" else "]"))
        return Node("interval", (bound, high), ends=("(" if sign == "<" else "[") + ")")
    if len(signs) == 2 and names[1] and "=" not in signs:
        if signs[0] in (">", "\\ge"):
            signs, values = [_turned(s) for s in reversed(signs)], values[::-1]
        if signs[0] in ("<", "\\le") and signs[1] in ("<", "\\le") and _coefficient(values[1]).rational == 1:
            ends = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
            return Node("interval", (Node("expr", value=values[0]), Node("expr", value=values[2])), ends=ends)
    if len(given) == 2 and (set(given) <= {"<", "\\le"} or set(given) <= {">", "\\ge"}):
        pair = (f"{sides[0]} {given[0]} {sides[1]}", f"{sides[1]} {given[1]} {sides[2]}")
        return Node("both", tuple(_relation(one, depth + 1) for one in pair))
    if len(signs) == 2 and signs == ["=", "="] and names[0]:
        return _read(sides[-1], depth + 1)
    raise TooHardError("a chain of relations")


def _coefficient(x: Expr) -> Expr:
    (c,) = x.num.values()
    return rational(c)


def _turned(sign: str) -> str:
    return {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}.get(sign, sign)
