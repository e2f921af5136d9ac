"""wizardcoder: misleading code really fails the tests, answers run, bounds on complexity are rare, survivors go on."""

from __future__ import annotations

from collections import Counter

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes.code.wizardcoder import OPERATORS, wizardcoder

GOOD = "```python\ndef double(x):\n    return 2 * x\n```"
BAD = "```python\ndef double(x):\n    return x * x\n```"
TASK = {"instruction": "Write double(x), which returns twice x.", "output": GOOD, "entry_point": "double"}
TESTED = {**TASK, "tests": ["assert double(3) == 6", "assert double(0) == 0"]}
SEEDS = [{"instruction": f"Write a function f{n} that adds {n} to a number."} for n in range(40)]
MARK = "#Rewritten#"


def evolver(distractor: str = BAD, answer: str = GOOD, broken: float = 0.0) -> FunctionModel:
    def reply(request: Request, draw: int) -> str:
        text = request.text
        if "Equal or Not Equal" in text:
            return "Not Equal"
        if MARK in text:
            old = text.rpartition("#Instruction#\n")[2].partition(f"\n\n{MARK}")[0]
            return f"{old}\n\nSomebody tried:\n{distractor}" if "mislead" in text else f"{old} And one thing more."
        return answer.replace("return", "retrn it") if hash_uniform(text) < broken else answer

    return FunctionModel(reply, f"evolver{distractor}{answer}{broken}")


def run(rows: list[dict], model: FunctionModel | None = None, **settings: object) -> Harvested:
    return run_recipe(wizardcoder, rows, model or evolver(), **settings)  # type: ignore[arg-type]


def test_seeds_and_all_rounds_make_the_mix_and_a_survivor_stands_for_its_parent() -> None:
    rows = [{**row, "output": GOOD} for row in SEEDS[:5]]
    found = run(rows, execute=False)
    assert [r["round"] for r in found.kept] == [0, 1, 2, 3] * 5
    assert found.kept[3]["parent"] == found.kept[2]["prompt"] and found.kept[3]["prompt"].count("one thing") == 3
    assert len(run(rows, execute=False, seeds=False).kept) == 15


def test_operators_are_drawn_with_their_weights_and_misleading_code_never_without_tests() -> None:
    found = run(SEEDS, execute=False, rounds=10)
    drawn = Counter(r["operator"] for r in found.kept)
    assert set(drawn) == set(OPERATORS) - {"misdirect"} and sum(drawn.values()) == 400
    p = 0.1 / 3.1
    assert abs(drawn["complexity"] - 400 * p) < 4 * (400 * p * (1 - p)) ** 0.5


@pytest.mark.sandbox
def test_misleading_code_fails_the_tests_and_the_answer_passes_them() -> None:
    found = run([{**TESTED, "n": n} for n in range(12)], rounds=1)
    misled = [r for r in found.kept if r["operator"] == "misdirect"]
    assert misled and all(r["tests"] == TESTED["tests"] and BAD in r["prompt"] for r in misled)
    assert all(r["tests"] is None for r in found.kept if r["operator"] not in ("misdirect", None))


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("distractor", "answer", "reason"),
    [
        (GOOD, GOOD, "distractor:pass"),
        ("some prose", GOOD, "distractor:no-program"),
        ("```python\ndef double(x:\n```", GOOD, "distractor:no-program"),
        (BAD, BAD, "code:fail:assertion"),
    ],
)
def test_code_that_does_not_mislead_and_answers_that_fail_are_dropped(
    distractor: str, answer: str, reason: str
) -> None:
    found = run([{**TESTED, "n": n} for n in range(12)], evolver(distractor, answer), rounds=1, seeds=False)
    misled = [why for row, why in found.dropped if row["operator"] == "misdirect"]
    assert misled and set(misled) == {reason}


@pytest.mark.sandbox
def test_answers_without_a_program_that_loads_are_dropped() -> None:
    found = run(SEEDS[:10], evolver(broken=0.5), rounds=1)
    broken = found.numbers.dropped.get("code:unknown:no-program", 0)
    assert 0 < broken < 10 and broken + len(found.kept) == 10
    prose = run(SEEDS[:2], evolver(answer="One should double the number, I think."), rounds=1)
    assert prose.numbers.dropped == {"code:unknown:no-program": 2}


def test_with_a_judge_an_equal_rewrite_is_eliminated() -> None:
    judge = FunctionModel(lambda r, d: "Equal", "judge")
    found = run_recipe(wizardcoder, SEEDS[:3], {"generator": evolver(), "judge": judge}, execute=False, rounds=2)
    assert not found.kept and found.numbers.dropped == {"equality:fail:equal": 6}


def test_an_unchanged_rewrite_and_a_cut_one_are_eliminated() -> None:
    same = FunctionModel(lambda r, d: r.text.rpartition("#Instruction#\n")[2].partition(f"\n\n{MARK}")[0])
    assert run(SEEDS[:2], same, rounds=1).numbers.dropped == {"equality:unchanged": 2}
    cut = FunctionModel(lambda r, d: Reply("Write a function that", finish_reason="length"))
    assert run(SEEDS[:2], cut, rounds=1).numbers.dropped == {"reply:cut": 2}


def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run(SEEDS, open_model("hostile"), execute=False).numbers  # type: ignore[arg-type]
    assert n.candidates == n.kept + sum(n.dropped.values()) == 120 and not n.failed
    journal, model = Journal(":memory:"), evolver(broken=0.3)
    first = run(SEEDS, model, execute=False, journal=journal)
    sent = model.sent
    again = run(SEEDS, model, execute=False, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
