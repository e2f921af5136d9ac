"""phi-exercises: exercises come apart into prompt and body, run on their examples, and mirror neither each other nor a test."""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_key, hash_uniform
from tilth.recipes.code.phi_exercises import VALUES, VERBS, benchmark_trees, exercise_in, phi_exercises
from tilth.select.trees import closest, tree_tokens

TOPICS = [{"topic": t} for t in ("birds", "trains", "cakes")]
HEAD = 'def count_birds(xs):\n    """Counts.\n\n    >>> count_birds([1, 2])\n    2\n    """\n'


def teacher(wrong: float = 0.0, name: str = "{verb}_{n}") -> FunctionModel:
    """Adds a different number each time, with examples; wrong bodies at a known rate."""

    def answer(request: Request, draw: int) -> str:
        verb = re.search(r"begins with (\w+)_", request.text)[1]  # type: ignore[index]
        key = hash_key(request.text, draw)
        n = int.from_bytes(key[:3], "big") + 2
        value = n + 1 if hash_uniform("wrong", key.hex()) < wrong else n
        called = name.format(verb=verb, n=n)
        return f'```python\ndef {called}(x):\n    """Adds {n}.\n\n    >>> {called}(1)\n    {n + 1}\n    """\n    return x + {value}\n```'

    return FunctionModel(answer, f"teacher{wrong}{name}")


def run(model: object = None, **settings: object) -> Harvested:
    return run_recipe(phi_exercises, TOPICS, model or teacher(), **{"each": 8, "execute": False, **settings})  # type: ignore[arg-type]


def test_prompt_and_completion_together_are_the_program() -> None:
    for row in run().kept:
        assert row["prompt"].rstrip().endswith('"""') and row["completion"].startswith("    return x + ")
        compile(row["prompt"] + row["completion"], "<row>", "exec")
        assert row["tests"] == [f"assert ({row['entry_point']}(1)) == ({int(row['completion'].split()[-1]) + 1})"]


def test_verbs_and_values_are_spread_evenly() -> None:
    found = run(each=32)
    rows = [*found.kept, *(r for r, _ in found.dropped)]
    assert Counter(r["verb"] for r in rows) == dict.fromkeys(VERBS, 8) and Counter(
        r["values"] for r in rows
    ) == dict.fromkeys(VALUES, 12)


@pytest.mark.sandbox
def test_a_body_that_contradicts_its_examples_is_dropped() -> None:
    found = run(teacher(wrong=0.4), execute=True)
    assert found.numbers.dropped["code:fail:assertion"] + len(found.kept) == 24
    assert all(r.verdicts[0].passed for r in found.kept)


def test_the_same_program_under_other_names_is_a_duplicate() -> None:
    def answer(request: Request, draw: int) -> str:
        verb = re.search(r"begins with (\w+)_", request.text)[1]  # type: ignore[index]
        return f'```python\ndef {verb}_a({verb}):\n    """Adds.\n\n    >>> {verb}_a(1)\n    2\n    """\n    return {verb} + 1\n```'

    found = run(FunctionModel(answer))
    dropped = found.numbers.dropped
    assert dropped["duplicate:tree"] + len(found.kept) == 24 and len(found.kept) == 1


def test_a_renamed_benchmark_solution_is_caught_by_its_tree(tmp_path: Path) -> None:
    solution = (
        "    total = 0\n    for item in items:\n        if item > 0:\n            total += item\n    return total\n"
    )
    bench = {"prompt": "def positive_sum(items):\n", "canonical_solution": solution}
    (tmp_path / "bench.jsonl").write_text(json.dumps(bench) + "\n")
    copied = solution.replace("total", "acc").replace("items", "given").replace("item", "one")

    def answer(request: Request, draw: int) -> str:
        verb = re.search(r"begins with (\w+)_", request.text)[1]  # type: ignore[index]
        return (
            f'```python\ndef {verb}_all(given):\n    """Sums.\n\n    >>> {verb}_all([1])\n    1\n    """\n{copied}```'
        )

    caught = run(FunctionModel(answer), benchmarks=str(tmp_path / "bench.jsonl"))
    assert caught.numbers.dropped == {"decontaminate:tree:1.00": 24}
    assert run(FunctionModel(answer)).kept


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (HEAD + "    return len(xs)\n", None),
        ("import math\n\n" + HEAD + "    return len(xs)\n", None),
        (HEAD, "body:empty"),
        (HEAD + "    pass\n", "body:empty"),
        ('def count_birds(xs):\n    """Counts."""\n    return 1\n', "docstring:no-examples"),
        ("def count_birds(xs):\n    return len(xs)\n", "docstring:none"),
        (HEAD.replace("count_", "find_") + "    return 1\n", "name:not-as-asked"),
        ("def count_birds(xs:\n    return 1", "parse:unknown:no-program"),
    ],
)
def test_each_form_that_is_no_exercise_has_its_reason(body: str, reason: str | None) -> None:
    assert exercise_in(f"```python\n{body}```", "count")[1] == reason


def test_hostile_and_cut_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run(open_model("hostile")).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 24
    cut = FunctionModel(lambda r, d: Reply(HEAD, finish_reason="length"))
    assert run(cut).numbers.dropped == {"reply:cut": 24}
    journal, model = Journal(":memory:"), teacher()
    first = run(model, journal=journal)
    sent = model.sent
    again = run(model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]


class Renamed(ast.NodeTransformer):
    """Every name that a program binds, with a letter in front."""

    def __init__(self, bound: set[str]) -> None:
        self.bound = bound

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("id", "arg", "name"):
            if getattr(node, field, None) in self.bound:
                setattr(node, field, f"z{getattr(node, field)}")
        return super().generic_visit(node)


def test_every_humaneval_solution_is_found_again_under_other_names(data_dir: Path) -> None:
    path = data_dir / "humaneval" / "HumanEval.jsonl.gz"
    trees = benchmark_trees(str(path))
    assert len(trees) == 164
    with gzip.open(path, "rt") as file:
        for place, row in enumerate(map(json.loads, file)):
            tree = ast.parse(row["prompt"] + row["canonical_solution"])
            bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
            bound |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
            tokens = tree_tokens(ast.unparse(Renamed(bound).visit(tree)))
            assert tokens is not None and closest(tokens, trees, 0.95) == (1.0, place), row["task_id"]
