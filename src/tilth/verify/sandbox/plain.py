"""Tests that cannot leave anything behind: a small part of Python, by name.

A tester that runs only such tests can serve one program after the other; all others get a tester of their own, which
ends with them. Whatever is not listed here is not plain: attributes but for a few methods of built-in types, names with an
underscore in front, classes, decorators, most of the builtins. So there is no way from a test to a frame, a module's
dictionary or anything else that outlives it. Used on both sides of the sandbox.
"""

from __future__ import annotations

import builtins
import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

NAMES = frozenset(
    """abs all any bin bool bytes chr complex dict divmod enumerate filter float frozenset hash hex int isinstance iter
    len list map max min next oct ord pow range repr reversed round set slice sorted str sum tuple zip
    ArithmeticError AssertionError AttributeError Exception IndexError KeyError LookupError NameError
    NotImplementedError OverflowError RecursionError RuntimeError StopIteration TypeError ValueError
    ZeroDivisionError""".split()
)
METHODS = frozenset(
    """add append capitalize clear copy count difference discard endswith extend find get index insert intersection
    is_integer isalnum isalpha isdigit islower isspace issubset issuperset isupper items join keys lower lstrip pop
    remove replace reverse rfind rstrip setdefault sort split splitlines startswith strip symmetric_difference title
    union update upper values zfill""".split()
)
MATHS = frozenset(name for name in dir(math) if not name.startswith("_"))
_NODES = frozenset(
    """Module Expr Assign AugAssign AnnAssign Assert Raise If For While Break Continue Pass Return FunctionDef Lambda
    arguments arg Try ExceptHandler Constant Name Attribute Call keyword Starred Subscript Slice List Tuple Set Dict
    ListComp SetComp DictComp GeneratorExp comprehension Compare BoolOp BinOp UnaryOp IfExp NamedExpr JoinedStr
    FormattedValue Import ImportFrom alias Load Store And Or Not UAdd USub Invert Add Sub Mult Div Mod Pow LShift
    RShift BitOr BitXor BitAnd FloorDiv Eq NotEq Lt LtE Gt GtE Is IsNot In NotIn Delete Del""".split()
)


def is_plain(wants: frozenset[str] | None, names: Iterable[str]) -> bool:
    """Whether running tests leaves nothing behind.

    Args:
        wants: what `unbound` said of them.
        names: what they get from elsewhere.
    """
    given = frozenset(names)
    return wants is not None and wants <= given | NAMES and not any(name.startswith("_") for name in given)


def unbound(nodes: Iterable[Any]) -> frozenset[str] | None:
    """The names that tests use and do not bind; None when they are not plain whatever these are.

    Args:
        nodes: of their syntax tree, all of them.
    """
    import ast

    bound, used = set[str](), set[str]()
    for node in nodes:
        kind = type(node)
        if kind.__name__ not in _NODES:
            return None
        if kind is ast.Name:
            (used if type(node.ctx) is ast.Load else bound).add(node.id)
        elif kind is ast.Attribute:
            if type(node.ctx) is not ast.Load or (node.attr not in METHODS and node.attr not in MATHS):
                return None
        elif kind is ast.FunctionDef:
            if node.decorator_list:
                return None
            bound.add(node.name)
        elif kind is ast.arg:
            bound.add(node.arg)
        elif kind is ast.ExceptHandler:
            bound |= {node.name} if node.name else set()
        elif kind is ast.Import or kind is ast.ImportFrom:
            if kind is ast.Import and any(a.name != "math" for a in node.names):
                return None
            if kind is ast.ImportFrom and (
                node.level or node.module != "math" or any(a.name not in MATHS for a in node.names)
            ):
                return None
            bound.update(a.asname or a.name for a in node.names)
    if any(name.startswith("_") and name != "_" for name in bound | used):
        return None
    return frozenset(used - bound)


def plain_builtins() -> dict[str, Any]:
    """What plain tests find as their builtins."""
    found: dict[str, Any] = {name: getattr(builtins, name) for name in NAMES}
    found["__import__"] = _import
    return found


def _import(name: str, *context: Any) -> Any:
    if name != "math":
        raise ImportError(name)
    return math
