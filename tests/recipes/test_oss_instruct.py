"""oss-instruct: snippets stay in their file, headings are asked for strictly, solutions run, nothing repeats."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine import run_recipe
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.code.oss_instruct import MAX_LINES, snippet


@given(st.lists(st.sampled_from(["a = 1", "", "  ", "def f():", "    return 2"]), max_size=40), st.integers())
def test_a_snippet_is_a_stretch_of_its_file_with_something_in_it(lines: list[str], seed: int) -> None:
    found = snippet("\n".join(lines), random.Random(seed))
    if found is not None:
        start, text = found
        taken = text.splitlines() or [""]
        assert 1 <= len(taken) <= MAX_LINES and lines[start : start + len(taken)] == taken and text.strip()


@pytest.mark.parametrize("text", ["", "\n", "\n\n \n"])
def test_a_file_with_nothing_in_it_gives_no_snippet(text: str) -> None:
    assert snippet(text, random.Random(0)) is None


def writer(text: str) -> FunctionModel:
    return FunctionModel(lambda r, d: text, "writer")


def good(n: int) -> str:
    code = f"def add(x):\n    return x + {n}\n\nprint(add(1))"
    return f"[Problem]\nAdd {n} to a number.\n\n[Solution]\n```python\n{code}\n```"


FILES = [{"text": f"value_{i} = {i}\nprint(value_{i})", "path": f"f{i}.py"} for i in range(8)]


def run(model: object, **settings: object) -> object:
    return run_recipe(load_recipe("oss-instruct"), FILES, model, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Solution]\nx\n[Problem]\ny", "parse:unknown:headings"),
        ("[Problem]\n[Solution]\n```python\nx=1\n```", "parse:unknown:headings"),
        ("no headings at all", "parse:unknown:headings"),
    ],
)
def test_headings_must_be_there_in_order_and_with_text(text: str, reason: str) -> None:
    assert set(run(writer(text), execute=False).numbers.dropped) == {reason}  # type: ignore[attr-defined]


def test_a_reply_cut_by_length_is_never_trusted() -> None:
    found = run(FunctionModel(lambda r, d: Reply(good(1), finish_reason="length"), "cut"), execute=False)
    assert found.numbers.dropped == {"reply:cut": 8}  # type: ignore[attr-defined]


def test_what_repeats_a_problem_or_solution_is_dropped_with_the_first_reason() -> None:
    found = run(writer(good(1)), execute=False)
    assert len(found.kept) == 1 and found.numbers.dropped == {"duplicate:problem": 7}  # type: ignore[attr-defined]


def test_a_planted_benchmark_text_is_caught(tmp_path: Path) -> None:
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"prompt": "Return the sum of all even numbers below the given limit, please."}) + "\n")
    planted = good(1).replace(
        "Add 1 to a number.", "RETURN the sum of all even numbers below the given limit, please. Go!"
    )
    found = run(writer(planted), execute=False, benchmarks=str(bench))
    assert set(found.numbers.dropped) == {"decontaminate:substring:bench.jsonl", "duplicate:problem"} and not found.kept  # type: ignore[attr-defined]


@pytest.mark.sandbox
def test_solutions_that_raise_are_dropped_and_the_rest_are_kept() -> None:
    def answer(request: Request, draw: int) -> str:
        n = int(hash_uniform(request.text) * 10**6)
        return good(n).replace("print(add(1))", "print(nothing)") if n % 2 else good(n)

    found = run(FunctionModel(answer, "half-right"))
    assert set(found.numbers.dropped) <= {"code:fail:NameError"} and found.kept  # type: ignore[attr-defined]
    assert all("nothing" not in r["completion"] for r in found.kept)  # type: ignore[attr-defined]
    assert found.numbers.candidates == 8  # type: ignore[attr-defined]


def test_hostile_replies_lose_nothing() -> None:
    found = run(open_model("hostile"), execute=False)
    n = found.numbers  # type: ignore[attr-defined]
    assert not found.failed and n.candidates == n.kept + sum(n.dropped.values()) == 8  # type: ignore[attr-defined]
