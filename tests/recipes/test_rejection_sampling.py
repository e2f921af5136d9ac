"""rejection-sampling: exact on recorded completions of real models, and by closed form on the oracle."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tilth.engine import Plan, run_plan, run_recipe
from tilth.models import open_model
from tilth.models.base import Reply
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe
from tilth.recipes.maths.rejection_sampling import route
from tilth.worlds.registry import open_world

RIGHT = {"6b_finetuning": 286, "6b_verification": 515, "175b_finetuning": 458, "175b_verification": 742}
"""Right answers a model, as shipped with openai/grade-school-math."""
ROWS = [{"prompt": "Two and three?", "answer": "#### 5"}]


def run(texts: list[str | Reply], rows: list[dict] = ROWS, **settings: object) -> object:
    return run_recipe(
        load_recipe("rejection-sampling"), rows, FunctionModel(lambda r, d: texts[d], "m"), k=len(texts), **settings
    )


def recorded(data_dir: Path, folder: Path, models: list[str]) -> Plan:
    """A plan over the GSM8K test problems with recorded completions of `models` as the draws."""
    with gzip.open(data_dir / "gsm8k" / "example_model_solutions.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    with (folder / "replay.jsonl").open("w") as file:
        for row in rows:
            file.write(
                json.dumps(
                    {"match": {"question": row["question"]}, "completions": [row[m]["solution"] for m in models]}
                )
                + "\n"
            )
    return Plan(
        "rejection-sampling", str(data_dir / "gsm8k" / "test.jsonl.gz"), map={"prompt": "question"},
        models={"*": f"replay:{folder / 'replay.jsonl'}"}, set={"k": len(models)},
    )  # fmt: skip


@pytest.mark.parametrize("model", RIGHT)
def test_the_right_answers_of_four_real_models_are_counted_exactly(data_dir: Path, tmp_path: Path, model: str) -> None:
    summary = run_plan(recorded(data_dir, tmp_path, [model]), tmp_path / "run", quiet=True).summary
    assert summary["kept"] == RIGHT[model] and summary["candidates"] == 1319


def test_all_5276_recorded_completions_conserve(data_dir: Path, tmp_path: Path) -> None:
    summary = run_plan(recorded(data_dir, tmp_path, list(RIGHT)), tmp_path / "run", quiet=True).summary
    repeated = summary["dropped"]["distinct:same-route"] + summary["dropped"]["distinct:same-text"]
    assert summary["candidates"] == 5276 == summary["kept"] + sum(summary["dropped"].values())
    assert summary["kept"] + repeated == sum(RIGHT.values())
    assert summary["levels"] == {"6": summary["kept"]}


def test_each_reason_for_dropping_has_its_own_name() -> None:
    found = run(
        [
            "2 + 3 = 5\n#### 5",
            "2 + 3 = 5\n#### 5",
            "first 2+3 = 5, so\n#### 5",
            "3 + 2 = 5\n#### 5",
            "2 + 3 = 6\n#### 6",
            "I do not know.",
            "",
            Reply("4 + 1 = 5\n#### 5", finish_reason="length"),
        ]
    )
    assert [r["completion"][:5] for r in found.kept] == ["2 + 3", "3 + 2"]  # type: ignore[attr-defined]
    assert found.numbers.dropped == {  # type: ignore[attr-defined]
        "distinct:same-text": 1, "distinct:same-route": 1, "math:fail": 1, "math:unknown:no-answer": 2, "reply:cut": 1,
    }  # fmt: skip


def test_a_route_is_its_equations_and_else_its_words() -> None:
    assert route("She has 2 + 3 = 5 nuts.") == route("We add: 2+3 = <<2+3=5>>5.")
    assert route("2 + 3 = 5") != route("3 + 2 = 5")
    assert route("It is five.") == route("it is FIVE") != route("It is six.")


def test_a_cap_keeps_that_many_a_problem_and_steps_refuse_a_wrong_equation() -> None:
    texts: list[str | Reply] = [f"{i} + {5 - i} = 5\n#### 5" for i in range(1, 5)]
    assert run(texts, cap=2).numbers.dropped == {"cap:reached": 2}  # type: ignore[attr-defined]
    wrong = run(["2 + 2 = 5\n#### 5", "2 + 3 = 5\n#### 5", "no equation\n#### 5"], steps=True)
    assert [r.split(":")[:2] for r in wrong.numbers.dropped] == [["steps", "fail"]]  # type: ignore[attr-defined]
    assert len(wrong.kept) == 2, "a rationale without equations is unknown to the step check, not wrong"  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [0.0, 0.4, 1.0])
def test_kept_rows_follow_the_oracles_error_rate_and_hold_no_wrong_answer(error: float) -> None:
    rows = open_world("story-arithmetic").problems(200, seed=9)
    found = run_recipe(
        load_recipe("rejection-sampling"), rows, open_model(f"oracle:story-arithmetic?error={error}"), k=1
    )
    expected = 200 * (1 - error)
    assert abs(len(found.kept) - expected) <= 4 * (200 * error * (1 - error)) ** 0.5
    assert all(r["completion"].endswith(f"#### {r['answer']}") for r in found.kept)


def test_hostile_replies_lose_nothing() -> None:
    rows = [{"prompt": f"{i} and {i}?", "answer": str(2 * i)} for i in range(30)]
    found = run_recipe(load_recipe("rejection-sampling"), rows, open_model("hostile"), k=3)
    n = found.numbers
    assert not found.failed and n.candidates == n.kept + sum(n.dropped.values()) == 90
