"""Mutants differ from their program in one place, every operator works, and text and names stay."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.verify.mutate import mutants, stub

PROGRAM = '''"""Counts."""
import math

def helper(x):
    return x * 2

def count(items: list[int], least: int = 1) -> int:
    """How many are at least 7."""
    total = 0
    for item in items:
        if item >= least and item % 2 == 0:
            total += 1
    return total

if __name__ == "__main__":
    print(count([1, 2]) > 0)
'''


@pytest.mark.parametrize(
    ("line", "operator", "mutated"),
    [
        ("return a < b", "compare", "return a <= b"),
        ("return a == b", "compare", "return a != b"),
        ("return a in b", "compare", "return a not in b"),
        ("return a + b", "arithmetic", "return a - b"),
        ("return a // b", "arithmetic", "return a * b"),
        ("return a and b", "logic", "return a or b"),
        ("return a if b else 3", "negate", "return a if not b else 3"),
        ("return [x for x in a if x]", "negate", "return [x for x in a if not x]"),
        ("return a[0]", "number", "return a[1]"),
        ("return a.b", "return", "return None"),
        ("return True", "return", "return False"),
    ],
)
def test_each_operator_makes_its_fault(line: str, operator: str, mutated: str) -> None:
    found = mutants(f"def f(a, b):\n    {line}\n", "f")
    assert (operator, f"def f(a, b):\n    {mutated}") in [(m.operator, m.source) for m in found]


def test_every_mutant_is_another_program_and_none_touches_texts_annotations_imports_or_the_main_block() -> None:
    found = mutants(PROGRAM, "count")
    sources = [m.source for m in found]
    assert len(set(sources)) == len(sources) >= 10 and ast.unparse(ast.parse(PROGRAM)) not in sources
    for source in sources:
        ast.parse(source)
        assert "How many are at least 7." in source and "import math" in source and "items: list[int]" in source
        assert "print(count([1, 2]) > 0)" in source and "def count(" in source
    assert {m.operator for m in found} == {"negate", "compare", "arithmetic", "logic", "number", "return"}
    assert [m.line for m in found] == sorted(m.line for m in found)


@given(st.integers(1, 30))
def test_a_limit_takes_evenly_spaced_mutants_of_the_whole_list(limit: int) -> None:
    whole, some = mutants(PROGRAM, "count"), mutants(PROGRAM, "count", limit)
    assert len(some) == min(limit, len(whole)) and [m for m in whole if m in some] == some


@pytest.mark.parametrize("source", ["", "def g(): return 1", "def f(:", "x = '''", "def f(): pass"])
def test_what_has_no_entry_point_or_no_place_for_a_fault_has_no_mutants(source: str) -> None:
    assert mutants(source, "f") == []


def test_a_stub_has_an_empty_body_and_keeps_the_rest() -> None:
    text = stub(PROGRAM, "count")
    assert text is not None and "total" not in text and "def helper(x):\n    return x * 2" in text
    assert stub(PROGRAM, "other") is None and stub("def f(:", "f") is None


def test_values_that_are_not_numbers_are_not_off_by_one() -> None:
    assert not [m for m in mutants("def f():\n    return ('a', None, True)\n", "f") if m.operator == "number"]
