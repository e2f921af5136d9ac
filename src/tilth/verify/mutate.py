"""Mutants: small faults put into a right program, so that tests can be judged by how many of them they notice.

The operators are the classical ones (DeMillo, Lipton and Sayward 1978, "Hints on Test Data Selection"): a condition negated,
a comparison moved by one, an operator exchanged, a number off by one, a value not returned. Mutants are source texts;
nothing is executed here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A program with one fault.

    Args:
        operator: ``negate``, ``compare``, ``arithmetic``, ``logic``, ``number``, ``return``.
        line: where, from 1.
        source: the faulty program.
    """

    operator: str
    line: int
    source: str


def stub(source: str, entry_point: str) -> str | None:
    """The program with an empty body in `entry_point`; None when it does not define that function at its top level."""
    tree = _parsed(source)
    function = _function(tree, entry_point) if tree else None
    if tree is None or function is None:
        return None
    function.body = [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree))


def mutants(source: str, entry_point: str | None = None, limit: int | None = None) -> list[Mutant]:
    """All mutants of a program, in the order of their places; what stands under ``if __name__`` is left alone.

    Args:
        source: a right program.
        entry_point: a function that must stand at its top level; None asks for none.
        limit: how many at most; then they are taken evenly spaced over the program.

    Returns:
        Different programs, none of which reads like the original. Some may still behave like it (equivalent mutants).
    """
    tree = _parsed(source)
    if tree is None or (entry_point and _function(tree, entry_point) is None):
        return []
    original, seen, found = ast.unparse(tree), set[str](), list[Mutant]()
    for node in list(_walk(tree)):
        for operator, change in _OPERATORS.items():
            before = dict(node.__dict__)
            if not change(node):
                continue
            text = ast.unparse(ast.fix_missing_locations(tree))
            node.__dict__.update(before)
            if text != original and text not in seen:
                seen.add(text)
                found.append(Mutant(operator, getattr(node, "lineno", 0), text))
    if limit is None or len(found) <= limit:
        return found
    return [found[i * len(found) // limit] for i in range(limit)]


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _function(tree: ast.Module, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return next((n for n in reversed(tree.body) if isinstance(n, kinds) and n.name == name), None)


def _walk(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that may be changed, in the order of the text: no imports, annotations, docstrings, main block."""
    for statement in tree.body:
        if not isinstance(statement, ast.Import | ast.ImportFrom) and not _is_main(statement):
            yield from _nodes(statement)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not (
                isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            ):
                yield from _nodes(child)


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test))


def _negate(node: ast.AST) -> bool:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.comprehension) and node.ifs:
        node.ifs = [ast.UnaryOp(ast.Not(), node.ifs[0]), *node.ifs[1:]]
    else:
        return False
    return True


def _compare(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or type(node.ops[0]) not in COMPARISONS:
        return False
    node.ops = [COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
    return True


def _arithmetic(node: ast.AST) -> bool:
    if not isinstance(node, ast.BinOp | ast.AugAssign) or type(node.op) not in ARITHMETIC:
        return False
    if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
        return False
    node.op = ARITHMETIC[type(node.op)]()
    return True


def _logic(node: ast.AST) -> bool:
    if not isinstance(node, ast.BoolOp):
        return False
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return True


def _number(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or type(node.value) not in (int, float):
        return False
    node.value = node.value + 1  # type: ignore[operator]
    return True


def _return(node: ast.AST) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    if isinstance(node.value, ast.Constant):
        if not isinstance(node.value.value, bool):
            return False
        node.value = ast.Constant(not node.value.value)
        return True
    node.value = ast.Constant(None)
    return True


_OPERATORS: dict[str, Callable[[ast.AST], bool]] = {
    "negate": _negate, "compare": _compare, "arithmetic": _arithmetic, "logic": _logic, "number": _number,
    "return": _return,
}  # fmt: skip
