"""Whether two answers that are more than one number mean the same.

The order counts in tuples and matrices, not in sets and lists of answers. True and False are certain; None is anything
that cannot be read or decided. The comparison is symmetric.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from tilth.verify import algebra, solving
from tilth.verify.algebra import Expr, TooHardError
from tilth.verify.answers import Node, read
from tilth.verify.reals import KINDS, pieces, same_set

_LOG = re.compile(r"\\?log(?![A-Za-z]| ?_)")


def equivalent(a: str, b: str) -> bool | None:
    """Whether two answers mean the same; None when it cannot be told."""
    for x, y in ((a, b), (b, a)):
        if ("\\pi" in x or "arc" in x) and "circ" in y and "circ" not in x:
            return equivalent(x, re.sub(r"\^ ?\{? ?\\circ ?\}?", r"*\\pi/180", y)) if "pi" not in y else None
    try:
        same = _same(read(a), read(b))
    except (TooHardError, ZeroDivisionError, OverflowError, RecursionError, ValueError):
        return None
    if same is False and (_LOG.search(a) or _LOG.search(b)):
        # A logarithm without a base may be the natural one.
        return equivalent(_LOG.sub(r"\\ln ", a), _LOG.sub(r"\\ln ", b))
    return same


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
        if x.kind == "matrix" and y.kind == "tuple" and (len(x.parts) == 1 or all(len(r.parts) == 1 for r in x.parts)):
            return _each([c for r in x.parts for c in r.parts], y.parts)
        if x.kind == "reals" and y.kind in ("tuple", "interval") and len(y.parts) == 2:
            return _each(y.parts, (Node("expr", value=-algebra.INFINITY), Node("expr", value=algebra.INFINITY)))
    if {a.kind, b.kind} & KINDS and (left := pieces(a)) is not None and (right := pieces(b)) is not None:
        return same_set(left, right)
    if "ratio" in (a.kind, b.kind):
        return _ratio(a, b)
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
    return True if a.kind in ("reals", "empty") else None


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


def _ratio(a: Node, b: Node) -> bool | None:
    """Ratios are equal up to a factor, times of day as they stand; a ratio of two may be their quotient."""
    if a.kind == b.kind:
        (x, *xs), (y, *ys) = ([p.value for p in n.parts if p.value is not None] for n in (a, b))
        same = len(xs) == len(ys) and _all(algebra.equal(p * y, q * x) for p, q in zip(xs, ys, strict=True))
        return None if same and "clock" in (a.ends, b.ends) and not _each(a.parts, b.parts) else same
    ratio, other = (a, b) if a.kind == "ratio" else (b, a)
    if other.kind != "expr" or len(ratio.parts) != 2 or other.value is None:
        return False
    top, bottom = (p.value for p in ratio.parts)
    assert top is not None and bottom is not None
    return True if not ratio.ends and algebra.equal(top, bottom * other.value) else None


def _proportional(a: Expr, b: Expr, *, either: bool) -> bool | None:
    """Whether one side is a constant times the other: equations with the same solutions, as far as that tells.

    Others (of inequalities only the linear) are different when a solution of one, found in floating point, is none of the other.
    """
    if not a.num or not b.num:
        return None
    shared = next((m for m in b.num if m in a.num), None)
    if shared is not None:
        scale = Expr({algebra.ONE: a.num[shared] / b.num[shared]}, {algebra.ONE: Fraction(1)})
        scale = scale * Expr(b.den, {algebra.ONE: Fraction(1)}) / Expr(a.den, {algebra.ONE: Fraction(1)})
        if algebra.equal(a, scale * b):
            return either or (scale.rational or 0) > 0
    if not either and not all(_is_linear(x) for x in (a, b)):
        return None
    return False if _witness(a, b) or _witness(b, a) else None


def _is_linear(x: Expr) -> bool:
    return set(x.den) == {algebra.ONE} and all(sum(e for atom, e in m if atom.key.startswith("v:")) <= 1 for m in x.num)


def _witness(a: Expr, b: Expr) -> bool:
    """Whether some point with a = 0 has b clearly unequal 0."""
    names = sorted(a.variables | b.variables)
    for round_ in range(4):
        at = {n: 0.35 * round_ - 0.2 + 0.45 * i for i, n in enumerate(names)}
        for name in sorted(a.variables):
            try:
                for zero in solving.real_zeros(a, name, at):
                    point = {**at, name: zero}
                    size = sum(abs(algebra.Expr({m: c}, b.den).number(point)) for m, c in b.num.items())
                    if abs(a.number(point)) < 1e-6 and abs(b.number(point)) > 1e-4 * max(size, 1.0):
                        return True
            except (TooHardError, ArithmeticError, ValueError):
                continue
    return False


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
