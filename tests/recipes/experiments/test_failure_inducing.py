"""failure-inducing with students that learn what they are shown three times: the arms are what they say they are."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.errors import UsageError
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.experiments import failure_inducing as experiment
from tilth.worlds.wordings import RARE, WORDINGS_WORLD

EXPERIMENT = load_recipe("failure-inducing")
NAMES = {"none": "arm-none"}
SMALL = {
    "worlds": "rare-wordings",
    "seeds": 1,
    "budget": "20",
    "explore": 120,
    "problems": 200,
    "known": 50,
    "held_out": 60,
}


def solver(name: str, skills: set[str]) -> FunctionModel:
    """Right on the skills, wrong on others."""

    def answer(request: Request, draw: int) -> str:
        known = WORDINGS_WORLD.skill_of(request.text) in skills
        return str(WORDINGS_WORLD.solve(request.text)) if known else "#### 999"

    return FunctionModel(answer, name)


def writer(name: str, rare: float) -> FunctionModel:
    """Writes rare wordings at a rate."""
    pools = {r: WORDINGS_WORLD.problems(200, 5, largest=12, rare=0.125 if r else 0.0) for r in (True, False)}

    def answer(request: Request, draw: int) -> str:
        pool = pools[hash_uniform(name, request.text, draw) < rare]
        return str(pool[int(hash_uniform("pick", name, request.text, draw) * len(pool))]["prompt"])

    return FunctionModel(answer, name)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Stands in for training; what each training was given."""
    seen: dict[str, list[Any]] = {}

    async def train(ctx: Any, name: str, role: str, method: str, rows: Any, **_: Any) -> Any:
        seen[name] = list(rows)
        if role == "proposer":
            return ctx.play(role, writer(name, 0.1 + 0.3 * (method == "dpo") * int(name[-1])))
        common = set(WORDINGS_WORLD.skills) - set(RARE)
        shown = Counter(WORDINGS_WORLD.skill_of(r["prompt"]) for r in rows)
        return ctx.play(role, solver(name, common | {str(s) for s, n in shown.items() if n >= 3 and role == "student"}))

    monkeypatch.setattr(experiment, "train", train)
    return seen


def test_every_arm_has_its_own_problems_the_same_replay_and_a_result_row(trained: dict[str, list[Any]]) -> None:
    found = run_recipe(EXPERIMENT, [{"topic": "any"}], {}, **SMALL)
    rows = {r["arm"]: r for r in found.kept}
    assert list(rows) == ["none", "random", "rejection", "reversegen", "pooled"] and not found.failed
    replay = trained["arm-none"]
    for arm, row in rows.items():
        new = trained[NAMES.get(arm, f"arm-{arm}-20")][: row["training_rows"]]
        assert trained[NAMES.get(arm, f"arm-{arm}-20")][row["training_rows"] :] == replay and row["training_rows"] <= 20
        assert all(WORDINGS_WORLD.solve(r["prompt"]) == r["completion"] for r in new)
        assert sum(row["skills"].values()) == len(new) and len(row["right"]) == 60
    assert set(rows["reversegen"]["skills"]) <= set(RARE) and set(rows["rejection"]["skills"]) <= set(RARE)
    assert not set(rows["random"]["skills"]) <= set(RARE)
    assert rows["none"]["gap"] == 0 and rows["random"]["gap"] < rows["reversegen"]["gap"] > 0
    assert rows["rejection"]["proposals"] == rows["reversegen"]["proposals"] == 120 * len(rows["reversegen"]["rounds"])
    failing = [r["failing"] for r in rows["reversegen"]["rounds"]]
    assert failing == sorted(failing) and failing[-1] >= experiment.ENOUGH


def test_several_budgets_share_one_hunt_and_rejection_runs_dry_where_pooled_failures_do_not(
    trained: dict[str, list[Any]],
) -> None:
    found = run_recipe(EXPERIMENT, [{"topic": "any"}], {}, **{**SMALL, "budget": "5,500"})
    rows = {(r["budget"], r["arm"]): r for r in found.kept}
    assert sorted({budget for budget, _ in rows}) == [5, 500] and len(rows) == 10
    assert len([name for name in trained if name == "target"]) == 1
    assert rows[5, "none"]["balanced"] == rows[500, "none"]["balanced"]
    assert all(rows[5, arm]["training_rows"] == 5 for arm in ("random", "rejection", "reversegen", "pooled"))
    assert 5 < rows[500, "rejection"]["training_rows"] < rows[500, "pooled"]["training_rows"] < 500
    assert rows[500, "rejection"]["proposals"] == rows[500, "pooled"]["proposals"]


def test_other_seeds_can_be_asked_for_than_those_that_settings_were_chosen_on(trained: dict[str, list[Any]]) -> None:
    found = run_recipe(EXPERIMENT, [{"topic": "any"}], {}, **{**SMALL, "first": 7})
    assert {r["seed"] for r in found.kept} == {7}


def test_a_wrong_world_is_one_clear_error() -> None:
    with pytest.raises(UsageError, match="did you mean 'rare-wordings'"):
        run_recipe(EXPERIMENT, [{"topic": "any"}], {}, worlds="rare-wording")


def test_missing_skills_are_a_fifth_of_the_seeds_and_none_of_what_the_target_learns() -> None:
    setting = experiment.missing_skills(0, 100, 60, 50)
    assert sum(r["skill"] in setting.gap for r in setting.seeds) == 20
    assert not any(r["skill"] in setting.gap for r in setting.known)
    assert Counter(r["tested"] for r in setting.balanced) == dict.fromkeys(("add", "sub", *setting.gap), 10)
