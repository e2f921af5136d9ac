"""step-labels: rollouts find a planted first error, labels end there, the convincing wrong solutions come first."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_key, hash_uniform
from tilth.recipes.maths.step_labels import Solution, chosen, step_labels
from tilth.rows.verdict import FAIL, PASS, Verdict
from tilth.verify.stepwise import solution_scores

STEPS = 4


def problem(n: int) -> str:
    return (
        f"Begin with {n}. " + " ".join(f"Then {10 * (i + 1) + n % 7} more come." for i in range(STEPS)) + " How many?"
    )


def sums(text: str) -> list[int]:
    start, *added = (int(x) for x in re.findall(r"\d+", text.partition("Begin")[2].partition("How many?")[0]))
    totals = [start]
    for number in added:
        totals.append(totals[-1] + number)
    return totals


def worked(totals: list[int], first: int, error: int | None, value: int) -> list[str]:
    """Lines from step `first` on, from the running value; at step `error` two too many are added: a true equation."""
    lines = []
    for i in range(first, STEPS):
        more = totals[i + 1] - totals[i] + (2 if i == error else 0)
        lines.append(f"{value} + {more} = {value + more}")
        value += more
    return [*lines, f"#### {value}"]


def planted(text: str, draw: int, wrong: float) -> int | None:
    if hash_uniform("wrong", text.partition("Begin")[2], draw) >= wrong:
        return None
    return int(hash_uniform("where", text.partition("Begin")[2], draw) * STEPS)


def worker(wrong: float = 0.5, slip: float = 0.0) -> FunctionModel:
    """Solutions with a planted first error; continuations go on rightly from a right value, but slip at a known rate."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        totals = sums(text)
        if "Work so far:" not in text:
            return "\n".join(worked(totals, 0, planted(text, draw, wrong), totals[0]))
        done = text.rpartition("Work so far:\n")[2].splitlines()
        lines = worked(totals, len(done), None, int(done[-1].rpartition("= ")[2]))
        return "\n".join([*lines[:-1], "#### 0"] if hash_uniform("slip", text, draw) < slip else lines)

    return FunctionModel(answer, f"worker{wrong}{slip}")


ROWS = [{"prompt": problem(n), "answer": str(sums(problem(n))[-1])} for n in range(30)]


def run(model: FunctionModel | None = None, **settings: object) -> Harvested:
    settings = {"samples": 4, "label": 4, "rollouts": 3, **settings}
    return run_recipe(step_labels, ROWS, model or worker(), **settings)  # type: ignore[arg-type]


def first_error(row: object) -> int | None:
    lines, totals = row["completion"].splitlines(), sums(row["prompt"])  # type: ignore[index]
    return next((i for i in range(STEPS) if not lines[i].endswith(f"= {totals[i + 1]}")), None)


def test_the_planted_first_error_is_found_exactly_and_nothing_comes_after_it() -> None:
    found = run()
    assert len(found.kept) == 120
    for row in found.kept:
        error = first_error(row)
        assert row["first_error"] == error and row["outcome"] == (error is None)
        assert len(row["completions"]) == len(row["labels"]) == (STEPS + 1 if error is None else error + 1)
        assert -1 not in row["labels"][:-1] and set(row["labels"][:-1]) <= {1}
    assert {row["first_error"] for row in found.kept} == {None, 0, 1, 2, 3}


def test_a_right_step_is_called_wrong_at_the_rate_of_all_rollouts_failing() -> None:
    found = run(worker(wrong=0.0, slip=0.5), rollouts=2, tau=1.0)
    steps = [label for row in found.kept for label in row["labels"][:STEPS]]
    rate, n = sum(label == -1 for label in steps) / len(steps), len(steps)
    assert abs(rate - 0.25) < 4 * (0.25 * 0.75 / n) ** 0.5
    neutral = sum(label == 0 for label in steps) / n
    assert abs(neutral - 0.5) < 4 * (0.25 / n) ** 0.5


def test_choosing_the_best_score_of_n_reaches_pass_at_n() -> None:
    found = run(worker(wrong=0.7))
    by_problem = {p["prompt"]: [r for r in found.kept if r["prompt"] == p["prompt"]] for p in ROWS}
    for rows in by_problem.values():
        assert max(rows, key=lambda r: r["score"])["outcome"] == any(r["outcome"] for r in rows)


def test_a_false_equation_is_wrong_whatever_the_rollouts_say() -> None:
    row = {"prompt": "Two and three and one?", "answer": "6"}
    text = "2 + 3 = 6\n5 + 1 = 6\n#### 6"
    found = run_recipe(step_labels, [row], FunctionModel(lambda r, d: text), samples=1, label=1, rollouts=1)
    assert found.kept[0]["labels"] == [-1] and found.kept[0]["completions"] == ["2 + 3 = 6"]


def solution(outcome: str, convincing: float) -> Solution:
    return Solution(Reply("x"), Verdict("math", outcome), convincing)  # type: ignore[arg-type]


def test_four_fifths_of_the_places_go_to_convincing_wrong_solutions() -> None:
    pool = [solution(FAIL, i / 20) for i in range(10)] + [solution(PASS, 0.9 + i / 100) for i in range(10)]
    assert chosen(pool, 5) == {9, 8, 7, 6, 19}
    assert chosen(pool[:2] + pool[10:], 5) == {0, 1, 11, 10, 9}
    assert chosen(pool[:3], 5) == {0, 1, 2}
    assert chosen([], 5) == set()


def test_only_the_chosen_are_labelled_and_the_others_say_so() -> None:
    found = run(label=2)
    assert len(found.kept) == 60 and found.numbers.dropped == {"selection:not-chosen": 60}


def test_with_a_judge_its_score_decides_who_is_convincing() -> None:
    judge = FunctionModel(lambda r, d: f"Hm.\nScore: {1 + int(hash_key(r.text)[0]) % 5}", "judge")
    found = run_recipe(step_labels, ROWS[:5], {"generator": worker(), "judge": judge}, samples=4, label=2, rollouts=1)
    assert {r["convincing"] for r in found.kept} <= {1.0, 2.0, 3.0, 4.0, 5.0}


def test_product_least_and_mean_log_of_the_values() -> None:
    assert solution_scores([0.5, 0.5]) == {"product": 0.25, "min": 0.5, "mean_log": pytest.approx(-0.6931, abs=1e-4)}
    assert solution_scores([1.0, 0.0]) == {"product": 0.0, "min": 0.0, "mean_log": None}


def test_an_answer_that_cannot_be_read_is_unknown_and_so_are_rollouts_without_one() -> None:
    mute = FunctionModel(lambda r, d: "Let us see.")
    assert run(mute).numbers.dropped == {"math:unknown:no-answer": 120}
    half = FunctionModel(lambda r, d: "I wonder." if "Work so far" in r.text else "a step\n#### 1")
    assert run(half).numbers.dropped == {"rollouts:unknown": 120}


def test_the_rows_export_as_prm800k_records(tmp_path: Path) -> None:
    from tilth.engine import Plan, run_plan
    from tilth.report.export import export_run
    from tilth.rows.prm800k import from_prm800k

    (tmp_path / "seeds.jsonl").write_text('{"prompt": "What is 2 and 3?", "answer": "5"}\n')
    replay = '{"match": {"prompt": "What is 2 and 3?"}, "completions": ["2 + 3 = 5\\n#### 5", "2 + 3 = 5\\n#### 5"]}'
    (tmp_path / "replay.jsonl").write_text(replay + "\n")
    plan = Plan(
        "step-labels", str(tmp_path / "seeds.jsonl"), models={"*": f"replay:{tmp_path / 'replay.jsonl'}"},
        set={"samples": 1, "label": 1, "rollouts": 2},
    )  # fmt: skip
    run_plan(plan, tmp_path / "run", quiet=True)
    done = export_run(tmp_path / "run", "prm800k", out=tmp_path / "prm.jsonl")
    record = json.loads((tmp_path / "prm.jsonl").read_text())
    row = from_prm800k(record)
    assert done.written == 1 and row is not None and row["labels"] == [1, 1]


def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run(open_model("hostile")).numbers  # type: ignore[arg-type]
    assert n.candidates == n.kept + sum(n.dropped.values()) == 120 and not n.failed
    journal, model = Journal(":memory:"), worker(0.5, 0.3)
    first = run(model, journal=journal)
    sent = model.sent
    again = run(model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
