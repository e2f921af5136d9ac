"""Examples in docstrings as tests: each ``>>> call`` with its result becomes an assert.

What prints, raises or shows no literal result is left out: it cannot be compared as data. Nothing is executed here.
"""

from __future__ import annotations

import ast
import doctest


def doctest_asserts(source: str) -> list[str]:
    """Test statements from the docstrings of a program.

    Args:
        source: Python source.

    Returns:
        One statement an example, in order: asserts, and what stands between them (assignments, calls without a result).
        Empty when the source does not parse, or no example has a result that can be compared.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found += _statements(ast.get_docstring(node) or "")
    return found if any(line.startswith("assert ") for line in found) else []


def _statements(docstring: str) -> list[str]:
    try:
        examples = doctest.DocTestParser().get_examples(docstring)
    except ValueError:
        return []
    return [statement for example in examples if (statement := _statement(example))]


def _statement(example: doctest.Example) -> str | None:
    source, want = example.source.strip(), example.want.strip()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    prints = any(isinstance(n, ast.Name) and n.id == "print" for n in ast.walk(tree))
    if example.exc_msg is not None or prints:
        return None
    if not want:
        return source
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return None
    try:
        ast.literal_eval(want)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return f"assert repr({source}) == {want!r}" if "..." not in want else None
    return f"assert ({source}) == ({want})"
