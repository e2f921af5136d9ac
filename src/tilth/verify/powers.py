"""Powers and roots in `algebra`: of primes, of monomials, of i, and the sines of the usual angles. Reads no text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from tilth.verify.algebra import (
    I_ATOM,
    MAX_BITS,
    MAX_POWER,
    ONE,
    PI,
    Atom,
    E,
    Expr,
    I,
    TooHardError,
    inverse,
    joined,
    normal,
    of_atom,
    opaque,
    rational,
)

TRIAL = 100_000
"""Numbers are factored by trial up to here."""


def power(base: Expr, exponent: Expr) -> Expr:
    """`base` to the power of `exponent`."""
    value = exponent.rational
    if value is not None:
        return _rational_power(base, value)
    if base == E and set(exponent.num) == set((I * PI).num) and set(exponent.den) == {ONE}:
        turns = next(iter(exponent.num.values())) / exponent.den[ONE]
        if turns.denominator in (1, 2, 3, 4, 6):
            return sine(turns + Fraction(1, 2)) + I * sine(turns)
    if len(exponent.den) != 1 or not base.num:
        return opaque("pow", [base, exponent], lambda a, b: a**b)
    (den_mono, den_c), total = next(iter(exponent.den.items())), rational(1)
    for mono, c in exponent.num.items():
        part = joined(mono, inverse(den_mono))
        if part == ONE:
            total = total * _rational_power(base, c / den_c)
            continue
        for factor, times in _factors(base):
            inner = Expr({part: Fraction(1)}, {ONE: Fraction(1)})
            # Independence is known of powers by variables only: e to a logarithm is a number like any other.
            sure = all(a.key.startswith("v:") for a, _ in part)
            atom = Atom(f"[{factor.key}]^[{inner.key}]", _powered(factor, inner), sure=sure)
            total = total * of_atom(atom, c / den_c * times)
    return total


def _powered(base: Expr, exponent: Expr) -> Callable[[Mapping[str, complex]], complex]:
    return lambda at: base.number(at) ** exponent.number(at)


def _factors(base: Expr) -> list[tuple[Expr, int]]:
    value = base.rational
    if value is None or value <= 0:
        return [(base, 1)]
    return [(rational(p), n) for p, n in prime_powers(value)]


def _rational_power(base: Expr, exponent: Fraction) -> Expr:
    if exponent.denominator == 1:
        n = abs(exponent.numerator)
        if n > MAX_POWER and base.rational is None and len(base.num) + len(base.den) > 2:
            raise TooHardError("a large power")
        value = base.rational
        if value is not None:
            if n * max(value.numerator.bit_length(), value.denominator.bit_length(), 1) > MAX_BITS:
                raise TooHardError("a large power")
            if value == 0 and exponent <= 0:
                raise TooHardError("zero to the power of zero or less")
            return rational(value**exponent.numerator)
        result = rational(1)
        if len(base.num) == 1 and len(base.den) == 1:
            (m, c), (d, k) = next(iter(base.num.items())), next(iter(base.den.items()))
            if n * max(c.numerator.bit_length(), c.denominator.bit_length(), 1) > MAX_BITS:
                raise TooHardError("a large power")
            raised = frozenset((a, e * n) for a, e in joined(m, inverse(d)))
            result = Expr({mm: cc * (c / k) ** n for mm, cc in normal(raised).items()}, {ONE: Fraction(1)})
        else:
            for _ in range(n):
                result = result * base
        return result if exponent > 0 else rational(1) / result
    if len(base.num) == 1 and len(base.den) == 1:
        return _root_of_monomial(base, exponent)
    atom = Atom(f"root({base.key})", base.number, base, sure=False)
    whole = exponent.numerator // exponent.denominator
    rest = of_atom(atom, exponent - whole)
    return rest * _rational_power(base, Fraction(whole)) if whole else rest


def _root_of_monomial(base: Expr, exponent: Fraction) -> Expr:
    (m, c), (d, k) = next(iter(base.num.items())), next(iter(base.den.items()))
    value, result = c / k, rational(1)
    if value < 0:
        if exponent.denominator == 2:
            result = _rational_power(I, Fraction(exponent.numerator))
        elif exponent.denominator % 2:
            result = rational(-1 if exponent.numerator % 2 else 1)
        else:
            raise TooHardError("an even root of a negative number")
        value = -value
    for prime, times in prime_powers(value):
        result = result * of_atom(_prime_atom(prime), exponent * times)
    for atom, e in joined(m, inverse(d)):
        if atom == I_ATOM:
            raise TooHardError("a root of an imaginary number")
        result = result * of_atom(atom, e * exponent)
    return result


def _prime_atom(prime: int) -> Atom:
    return Atom(f"p:{prime}", lambda at: float(prime))


def prime_powers(value: Fraction) -> list[tuple[int, int]]:
    """Primes of a positive fraction with their exponents, negative below the line."""
    found: dict[int, int] = {}
    for n, sign in ((value.numerator, 1), (value.denominator, -1)):
        p = 2
        while p * p <= n and p < TRIAL:
            while n % p == 0:
                found[p] = found.get(p, 0) + sign
                n //= p
            p += 1 if p == 2 else 2
        if n > 1:
            root = math.isqrt(n)
            if root * root == n:
                found[root] = found.get(root, 0) + 2 * sign
            else:
                if n >= TRIAL**2:
                    raise TooHardError("a large number that does not factor")
                found[n] = found.get(n, 0) + sign
    return sorted(found.items())


def sine(turns: Fraction) -> Expr:
    """The sine of `turns` times pi."""
    turns %= 2
    sign = 1 if turns <= 1 else -1
    turns = turns % 1
    turns = min(turns, 1 - turns)
    squared = {Fraction(0): 0, Fraction(1, 6): 1, Fraction(1, 4): 2, Fraction(1, 3): 3, Fraction(1, 2): 4}[turns]
    if not squared:
        return rational(0)
    return rational(Fraction(sign, 2)) * _rational_power(rational(squared), Fraction(1, 2))
