"""Arithmetic trees: exact values, worked steps, and the skills a step needs. Knows no story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

SYMBOLS = "+-*/"


@dataclass(frozen=True, slots=True)
class Num:
    """A number that the text states."""

    value: int


@dataclass(frozen=True, slots=True)
class Op:
    """``left symbol right`` with exact integer value; division must come out even."""

    symbol: str
    left: Tree
    right: Tree

    @property
    def value(self) -> int:
        """The exact value of the whole tree."""
        return apply(self.symbol, self.left.value, self.right.value)


Tree: TypeAlias = Num | Op


def apply(symbol: str, a: int, b: int) -> int:
    """``a symbol b`` in whole numbers.

    Raises:
        ValueError: a division with a remainder or by zero, or an unknown symbol.
    """
    if symbol == "+":
        return a + b
    if symbol == "-":
        return a - b
    if symbol == "*":
        return a * b
    if symbol == "/" and b and a % b == 0:
        return a // b
    raise ValueError(f"{a} {symbol} {b} is not a whole number")


@dataclass(frozen=True, slots=True)
class Step:
    """One worked operation ``a symbol b = result`` (a corrupted rationale may hold a wrong result)."""

    symbol: str
    a: int
    b: int
    result: int

    def __str__(self) -> str:
        return f"{self.a} {self.symbol} {self.b} = {self.result}"

    @property
    def skill(self) -> str:
        """What this operation asks for: ``add``, ``add-carry``, ``sub``, ``sub-borrow``, ``mul`` or ``div``."""
        if self.symbol == "+":
            return "add-carry" if carries(self.a, self.b) else "add"
        if self.symbol == "-":
            return "sub-borrow" if borrows(self.a, self.b) else "sub"
        return "mul" if self.symbol == "*" else "div"


def steps(tree: Tree) -> list[Step]:
    """The operations in the order a person works them: operands first, left before right."""
    if isinstance(tree, Num):
        return []
    return [
        *steps(tree.left),
        *steps(tree.right),
        Step(tree.symbol, tree.left.value, tree.right.value, tree.value),
    ]


def carries(a: int, b: int) -> bool:
    """Whether adding column by column carries at least once."""
    while a or b:
        if a % 10 + b % 10 > 9:
            return True
        a, b = a // 10, b // 10
    return False


def borrows(a: int, b: int) -> bool:
    """Whether subtracting column by column borrows at least once (`a` not below `b`)."""
    while b:
        if a % 10 < b % 10:
            return True
        a, b = a // 10, b // 10
    return False


def rationale(worked: list[Step], answer: int) -> str:
    """One line a step, and the last line ``#### answer``."""
    return "\n".join([*map(str, worked), f"#### {answer}"])
