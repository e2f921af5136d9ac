"""The house rules that a program can check."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
CHECKED = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]
TEXTS = [
    *CHECKED,
    *(p for p in (ROOT / "docs").rglob("*.md")),
    *(p for p in ROOT.iterdir() if p.suffix in (".md", ".toml", ".yml") or p.name == "Makefile"),
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_file_is_short_enough_to_hold_one_idea() -> None:
    lines = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {file: n for file, n in lines.items() if n > 400}, "two ideas?"
    long = ", ".join(f"{file} {n}" for file, n in sorted(lines.items()) if n > 300)
    if long:
        warnings.warn(f"files of more than 300 lines: {long}", stacklevel=1)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body, "no module docstring"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=name)
def test_a_package_face_only_re_exports(path: Path) -> None:
    """Imports, constants and the module `__getattr__` of PEP 562 are all that an `__init__` holds."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            assert node.name in ("__getattr__", "__dir__"), f"defines {node.name}"
        elif isinstance(node, ast.If):
            assert ast.unparse(node.test) == "TYPE_CHECKING"
        else:
            assert isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)), ast.unparse(
                node
            )


@pytest.mark.parametrize("path", CHECKED, ids=name)
def test_annotations_are_postponed(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    futures = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    annotated = any(f.returns or any(a.annotation for a in f.args.args) for f in functions)
    assert futures or not annotated


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_no_file_names_a_place_on_somebodys_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for place in ("/work" + "/", "/root" + "/", "/home" + "/"):
        assert place not in text


def test_the_package_carries_no_large_file() -> None:
    for path in (ROOT / "src").rglob("*"):
        if path.is_file() and path.suffix not in (".pyc", ".nbi", ".nbc"):
            assert path.stat().st_size < 1_000_000, f"{name(path)} has {path.stat().st_size:,} bytes"
