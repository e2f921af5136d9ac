"""Python source texts: whether one compiles, and what it binds, uses and imports. Nothing is executed here.

Syntax trees are let go of at once: keeping them makes every collection of garbage in this process dearer.
"""

from __future__ import annotations

import ast
import marshal
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tilth.verify.sandbox.plain import unbound

_TOO_MUCH = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a source text says of names.

    Args:
        bound: names that it binds anywhere.
        loaded: names that it reads anywhere.
        called: names that it calls.
        defined: functions and classes at its top level, in order.
        functions: functions among them.
        imports: name to import line, for what it imports from the standard library at its top level.
        asserts: whether it may fail: an assert, a raise, a class, a method called ``assert...``.
        wants: see `plain.unbound`.
    """

    bound: frozenset[str]
    loaded: frozenset[str]
    called: frozenset[str]
    defined: tuple[str, ...]
    functions: tuple[str, ...]
    imports: Mapping[str, str]
    asserts: bool
    wants: frozenset[str] | None


@lru_cache(maxsize=64)
def compiled(source: str) -> bytes | None:
    """A text's byte code, marshalled, or None when it is not Python. Stricter than `ast.parse`, which lets a `return`
    outside a function through."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return marshal.dumps(compile(source, "<program>", "exec", dont_inherit=True, optimize=0))
    except _TOO_MUCH:
        return None


@lru_cache(maxsize=64)
def facts(source: str) -> Facts | None:
    """What a text says of names, or None when it is not Python."""
    if compiled(source) is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except _TOO_MUCH:
        return None
    return _facts(tree)


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _facts(tree: ast.Module) -> Facts:
    nodes, bound, loaded, called = _walked(tree), set[str](), set[str](), set[str]()
    asserts = False
    for node in nodes:
        kind = type(node)
        if kind is ast.Name:
            (loaded if type(node.ctx) is ast.Load else bound).add(node.id)
        elif kind is ast.Call:
            if type(node.func) is ast.Name:
                called.add(node.func.id)
            asserts |= type(node.func) is ast.Attribute and node.func.attr.startswith("assert")
        elif kind is ast.arg:
            bound.add(node.arg)
        elif kind is ast.Assert or kind is ast.Raise:
            asserts = True
        elif kind in _DEFINITIONS:
            bound.add(node.name)
            asserts |= kind is ast.ClassDef
        elif kind is ast.alias:
            bound.add((node.asname or node.name).split(".")[0])
        elif kind is ast.ExceptHandler and node.name:
            bound.add(node.name)
    defined = tuple(n.name for n in tree.body if isinstance(n, _DEFINITIONS))
    functions = tuple(n.name for n in tree.body if isinstance(n, _DEFINITIONS) and not isinstance(n, ast.ClassDef))
    return Facts(
        frozenset(bound), frozenset(loaded), frozenset(called), defined, functions, _imports(tree), asserts,
        unbound(nodes),
    )  # fmt: skip


def _walked(tree: ast.AST) -> list[Any]:
    """All nodes, in the order of `ast.walk`, which takes twice as long."""
    found: list[Any] = [tree]
    for node in found:
        for value in node.__dict__.values():
            if isinstance(value, ast.AST):
                found.append(value)
            elif type(value) is list:
                found += [item for item in value if isinstance(item, ast.AST)]
    return found


def _imports(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in sys.stdlib_module_names:
                    name = alias.asname or alias.name.split(".")[0]
                    found[name] = f"import {alias.name} as {alias.asname}" if alias.asname else f"import {alias.name}"
        elif (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").split(".")[0] in sys.stdlib_module_names
        ):
            for alias in node.names:
                name = alias.asname or alias.name
                found[name] = f"from {node.module} import {alias.name} as {name}"
    return found
