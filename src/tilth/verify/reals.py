"""Sets of real numbers as unions of intervals and points: ``x \\ne 2`` is two rays, ``[0,1]`` and ``[1,2]`` together are ``[0,2]``.

Ends are exact; only their order is looked up in floating point. Knows no text.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from tilth.verify import algebra, solving
from tilth.verify.algebra import Expr, TooHardError
from tilth.verify.answers import Node

KINDS = {"interval", "union", "unequal", "reals", "without", "both", "empty"}
"""Kinds of answers that are sets of reals beyond doubt."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An interval; a point when both ends are equal and belong to it."""

    low: Expr
    has_low: bool
    high: Expr
    has_high: bool


def pieces(node: Node) -> list[Piece] | None:
    """The disjoint pieces of a set of reals, from left to right; None when the answer is none, or has variables."""
    try:
        found = _pieces(node)
        return None if found is None else _joined(found)
    except (TooHardError, ArithmeticError):
        return None


def same_set(a: Sequence[Piece], b: Sequence[Piece]) -> bool | None:
    """Whether two sets of reals are equal; None when two ends cannot be told apart."""
    if len(a) != len(b):
        return False
    answers: list[bool | None] = []
    for x, y in zip(a, b, strict=True):
        answers += [
            x.has_low == y.has_low,
            x.has_high == y.has_high,
            algebra.equal(x.low, y.low),
            algebra.equal(x.high, y.high),
        ]
    return False if False in answers else None if None in answers else True


def _pieces(node: Node) -> list[Piece] | None:
    if node.kind == "interval":
        low, high = (part.value for part in node.parts)
        if low is None or high is None:
            return None
        return [Piece(low, node.ends[0] == "[", high, node.ends[1] == "]")]
    if node.kind == "reals":
        return [Piece(-algebra.INFINITY, False, algebra.INFINITY, False)]
    if node.kind == "empty":
        return []
    if node.kind == "expr" and node.value is not None:
        return [Piece(node.value, True, node.value, True)]
    if node.kind == "tuple" and len(node.parts) == 2:
        return _pieces(Node("interval", node.parts, ends=node.ends))
    if node.kind in ("union", "set", "list"):
        parts = [_pieces(part) for part in node.parts]
        return None if None in parts else [piece for part in parts if part is not None for piece in part]
    if node.kind == "both":
        met: list[Piece] | None = [Piece(-algebra.INFINITY, False, algebra.INFINITY, False)]
        for part in node.parts:
            other = _pieces(part)
            met = None if met is None or other is None else [_met(x, y) for x in met for y in other]
        return met
    if node.kind == "without":
        points = [part.value for part in node.parts]
    elif node.kind == "unequal" and node.value is not None and (line := solving.linear(node.value)) is not None:
        points = [-line[1] / line[0]]
    else:
        return None
    if any(point is None for point in points):
        return None
    ordered = sorted((p for p in points if p is not None), key=_place)
    ends = [-algebra.INFINITY, *ordered, algebra.INFINITY]
    return [Piece(low, False, high, False) for low, high in itertools.pairwise(ends)]


def _met(a: Piece, b: Piece) -> Piece:
    """What two intervals share; it may be empty."""
    low, high = (a if _place(a.low) >= _place(b.low) else b), (a if _place(a.high) <= _place(b.high) else b)
    return Piece(
        low.low, all(p.has_low for p in (a, b) if algebra.equal(p.low, low.low)),
        high.high, all(p.has_high for p in (a, b) if algebra.equal(p.high, high.high)),
    )  # fmt: skip


def _place(x: Expr) -> float:
    value = x.number({n: 0.0 for n in x.variables})
    if x.variables or abs(value.imag) > 1e-9:
        raise TooHardError("an end that is no real number")
    return value.real


def _joined(found: Sequence[Piece]) -> list[Piece]:
    """Sorted, without empty pieces, neighbours that touch made one."""
    full = []
    for piece in found:
        at_once = algebra.equal(piece.low, piece.high)
        if _place(piece.low) < _place(piece.high) or (at_once and piece.has_low and piece.has_high):
            full.append(piece)
    merged: list[Piece] = []
    for piece in sorted(full, key=lambda p: (_place(p.low), not p.has_low)):
        last = merged[-1] if merged else None
        if last is None:
            merged.append(piece)
            continue
        level = bool(algebra.equal(last.high, piece.low))
        if (not level and _place(last.high) < _place(piece.low)) or (level and not (last.has_high or piece.has_low)):
            merged.append(piece)
            continue
        ends_level = bool(algebra.equal(last.high, piece.high))
        if ends_level or _place(piece.high) > _place(last.high):
            closed = piece.has_high or (ends_level and last.has_high)
            merged[-1] = Piece(last.low, last.has_low, piece.high, closed)
    return merged
