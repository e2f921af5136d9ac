"""What several code methods share: the program in a reply, and its docstring examples run as tests.

Knows no method and writes no rows.
"""

from __future__ import annotations

import ast
import functools

from tilth.rows.verdict import Verdict
from tilth.verify.assemble import UnreadyError, source_of
from tilth.verify.code import check_code, check_runs
from tilth.verify.doctests import doctest_asserts
from tilth.verify.parse import fenced_blocks

PYTHON = ("", "python", "py", "python3")
"""Languages of a code block that are taken for Python; the empty one is a block without a language."""


def program_in(reply: str, entry_point: str | None = None) -> str | None:
    """The Python program in a reply: of its closed code blocks, or the whole text when there are none.

    Args:
        reply: what a model wrote.
        entry_point: a function that it should define; the block that does is preferred.

    Returns:
        Source that parses, or None. A block that was left open is cut off and never taken.
    """
    blocks = fenced_blocks(reply)
    if blocks and not any(b.closed and b.lang in PYTHON for b in blocks):
        return None
    try:
        found = source_of(reply, "", entry_point)[0]
    except UnreadyError:
        return None
    return found if found.strip() else None


def check_examples(program: str) -> Verdict:
    """Run a program against the examples in its own docstrings; without examples, only that it loads.

    Raises:
        SandboxError: there is no sandbox.
    """
    examples = doctest_asserts(program)
    return check_code({"completion": program, "tests": examples}) if examples else check_runs(program)


@functools.cache
def languages(names: str) -> frozenset[str]:
    """Languages named in a setting, in lower case."""
    return frozenset(name.strip().lower() for name in names.replace(",", " ").split())


def asserts_in(reply: str, entry_point: str | None = None) -> list[str]:
    """The assert statements in a reply, each once, in order; those of its code blocks when it has any.

    Args:
        reply: what a model wrote; lines that do not parse are passed over.
        entry_point: only asserts that call this function count.
    """
    blocks = [b.text for b in fenced_blocks(reply) if b.closed and b.lang in PYTHON]
    found: list[str] = []
    for text in blocks or [reply]:
        tree = _tree(text)
        whole = [tree] if tree else [t for line in text.splitlines() if (t := _tree(line.strip()))]
        found += [ast.unparse(n) for t in whole for n in ast.walk(t) if isinstance(n, ast.Assert)]
    return [t for t in dict.fromkeys(found) if entry_point is None or _calls(t, entry_point)]


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _calls(statement: str, name: str) -> bool:
    calls = (n for n in ast.walk(ast.parse(statement)) if isinstance(n, ast.Call))
    return any(isinstance(c.func, ast.Name) and c.func.id == name for c in calls)
