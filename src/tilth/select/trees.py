"""How alike two Python programs are whatever their names: edit distance on syntax trees.

Trees are compared as the sequences of their nodes, names that a program binds itself being numbered in order of appearance,
docstrings and annotations left out. Knows no row and runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from tilth.select.novelty import lcs_length, rouge_f

_LEFT_OUT = frozenset({"annotation", "returns", "type_comment", "ctx", "kind", "type_params"})


def tree_tokens(source: str) -> list[str] | None:
    """A program as the sequence of its syntax nodes in the order of the text.

    Args:
        source: Python source.

    Returns:
        Tokens, or None when the source does not parse. Programs that differ in the names they bind, in white space,
        comments, docstrings or annotations have the same tokens.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    bound = _bound(tree)
    numbers: dict[str, str] = {}
    found: list[str] = []

    def name(text: str) -> str:
        return numbers.setdefault(text, f"v{len(numbers)}") if text in bound else text

    def visit(node: ast.AST) -> None:
        found.append(type(node).__name__)
        for field, value in ast.iter_fields(node):
            if field in _LEFT_OUT:
                continue
            if field == "body" and isinstance(value, list) and _docstring(value):
                value = value[1:]
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, ast.AST):
                    visit(item)
                elif item is not None:
                    found.append(name(item) if isinstance(item, str) and field in ("id", "arg", "name") else repr(item))

    try:
        visit(tree)
    except RecursionError:
        return None
    return found


def match_rate(a: Sequence[str], b: Sequence[str]) -> float:
    """How much of two trees matches: 1 - d / (|a| + |b|), d the edits (insertions and deletions) that turn one into the other.

    Args:
        a, b: tokens of two programs.

    Returns:
        1 for equal trees, 0 for trees without a token in common.
    """
    return rouge_f(lcs_length(a, b), len(a), len(b))


def closest(tokens: Sequence[str], others: Sequence[Sequence[str]], least: float) -> tuple[float, int] | None:
    """The most alike of some programs.

    Args:
        tokens: a program's.
        others: those of the others.
        least: the smallest match rate that counts.

    Returns:
        Match rate and index of the first most alike one, or None when none reaches `least`.
    """
    best: tuple[float, int] | None = None
    for index, other in enumerate(others):
        bound = rouge_f(min(len(tokens), len(other)), len(tokens), len(other))
        if bound < (least if best is None else best[0]):
            continue
        rate = match_rate(tokens, other)
        if rate >= least and (best is None or rate > best[0]):
            best = rate, index
    return best


def _bound(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def _docstring(body: list[ast.stmt]) -> bool:
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
