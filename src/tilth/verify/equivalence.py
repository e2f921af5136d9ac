"""Whether two answers that are more than one number mean the same: expressions, several answers, tuples, intervals,
sets, unions, inequalities, equations, matrices.

The order counts in tuples and matrices, not in sets and lists of answers. True and False are certain; None is anything
that cannot be read or decided. The comparison is symmetric. This module does not know where an answer stands in a
completion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tilth.verify import algebra
from tilth.verify.algebra import Expr, TooHardError, rational
from tilth.verify.latex import MAX_CHARS, cleaned, expression

_RELATION = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|\\ne(?![A-Za-z])|[<>=]")
_MATRIX = re.compile(
    r"\\begin ?\{(?:[pbvB]?matrix|array)\}(?:\{[^{}]*\})?(.*?)\\end ?\{(?:[pbvB]?matrix|array)\}", re.S
)
_WORD = re.compile(r"[A-Za-z]{2,}")
_AND = re.compile(r"(?:,|;)?\s+(?:or|and)\s+|;")
_DOUBTFUL = re.compile(r"\.\.|…|\\[lc]?dots|(?<!\d)\d{1,3}(?:\.\d{3})+,\d")
_LABEL = re.compile(
    r"^(?:[A-Za-z](?:_\{?\w+\}?)?(?: ?\( ?[a-z0-9]+ ?\))?|\( ?[a-z](?: ?, ?[a-z])+ ?\)|\\[a-z]+) ?(?:=|\\in(?![A-Za-z])|:=) ?"
)
_UNITS = re.compile(
    r"(?<=[\d)}\w]) ?\\?(?:(?:square|cubic) )?(?:units?|cm|mm|km|m|meters?|inch(?:es)?|feet|ft|degrees?|degree|radians?|rad"
    r"|hours?|minutes?|seconds?|dollars?|days?|years?|miles?|mph)(?: ?(?:\^ ?\{? ?[23] ?\}?|squared|cubed))?$"
)


@dataclass(frozen=True, slots=True)
class Node:
    """A read answer.

    Args:
        kind: ``expr``, ``list``, ``tuple``, ``set``, ``interval``, ``union``, ``equation``, ``unequal``, ``matrix``,
            ``reals``, ``empty``.
        parts: what it is made of.
        value: of an expression.
        ends: brackets of a tuple or interval.
    """

    kind: str
    parts: tuple[Node, ...] = ()
    value: Expr | None = None
    ends: str = ""


def equivalent(a: str, b: str) -> bool | None:
    """Whether two answers mean the same; None when it cannot be told."""
    for x, y in ((a, b), (b, a)):
        if "\\pi" in x and "circ" in y and "circ" not in x:
            return equivalent(x, re.sub(r"\^ ?\{? ?\\circ ?\}?", r"*\\pi/180", y)) if "pi" not in y else None
    try:
        return _same(read(a), read(b))
    except (TooHardError, ZeroDivisionError, OverflowError, RecursionError, ValueError):
        return None


@lru_cache(maxsize=4096)
def read(text: str) -> Node:
    """Read an answer.

    Raises:
        TooHardError: it cannot be read.
    """
    if len(text) > MAX_CHARS or _DOUBTFUL.search(text):
        raise TooHardError("too long, goes on, or a number with separators of another country")
    text = cleaned(text.replace("$", ""))
    return _read(text.rstrip(".,; "), 0)


def _read(text: str, depth: int) -> Node:
    text = text.strip()
    if not text or depth > 8:
        raise TooHardError("nothing to read")
    special = _special(text)
    if special is not None:
        return special
    text = _unlabelled(text).strip()
    if not text:
        raise TooHardError("a name without a value")
    matrix = _MATRIX.fullmatch(text)
    if matrix:
        rows = [r for r in re.split(r"\\\\", matrix[1]) if r.strip()]
        return Node("matrix", tuple(Node("row", tuple(_read(c, depth + 1) for c in row.split("&"))) for row in rows))
    parts = _split(_AND.sub(" ⟂ ", text) if not _RELATION.search(text) or " or " in text else text, "⟂")
    if len(parts) > 1:
        return _several([_read(p, depth + 1) for p in parts])
    if len(pieces := _split_command(text, "cup")) > 1:
        return Node("union", tuple(_read(p, depth + 1) for p in pieces))
    parts = _split(text, ",")
    if len(parts) > 1:
        return _several([_read(p, depth + 1) for p in parts])
    if text.startswith("⦃") and text.endswith("⦄"):
        inside = text[1:-1].strip()
        return Node("set", tuple(_read(p, depth + 1) for p in _split(inside, ","))) if inside else Node("empty")
    bracketed = _bracketed(text, depth)
    if bracketed is not None:
        return bracketed
    if _RELATION.search(text):
        return _relation(text, depth)
    if "\\pm" in text:
        return Node("list", tuple(_read(text.replace("\\pm", sign), depth + 1) for sign in ("+", "-")))
    return Node("expr", value=expression(_UNITS.sub("", _base(text))))


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
    signs = _RELATION.findall(text)
    sides = [s.strip() for s in _RELATION.split(text)]
    if not all(sides):
        raise TooHardError("a relation without a side")
    values = [expression(_UNITS.sub("", s)) for s in sides]
    if signs == ["="]:
        return Node("equation", value=values[0] - values[1])
    if signs == ["\\ne"]:
        return Node("unequal", value=values[0] - values[1])
    low, high = Node("expr", value=-algebra.INFINITY), Node("expr", value=algebra.INFINITY)
    names = [len(v.variables) == 1 and v.den == {algebra.ONE: 1} and len(v.num) == 1 for v in values]
    if len(signs) == 1 and signs[0] != "=":
        at, sign = (0, signs[0]) if names[0] and not values[1].variables else (1, _turned(signs[0]))
        if not names[at] or values[1 - at].variables:
            difference = values[0] - values[1] if signs[0] in ("<", "\\le") else values[1] - values[0]
            return Node("below" if signs[0] in ("<", ">") else "atmost", value=difference)
        bound = Node("expr", value=values[1 - at] / _coefficient(values[at]))
        if (_coefficient(values[at]).rational or 0) < 0:
            sign = _turned(sign)
        if sign in ("<", "\\le"):
            return Node("interval", (low, bound), ends="(" + (")" if sign == "<" else "]"))
        return Node("interval", (bound, high), ends=("(" if sign == ">" else "[") + ")")
    if len(signs) == 2 and names[1] and "=" not in signs:
        if signs[0] in (">", "\\ge"):
            signs, values = [_turned(s) for s in reversed(signs)], values[::-1]
        if signs[0] in ("<", "\\le") and signs[1] in ("<", "\\le") and _coefficient(values[1]).rational == 1:
            ends = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
            return Node("interval", (Node("expr", value=values[0]), Node("expr", value=values[2])), ends=ends)
    if len(signs) == 2 and signs == ["=", "="] and names[0]:
        return _read(sides[-1], depth + 1)
    raise TooHardError("a chain of relations")


def _coefficient(x: Expr) -> Expr:
    (c,) = x.num.values()
    return rational(c)


def _turned(sign: str) -> str:
    return {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}.get(sign, sign)


def _same(a: Node, b: Node) -> bool | None:
    a, b = _plain(a), _plain(b)
    for x, y in ((a, b), (b, a)):
        if x.kind == "equation" and y.kind == "expr":
            return _solved(x, y)
        if x.kind == "list" and y.kind == "tuple":
            inside = _each(x.parts, y.parts)
            return True if inside else None
        if x.kind == "interval" and y.kind == "tuple" and len(y.parts) == 2:
            y = Node("interval", y.parts, ends=y.ends)
            return _interval(x, y)
        if x.kind == "reals" and y.kind in ("tuple", "interval") and len(y.parts) == 2:
            return _each(y.parts, (Node("expr", value=-algebra.INFINITY), Node("expr", value=algebra.INFINITY)))
    if a.kind == "expr" and b.kind == "expr" and a.value is not None and b.value is not None:
        return algebra.equal(a.value, b.value)
    kinds = {a.kind, b.kind}
    if kinds <= {"list", "set"}:
        return _unordered(a.parts, b.parts)
    if len(kinds) > 1:
        return None if kinds & {"equation", "below", "atmost"} else False
    if a.kind in ("tuple", "interval"):
        return False if len(a.parts) == 2 == len(b.parts) and a.ends != b.ends else _each(a.parts, b.parts)
    if a.kind == "union":
        return _unordered(a.parts, b.parts)
    if a.kind in ("matrix", "row"):
        return _each(a.parts, b.parts)
    if a.kind in ("equation", "unequal", "below", "atmost") and a.value is not None and b.value is not None:
        return _proportional(a.value, b.value, either=a.kind in ("equation", "unequal"))
    return True


def _plain(node: Node) -> Node:
    """A list or set of one thing is that thing; a column is a tuple."""
    while node.kind in ("list", "set", "union") and len(node.parts) == 1:
        node = node.parts[0]
    return node


def _interval(a: Node, b: Node) -> bool | None:
    if not _each(a.parts, b.parts):
        return _each(a.parts, b.parts)
    return a.ends == b.ends


def _solved(equation: Node, answer: Node) -> bool | None:
    """``x = 3`` beside ``3``: when the equation says what one variable is."""
    assert equation.value is not None and answer.value is not None
    names = equation.value.variables - answer.value.variables
    if len(names) != 1:
        return None
    x = algebra.variable(names.pop())
    return True if algebra.equal(equation.value, x - answer.value) else None


def _proportional(a: Expr, b: Expr, *, either: bool) -> bool | None:
    """Whether one side is a constant times the other: equations with the same solutions, as far as that tells."""
    if not a.num or not b.num:
        return None
    ratio = algebra.rational(next(iter(a.num.values()))) / algebra.rational(1)
    for mono, c in b.num.items():
        if mono in a.num and a.den == b.den:
            ratio = algebra.rational(a.num[mono] / c)
            break
    same = algebra.equal(a, ratio * b)
    if same:
        return either or (ratio.rational or 0) > 0
    linear = all(sum(e for atom, e in m if atom.key.startswith("v:")) <= 1 for p in (a.num, b.num) for m in p)
    return False if linear and a.den == b.den else None


def _each(a: Sequence[Node], b: Sequence[Node]) -> bool | None:
    if len(a) != len(b):
        return False
    return _all(_same(x, y) for x, y in zip(a, b, strict=True))


def _all(found: object) -> bool | None:
    answers = list(found)  # type: ignore[call-overload]
    if False in answers:
        return False
    return None if None in answers else True


def _unordered(a: Sequence[Node], b: Sequence[Node]) -> bool | None:
    a, b = _distinct(a), _distinct(b)
    if len(a) != len(b):
        return False
    left, doubt = list(b), False
    for x in a:
        answers = [_same(x, y) for y in left]
        if True in answers:
            left.pop(answers.index(True))
        elif None in answers:
            doubt = True
        else:
            return False
    return None if doubt else True


def _distinct(nodes: Sequence[Node]) -> list[Node]:
    found: list[Node] = []
    same: Callable[[Node], bool] = lambda n: any(_same(n, f) for f in found)  # noqa: E731
    for node in nodes:
        if not same(node):
            found.append(node)
    return found
