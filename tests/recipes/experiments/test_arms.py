"""Experiments: what their arms are made of, and that results are rows of a run."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import polars as pl
import pytest

from tilth.engine.local import run_plan
from tilth.engine.plan import Plan
from tilth.errors import UsageError
from tilth.recipes.experiments.common import adds_instead, numbers, one_too_many, problems, right, seeds_of, with_errors
from tilth.recipes.experiments.guarded_labels import SAFE, UNSAFE, asked, judged, labelled
from tilth.recipes.experiments.half_correct import FORM
from tilth.recipes.experiments.model_collapse import WAYS, next_rows
from tilth.recipes.experiments.policy_base import requests
from tilth.recipes.experiments.rest_em_drift import Drawn
from tilth.recipes.experiments.safety_steps import PARTS, pruned, theory
from tilth.rows.verdict import FAIL, PASS, UNKNOWN
from tilth.worlds.policy import POLICY


def test_rows_with_errors_are_wrong_in_content_and_right_in_form() -> None:
    rows = problems(60, 3, "p")
    made = with_errors(rows, 0.4, Random(0))
    assert sum(r["wrong"] for r in made) == 24
    for row, new in zip(rows, made, strict=True):
        assert (right(new["completion"], row).outcome == FAIL) == new["wrong"]
        assert FORM.fullmatch(new["completion"])
    assert not FORM.fullmatch("2 + 2 = 4")


def test_an_error_that_wrong_rows_share_makes_every_difference_one_too_large() -> None:
    rows = problems(200, 3, "p")
    made = with_errors(rows, 1.0, Random(0), one_too_many)
    assert all(right(new["completion"], row).outcome == FAIL for row, new in zip(rows, made, strict=True))
    assert all(FORM.fullmatch(new["completion"]) for new in made)
    for new in made:
        for a, symbol, b, result in re.findall(r"(\d+) ([-+]) (\d+) = (\d+)", new["completion"]):
            assert int(result) == (int(a) - int(b) + 1 if symbol == "-" else int(a) + int(b))


def test_the_opposite_of_a_difference_is_a_sum() -> None:
    rows = problems(100, 3, "p")
    for row, new in zip(rows, with_errors(rows, 1.0, Random(0), adds_instead), strict=True):
        assert right(new["completion"], row).outcome == FAIL and FORM.fullmatch(new["completion"])
        worked = re.findall(r"(\d+) ([-+]) (\d+) = (\d+)", new["completion"])
        assert all(symbol == "+" and int(result) == int(a) + int(b) for a, symbol, b, result in worked)
    with pytest.raises(ValueError, match="not a problem"):
        adds_instead("How do you do?", Random(0))


def test_swapped_and_kept_pairs_follow_the_filter_arithmetic() -> None:
    pool = requests(5, 320).pool
    for eps, rho, phi in ((0.1, 0.1, 0.9), (0.5, 0.1, 0.9), (0.5, 0.5, 0.5)):
        counts = [pruned(pool, eps, rho, phi, Random(seed)) for seed in range(40)]
        kept = sum(map(len, counts)) / (40 * len(pool))
        noise = sum(p["swapped"] for made in counts for p in made) / sum(map(len, counts))
        alpha = (1 - eps) * phi + eps * rho
        assert kept == pytest.approx(alpha, abs=4 * (alpha * (1 - alpha) / (40 * 320)) ** 0.5)
        assert noise == pytest.approx(eps * rho / alpha, abs=0.02)
        assert theory(50, 300, eps, rho, phi)["kept_noise"] == pytest.approx(eps * rho / alpha)


def test_keeping_everything_is_no_pruning_and_a_swap_turns_the_pair() -> None:
    pool = requests(5, 100).pool
    whole = pruned(pool, 0.0, 1.0, 1.0, Random(1))
    assert [p["prompt"] for p in whole] == [r["prompt"] for r in pool]
    assert [p["part"] for p in whole] == [1 + i * PARTS // 100 for i in range(100)]
    assert all(POLICY.check(p["prompt"], p["chosen"]) is True for p in whole)
    assert all(POLICY.check(p["prompt"], p["chosen"]) is False for p in pruned(pool, 1.0, 1.0, 1.0, Random(1)))


def test_the_sets_of_requests_are_disjoint() -> None:
    sets = requests(7, 300)
    prompts = [r["prompt"] for part in (sets.test, sets.know, sets.real, sets.pool) for r in part]
    assert len(set(prompts)) == len(prompts) == 950


def test_measured_rates_of_labellers_and_guards_match_their_closed_forms() -> None:
    made = [{"prompt": "p", "intended": SAFE if i % 2 else UNSAFE} for i in range(40_000)]
    kept, rates = labelled(made, (0.2, 0.2), 0.1, False, Random(0))
    assert rates["epsilon"] == pytest.approx(0.2, abs=0.01)
    assert rates["phi"] == pytest.approx(0.9 + 0.1 * 0.1, abs=0.01)
    assert rates["rho"] == pytest.approx(0.1 + 0.9 * 0.1, abs=0.01)
    assert len(kept) / len(made) == pytest.approx(0.8 * rates["phi"] + 0.2 * rates["rho"], abs=0.01)
    _, shared = labelled(made, (0.2, 0.2), 0.1, True, Random(0))
    assert shared["rho"] > 2.5 * rates["rho"]  # agreement cannot see an error that guard and labeller share


def test_an_exchange_is_unsafe_only_where_a_forbidden_request_is_complied_with() -> None:
    for row in requests(9, 200).pool:
        made = asked(row, Random(row.id))
        said = made["prompt"].splitlines()[1]
        assert POLICY.label(row["prompt"], said) == made["intended"]
    row = {"answer": SAFE}
    assert [judged(t, row).outcome for t in ("#### 0", "#### 1", "perhaps", "#### safe")] == [
        PASS,
        FAIL,
        UNKNOWN,
        UNKNOWN,
    ]


def test_a_generation_learns_what_its_way_says() -> None:
    gold, past = [{"completion": "gold"}], [{"completion": "old", "ok": False}, {"completion": "new", "ok": True}]
    made = [past[1], {"completion": "wrong", "ok": False}]
    learnt = {way: [r["completion"] for r in next_rows(way, gold, made, past)] for way in WAYS}
    assert learnt == {
        "replace": ["new", "wrong"], "accumulate": ["gold", "old", "new"], "verify": ["new"], "verify + real": ["gold", "new"],
    }  # fmt: skip
    assert next_rows("verify", gold, made[1:], past) == made[1:]  # nothing passed: all of them rather than none


def test_a_checker_passes_right_answers_and_a_share_of_the_wrong_ones_each_text_once() -> None:
    rows = problems(400, 3, "p")
    drawn = Drawn([(row, [("a", i % 2 == 0), ("a", i % 2 == 0), ("b", False)]) for i, row in enumerate(rows)])
    assert drawn.solved == 0.5 and drawn.distinct == 2
    assert [r["completion"] for r in drawn.passed(0.0, Random(0))] == ["a"] * 200
    assert len(drawn.passed(1.0, Random(0))) == 800
    some = drawn.passed(0.3, Random(0))
    assert sum(r["ok"] for r in some) == 200 and sum(not r["ok"] for r in some) == pytest.approx(180, abs=45)


@pytest.mark.parametrize("given", ["", "60,", "0", "60,-3", "many"])
def test_numbers_are_whole_and_at_least_one(given: str) -> None:
    if given == "60,":
        assert numbers(given, "budget") == [60]
    else:
        with pytest.raises(UsageError, match="budget is"):
            numbers(given, "budget")


def test_an_experiment_needs_a_seed() -> None:
    with pytest.raises(UsageError, match="0 seeds"):
        seeds_of(0)
    assert seeds_of(2, first=5) == [5, 6]


@pytest.mark.train
def test_results_are_rows_and_equal_arms_differ_in_their_rows_alone(tmp_path: Path) -> None:
    settings = {"topic": "story-arithmetic", "seeds": 1, "prompts": 30, "real": 8, "test": 10, "steps": 3}
    plan = Plan(recipe="verified-or-not", models={"generator": "nano"}, set=settings)
    result = run_plan(plan, tmp_path / "run", quiet=True)
    assert result.exit_code == 0
    rows = {r["arm"]: r for r in pl.read_parquet(tmp_path / "run/data/kept/*.parquet").to_dicts()}
    assert rows["exact check"]["wrong_share"] == 0 < rows["no check"]["wrong_share"]
    assert len({rows[a]["training_rows"] for a in ("no check", "judge", "exact check", "gold")}) == 1
    assert rows["no check, uncut"]["synthetic"] == 60
    assert all(len(r["right"]) == 10 and r["score"] == sum(r["right"]) / 10 for r in rows.values())
    assert result.summary["notes"]["trainings"] == len(rows)


@pytest.mark.train
@pytest.mark.parametrize(
    ("name", "arms", "sizes"),
    [
        ("rest-em-drift", 4, {"rounds": 1, "real": 8, "prompts": 8}),
        ("model-collapse", 4, {"generations": 1, "real": 8}),
    ],
)
def test_all_curves_of_a_seed_start_from_one_student(
    tmp_path: Path, name: str, arms: int, sizes: dict[str, int]
) -> None:
    settings = {"topic": "story-arithmetic", "seeds": 1, "test": 10, "steps": 2, **sizes}
    result = run_plan(Plan(recipe=name, set=settings), tmp_path / "run", quiet=True)
    assert result.exit_code == 0 and result.summary["notes"]["trainings"] == 1 + arms
    rows = pl.read_parquet(tmp_path / "run/data/kept/*.parquet").to_dicts()
    assert len(rows) == arms * 2
    assert len({str(r["right"]) for r in rows if r["round"] == 0}) == 1
