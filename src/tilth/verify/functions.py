"""Logarithms and named functions of exact expressions, exact where that is possible. Reads no text."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from tilth.verify.algebra import ONE, PI, Atom, Expr, TooHardError, of_atom, opaque, rational
from tilth.verify.powers import prime_powers, sine


def logarithm(name: str, x: Expr) -> Expr:
    """The logarithm called `name` of `x`, split over factors and powers."""
    value = x.rational
    if value is not None:
        if value <= 0:
            raise TooHardError("a logarithm of a number that is not positive")
        total = rational(0)
        for prime, times in prime_powers(value):
            total = total + rational(times) * of_atom(Atom(f"{name}:{prime}", _constant(math.log(prime))))
        return total
    if name == "ln" and len(x.num) == 1 and x.den == {ONE: Fraction(1)}:
        (mono, c) = next(iter(x.num.items()))
        if c == 1 and len(mono) == 1:
            ((atom, exponent),) = mono
            if atom.key == "e":
                return rational(exponent)
    return opaque(name, [x], cmath.log)


def _constant(value: float) -> Callable[[Mapping[str, complex]], complex]:
    return lambda at: value


def function(name: str, x: Expr) -> Expr:
    """A named function of one argument; exact at rational numbers and at the usual angles."""
    value = x.rational
    if name == "abs" and value is not None:
        return rational(abs(value))
    if name in ("floor", "ceil") and value is not None:
        return rational(math.floor(value) if name == "floor" else math.ceil(value))
    if name == "factorial":
        if value is None or value.denominator != 1 or not 0 <= value <= 200:
            return opaque(name, [x], lambda a: math.gamma(a.real + 1))
        return rational(math.factorial(int(value)))
    if name in ("sec", "csc", "cot"):
        if name == "cot":
            return function("cos", x) / function("sin", x)
        return rational(1) / function("cos" if name == "sec" else "sin", x)
    if name == "tan":
        return function("sin", x) / function("cos", x)
    if name in ("sin", "cos"):
        turns = (x / PI).rational if x.num else Fraction(0)
        turns = _ratio_to_pi(x) if turns is None else turns
        if turns is not None and turns.denominator in (1, 2, 3, 4, 6):
            return sine(turns if name == "sin" else turns + Fraction(1, 2))
    known: dict[str, Callable[[complex], complex]] = {
        "sin": cmath.sin, "cos": cmath.cos, "arcsin": cmath.asin, "arccos": cmath.acos, "arctan": cmath.atan,
        "abs": lambda a: complex(abs(a)), "floor": lambda a: complex(math.floor(a.real)),
        "ceil": lambda a: complex(math.ceil(a.real)), "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh,
    }  # fmt: skip
    if name not in known:
        raise TooHardError(f"the function {name}")
    return opaque(name, [x], known[name])


def _ratio_to_pi(x: Expr) -> Fraction | None:
    pi = next(iter(PI.num))
    if set(x.num) == {pi} and set(x.den) == {ONE}:
        return x.num[pi] / x.den[ONE]
    return None
