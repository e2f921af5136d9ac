"""Exact algebra, just enough to tell whether two short expressions are equal: fractions of polynomials over the
rationals in surds, pi, e, i, logarithms, powers and variables.

An expression is a fraction of two sums of monomials; a monomial is a product of atoms with rational exponents. Roots of
different primes are linearly independent over the rationals (Besicovitch 1940), so that a difference of surds is zero
only when it is written as zero here. What this normal form does not decide (nested roots, trigonometry of general
angles) is evaluated in floating point at several points: far apart is unequal, agreement to 12 digits is equal.
Everything is bounded by counting, never by a clock, and nothing evaluates text. This module reads no text.
"""

from __future__ import annotations

import cmath
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

MAX_TERMS = 400
MAX_POWER = 40
MAX_BITS = 4000


class TooHardError(Exception):
    """The expression is beyond the bounds of this module."""


@dataclass(frozen=True, slots=True)
class Atom:
    """An irreducible factor.

    Args:
        key: what tells it from others; atoms with equal keys are equal.
        number: its value, given numbers for the variables.
        base: for a power that is not written out, what it is a power of.
        sure: whether products of such atoms are independent, so that a nonzero sum of them is not zero.
    """

    key: str
    number: Callable[[Mapping[str, complex]], complex] = field(compare=False, hash=False, repr=False)
    base: Expr | None = field(default=None, compare=False, hash=False, repr=False)
    sure: bool = field(default=True, compare=False, hash=False, repr=False)


Mono = frozenset[tuple[Atom, Fraction]]
Poly = dict[Mono, Fraction]
ONE: Mono = frozenset()
VARIABLE = re.compile(r"v:([A-Za-z_0-9]+)")


@dataclass(frozen=True, slots=True)
class Expr:
    """A fraction of two polynomials."""

    num: Poly
    den: Poly

    def __add__(self, other: Expr) -> Expr:
        if self.den == other.den:
            return Expr(_sum(self.num, other.num), self.den)
        return Expr(_sum(_product(self.num, other.den), _product(other.num, self.den)), _product(self.den, other.den))

    def __neg__(self) -> Expr:
        return Expr({m: -c for m, c in self.num.items()}, self.den)

    def __sub__(self, other: Expr) -> Expr:
        return self + -other

    def __mul__(self, other: Expr) -> Expr:
        return Expr(_product(self.num, other.num), _product(self.den, other.den))

    def __truediv__(self, other: Expr) -> Expr:
        if not other.num:
            raise TooHardError("division by zero")
        return Expr(_product(self.num, other.den), _product(self.den, other.num))

    @property
    def rational(self) -> Fraction | None:
        """The value, when it is a rational number."""
        if not self.num:
            return Fraction(0)
        if set(self.num) == {ONE} and set(self.den) == {ONE}:
            return self.num[ONE] / self.den[ONE]
        return None

    @property
    def key(self) -> str:
        """A spelling that equal fractions usually share."""
        scale = (
            next(iter(sorted(self.den.items(), key=lambda item: _mono_key(item[0]))))[1] if self.den else Fraction(1)
        )
        sides = [" + ".join(sorted(f"{c / scale}*{_mono_key(m)}" for m, c in p.items())) for p in (self.num, self.den)]
        return f"({sides[0]})/({sides[1]})"

    @property
    def variables(self) -> set[str]:
        """Names of the variables."""
        return {a.key[2:] for p in (self.num, self.den) for m in p for a, _ in m if a.key.startswith("v:")}

    def number(self, at: Mapping[str, complex]) -> complex:
        """The value in floating point."""
        try:
            return polynomial_number(self.num, at) / polynomial_number(self.den, at)
        except (OverflowError, ZeroDivisionError, ValueError) as error:
            raise TooHardError(str(error)) from error


def rational(value: Fraction | int) -> Expr:
    """A rational number."""
    value = Fraction(value)
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise TooHardError("too many digits")
    return Expr({ONE: value} if value else {}, {ONE: Fraction(1)})


def of_atom(atom: Atom, exponent: Fraction | int = 1) -> Expr:
    """A power of an atom."""
    return Expr(normal(frozenset({(atom, Fraction(exponent))})), {ONE: Fraction(1)})


def variable(name: str) -> Expr:
    """A variable."""
    return of_atom(Atom(f"v:{name}", lambda at: at[name]))


def opaque(name: str, of: list[Expr], number: Callable[..., Any]) -> Expr:
    """An atom for a function that has no normal form here: equal only to the same function of equal arguments."""
    key = f"{name}({', '.join(x.key for x in of)})"
    names = {v for x in of for v in x.variables}

    def value(at: Mapping[str, complex]) -> complex:
        return complex(number(*(x.number(at) for x in of)))

    return of_atom(Atom(key + "|" + ",".join(sorted(names)), value, sure=False))


def equal(a: Expr, b: Expr) -> bool | None:
    """Whether two expressions are equal; None when it cannot be told."""
    difference = _sum(_product(a.num, b.den), {m: -c for m, c in _product(b.num, a.den).items()})
    if not difference:
        return True
    atoms = {atom for m in difference for atom, _ in m}
    if all(atom.sure for atom in atoms) and not {"pi", "e"} <= {atom.key for atom in atoms}:
        return False
    names = sorted(names_of(a) | names_of(b))
    close = 0
    for round_ in range(1, 5):
        at = {n: complex(0.37 + 0.213 * round_ + 0.171 * i) for i, n in enumerate(names)}
        try:
            x, y = a.number(at), b.number(at)
        except (TooHardError, ArithmeticError, ValueError):
            continue
        if not (cmath.isfinite(x) and cmath.isfinite(y)):
            continue
        if abs(x - y) > 1e-7 * max(1.0, abs(x), abs(y)):
            return False
        close += abs(x - y) <= 1e-11 * max(abs(x), abs(y), 1e-3)
    return True if close >= 3 else None


def names_of(x: Expr) -> set[str]:
    found = x.variables
    for p in (x.num, x.den):
        for m in p:
            for atom, _ in m:
                found |= set(atom.key.rpartition("|")[2].split(",")) - {""} if "|" in atom.key else set()
                found |= set(VARIABLE.findall(atom.key))
    return found


def _sum(a: Poly, b: Poly) -> Poly:
    total = dict(a)
    for m, c in b.items():
        total[m] = total.get(m, Fraction(0)) + c
    return _checked({m: c for m, c in total.items() if c})


def _product(a: Poly, b: Poly) -> Poly:
    if len(a) * len(b) > MAX_TERMS * 4:
        raise TooHardError("too many terms")
    total: Poly = {}
    for m, c in a.items():
        for n, d in b.items():
            for mono, k in normal(joined(m, n)).items():
                total[mono] = total.get(mono, Fraction(0)) + c * d * k
    return _checked({m: c for m, c in total.items() if c})


def _checked(poly: Poly) -> Poly:
    if len(poly) > MAX_TERMS:
        raise TooHardError("too many terms")
    if any(c.numerator.bit_length() + c.denominator.bit_length() > MAX_BITS for c in poly.values()):
        raise TooHardError("too many digits")
    return poly


def joined(a: Mono, b: Mono) -> Mono:
    if not a or not b:
        return a or b
    total = dict(a)
    for atom, e in b:
        total[atom] = total.get(atom, Fraction(0)) + e
    return frozenset((atom, e) for atom, e in total.items() if e)


def inverse(m: Mono) -> Mono:
    return frozenset((atom, -e) for atom, e in m)


def normal(m: Mono) -> Poly:
    """A monomial with whole powers of primes, of i and of roots multiplied out."""
    c, rest, more = Fraction(1), [], []
    for atom, e in m:
        if atom.key.startswith("p:"):
            whole = math.floor(e)
            if abs(whole) * int(atom.key[2:]).bit_length() > MAX_BITS:
                raise TooHardError("too many digits")
            c *= Fraction(int(atom.key[2:])) ** whole
            e -= whole
        elif atom == I_ATOM and e.denominator == 1:
            c *= -1 if e % 4 in (2, 3) else 1
            e = e % 2
        elif atom.base is not None and e >= 1 and set(atom.base.den) == {ONE}:
            whole = math.floor(e)
            more.append((atom.base, whole))
            e -= whole
        if e:
            rest.append((atom, e))
    total: Poly = {frozenset(rest): c}
    for base, times in more:
        for _ in range(times):
            total = _product(total, {k: v / base.den[ONE] for k, v in base.num.items()})
    return total


def _mono_key(m: Mono) -> str:
    return "*".join(sorted(f"{a.key}^{e}" for a, e in m)) or "1"


def polynomial_number(p: Poly, at: Mapping[str, complex]) -> complex:
    total = 0j
    for m, c in p.items():
        term = complex(c.numerator / c.denominator)
        for atom, e in m:
            term *= complex(atom.number(at)) ** float(e)
        total += term
    return total


I_ATOM = Atom("i", lambda at: 1j)
PI = of_atom(Atom("pi", lambda at: math.pi))
E = of_atom(Atom("e", lambda at: math.e))
I = of_atom(I_ATOM)  # noqa: E741
INFINITY = of_atom(Atom("infinity", lambda at: 1e300))
