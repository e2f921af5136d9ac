"""Equations in `algebra`: linear ones exactly, the real zeros of polynomials in floating point. Reads no text."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from tilth.verify.algebra import MAX_POWER, VARIABLE, Atom, Expr, Poly, TooHardError, names_of, polynomial_number


def linear(x: Expr) -> tuple[Expr, Expr] | None:
    """Slope and offset of an expression that is linear in its only variable, slope not zero; None for any other."""
    names = names_of(x)
    if len(names) != 1 or not all(a.key == "v:" + next(iter(names)) or not VARIABLE.search(a.key) for a in _atoms(x)):
        return None
    if any(a.key.startswith("v:") for m in x.den for a, _ in m):
        return None
    slope: Poly = {}
    offset: Poly = {}
    for mono, c in x.num.items():
        exponents = [e for a, e in mono if a.key.startswith("v:")]
        if exponents not in ([], [1]):
            return None
        rest = frozenset((a, e) for a, e in mono if not a.key.startswith("v:"))
        (slope if exponents else offset)[rest] = c
    if not slope or abs(Expr(slope, x.den).number({}).imag) > 1e-12:
        return None
    return Expr(slope, x.den), Expr(offset, x.den)


def _atoms(x: Expr) -> set[Atom]:
    return {a for p in (x.num, x.den) for m in p for a, _ in m}


def real_zeros(x: Expr, name: str, at: Mapping[str, float]) -> list[float]:
    """Real values of one variable at which a polynomial is zero, in floating point, the others being given.

    Raises:
        TooHardError: it is no polynomial in that variable.
    """
    import numpy as np

    coefficients: dict[int, complex] = {}
    for mono, c in x.num.items():
        exponent = next((e for a, e in mono if a.key == f"v:{name}"), Fraction(0))
        rest = frozenset((a, e) for a, e in mono if a.key != f"v:{name}")
        inside = any(name in VARIABLE.findall(a.key) for a, _ in rest)
        if inside or exponent.denominator != 1 or not 0 <= exponent <= MAX_POWER:
            raise TooHardError("not a polynomial")
        coefficients[int(exponent)] = coefficients.get(int(exponent), 0) + polynomial_number({rest: c}, at)
    top = max(coefficients, default=0)
    found: Any = np.roots([coefficients.get(n, 0) for n in range(top, -1, -1)]) if top else []
    return [float(r.real) for r in found if abs(r.imag) < 1e-9 * max(1.0, abs(r))]
