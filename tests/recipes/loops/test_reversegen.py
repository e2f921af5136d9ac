"""reversegen with a proposer that is a table of skills and learns from preferences, so that every trend is its doing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.errors import UsageError
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.loops.reversegen import reversegen as loop
from tilth.worlds import open_world

REVERSEGEN = load_recipe("reversegen")
KNOBS: dict[str, dict[str, Any]] = {
    "story-arithmetic": {"steps": (1,), "operators": "+-*"}, "invented-policy": {"forbidden": 1.0, "rare": 0.05}, "quiz": {},
}  # fmt: skip
GAP = {"story-arithmetic": {"mul"}, "invented-policy": {"play", "dream"}, "quiz": {"products"}}
TASKS = {"story-arithmetic": "maths", "invented-policy": "safety", "quiz": "honesty"}


def proposer(world: Any, weights: Mapping[str, float], name: str, invalid: float = 0.0) -> FunctionModel:
    """Writes problems of each skill as often as its weight says, and nonsense at the rate `invalid`."""
    pools = {s: world.problems(80, 5, skills=[s], **_fit(world, s)) for s in weights}
    total = sum(weights.values())

    def answer(request: Request, draw: int) -> str:
        number = hash_uniform(name, request.text, draw)
        if hash_uniform("invalid", name, request.text, draw) < invalid:
            return f"nonsense {number}"
        at = number * total
        for skill, weight in weights.items():
            if at < weight:
                return str(pools[skill][int(hash_uniform("pick", name, request.text, draw) * 80)]["prompt"])
            at -= weight
        return str(pools[skill][0]["prompt"])

    return FunctionModel(answer, f"proposer?{name}")


def _fit(world: Any, skill: str) -> dict[str, Any]:
    knobs = dict(KNOBS[world.id])
    if world.id == "story-arithmetic":
        knobs["without"] = [s for s in ("mul", "add-carry", "sub-borrow") if s != skill]
    return knobs


def target(world: Any, gap: set[str], name: str = "target", sure: bool = False) -> FunctionModel:
    """Right but for the gap, where it is wrong, complies, or guesses."""

    def answer(request: Request, draw: int) -> str:
        prompt = request.text
        text = str(world.solve(prompt))
        if world.skill_of(prompt) in gap:
            if world.id == "quiz":
                text = f"#### {'ABCD'[draw % 4]}"
            else:
                from random import Random

                text = world.corrupt(prompt, Random(0))
        if world.id == "quiz" and sure:
            text += "\nunsure" if world.skill_of(prompt) in GAP["quiz"] else "\nsure"
        return text

    return FunctionModel(answer, name)


class Trainer:
    """Stands in for training: what a table of skills would learn from the rows."""

    def __init__(
        self, world: Any, *, worse: bool = False, ruin: bool = False, blind: bool = False, stuck: bool = False
    ) -> None:
        self.world, self.worse, self.ruin, self.blind, self.stuck = world, worse, ruin, blind, stuck
        self.weights: dict[str, float] = {}
        self.seen: dict[str, list[dict[str, Any]]] = {}

    async def __call__(
        self, ctx: Any, name: str, role: str, method: str, rows: Sequence[Mapping[str, Any]], **_: Any
    ) -> Any:
        rows = [dict(r) for r in rows]
        self.seen[name] = rows
        if role == "target":
            gap = set(self.world.skills) if self.worse else set()
            return ctx.play(role, target(self.world, gap, "trained target", sure=True))
        if method == "sft":
            counts = Counter(self.world.skill_of(r["completion"]) for r in rows)
            self.weights = {str(s): float(n) for s, n in sorted(counts.items())}
        else:
            sides = ("chosen", "rejected")
            good, bad = (Counter(self.world.skill_of(r[side]) for r in rows) for side in sides)
            if self.blind:
                good = bad
            self.weights = {s: w * ((1 + good[s]) / (1 + bad[s])) ** 0.3 for s, w in self.weights.items()}
        if self.stuck and method == "dpo":
            return ctx.play(role, FunctionModel(lambda r, d: str(rows[0]["chosen"]), "proposer?stuck"))
        return ctx.play(role, proposer(self.world, self.weights, name, 0.95 if self.ruin and method == "dpo" else 0.05))


def run(monkeypatch: pytest.MonkeyPatch, world: str, *, trainer: dict[str, bool] | None = None, **settings: Any) -> Any:
    program = open_world(world)
    fake = Trainer(program, **(trainer or {}))
    monkeypatch.setattr(loop, "train", fake)
    seeds = program.problems(120, 1, **KNOBS[world])
    first = {"explore": 120, "rounds": 3, "enough": 0.99, "near": 0.0, "semantic": 0.0, "answer_tokens": 64}
    models = {"proposer": proposer(program, {program.skills[0]: 1.0}, "none"), "target": target(program, GAP[world])}
    found = run_recipe(REVERSEGEN, seeds, models, task=TASKS[world], world=world, **{**first, **settings})
    assert not found.failed and found.numbers.candidates == found.numbers.kept + sum(found.numbers.dropped.values())
    return found, fake


def by_round(found: Any, figure: str) -> list[float]:
    notes = found.numbers.notes
    return [notes[f"round {n}: {figure}"] for n in range(1, 5) if f"round {n}: {figure}" in notes]


@pytest.mark.parametrize("world", list(TASKS))
def test_the_failure_rate_rises_over_rounds_and_the_target_learns_what_it_failed_at(
    monkeypatch: pytest.MonkeyPatch, world: str
) -> None:
    found, fake = run(monkeypatch, world)
    rates = by_round(found, "failing")
    assert rates[0] < 0.75 and rates[-1] > rates[0] + 0.2 and rates == sorted(rates)
    program, notes = open_world(world), found.numbers.notes
    assert {r["skill"] for r in found.kept} <= GAP[world] and {r["round"] for r in found.kept} == {1, 2, 3}
    for row in found.kept:
        completion = row["completion"].removesuffix("\nunsure")
        assert completion == program.solve(row["prompt"]) and (world == "quiz") == row["completion"].endswith("unsure")
        assert len(row.lineage.parents) == 3 and {v.verifier for v in row.verdicts} == {"world", "failure"}
        assert "entropy" not in row or row["entropy"] >= 1.193
    assert notes["round 4: target accepted"] == 1 and notes["round 4: held out after"] == 1.0
    assert notes["round 4: held out before"] < 1
    if notes["round 4: fresh unseen"]:
        assert notes["round 4: fresh unseen failing before"] > notes["round 4: fresh unseen failing after"] == 0
    asked = [" ".join(r["prompt"].lower().split()) for r in found.kept]
    assert len(asked) == len(set(asked)) and found.numbers.dropped["exact:duplicate"] > 0
    lessons = fake.seen["target-1"]
    assert len(lessons) == notes["round 4: training rows"] > len(found.kept)
    if world == "quiz":
        assert {r["completion"].rpartition("\n")[2] for r in lessons} == {"sure", "unsure"}
        assert notes["round 4: after average precision"] == 1.0


def test_with_preferences_that_say_nothing_the_failure_rate_does_not_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = by_round(run(monkeypatch, "story-arithmetic", trainer={"blind": True})[0], "failing")
    assert len(rates) == 3 and max(rates) - min(rates) < 0.15


def test_a_high_failure_rate_ends_the_exploring(monkeypatch: pytest.MonkeyPatch) -> None:
    found, fake = run(monkeypatch, "story-arithmetic", enough=0.5, rounds=4)
    rates = by_round(found, "failing")
    assert rates[-1] >= 0.5 and all(r < 0.5 for r in rates[:-1]) and len(rates) < 4
    assert f"proposer-{len(rates)}" not in fake.seen


def test_a_proposer_that_collapses_is_taken_back_with_its_round(monkeypatch: pytest.MonkeyPatch) -> None:
    found, fake = run(monkeypatch, "story-arithmetic", trainer={"ruin": True})
    notes = found.numbers.notes
    assert notes["round 2: collapse validity"] == 1 and "proposer-2" not in fake.seen
    assert {r["round"] for r in found.kept} == {1} and found.numbers.dropped["collapse:validity"] > 0
    assert notes["round 4: fresh valid"] > 0.9


@pytest.mark.parametrize("near", [0.0, 0.78])
def test_a_proposer_that_says_one_thing_only_is_taken_back_with_its_round(
    monkeypatch: pytest.MonkeyPatch, near: float
) -> None:
    found, fake = run(monkeypatch, "story-arithmetic", trainer={"stuck": True}, near=near)
    notes = found.numbers.notes
    assert notes["round 2: collapse repetition"] == 1 and "proposer-2" not in fake.seen
    assert {r["round"] for r in found.kept} == {1} and notes["round 4: fresh distinct"] > 0.2


def test_losing_the_rare_words_of_the_first_round_counts_as_collapse_when_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes = run(monkeypatch, "story-arithmetic", tail=0.05)[0].numbers.notes
    assert any(f"round {n}: collapse tail" in notes for n in (2, 3))


def test_a_target_that_got_worse_is_rolled_back_and_its_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = run(monkeypatch, "story-arithmetic", trainer={"worse": True}, rounds=1)
    notes = found.numbers.notes
    assert notes["round 2: target accepted"] == 0 and notes["round 2: held out after"] == 0 and found.kept


def test_a_quota_keeps_one_skill_from_filling_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = run(monkeypatch, "invented-policy", quota=3, rounds=1)
    assert max(Counter(r["skill"] for r in found.kept).values()) == 3 and found.numbers.dropped["quota"] > 0


def test_what_a_held_out_seed_asks_is_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    world = open_world("invented-policy")
    fake = Trainer(world)
    monkeypatch.setattr(loop, "train", fake)
    seeds = world.problems(80, 5, skills=["play"], forbidden=1.0)
    models = {"proposer": proposer(world, {"play": 1.0}, "none"), "target": target(world, {"play"})}
    pool = {row["prompt"] for row in world.problems(80, 5, skills=["play"], **KNOBS[world.id])}
    assert pool == {row["prompt"] for row in seeds}, "so that the proposer can write held-out seeds"
    settings = {
        "task": "safety",
        "world": world.id,
        "explore": 100,
        "rounds": 1,
        "near": 0.0,
        "semantic": 0.0,
        "replay": 0,
    }
    found = run_recipe(REVERSEGEN, seeds, models, **settings)
    held = found.numbers.dropped["decontaminate:held-out"]
    learned = {r["prompt"] for r in fake.seen["target-1"]}
    assert held > 0 and learned and len(pool - learned) >= 16


def test_the_replay_is_of_seeds_or_of_what_the_target_solved_or_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = {}
    for source in ("seeds", "solved", "both"):
        found, fake = run(monkeypatch, "invented-policy", rounds=1, replay=10_000, replay_from=source)
        new = {row["prompt"] for row in found.kept}
        learned[source] = {
            (row["prompt"], row["completion"]) for row in fake.seen["target-1"] if row["prompt"] not in new
        }
    world = open_world("invented-policy")
    seeds = {row["prompt"] for row in world.problems(120, 1, **KNOBS[world.id])}
    assert {prompt for prompt, _ in learned["seeds"]} <= seeds and learned["solved"] - learned["seeds"]
    assert learned["both"] == learned["seeds"] | learned["solved"]
    assert all(completion == world.solve(prompt) for prompt, completion in learned["both"])


def test_repeats_are_dropped_before_the_target_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = run(monkeypatch, "story-arithmetic", near=0.78, rounds=1)
    assert found.numbers.dropped["near:duplicate"] > 10
    dropped = [row for row, reason in found.dropped if reason == "near:duplicate"]
    assert not any(row.verdicts for row in dropped)


def models_for_maths(judge: str = "yes", solver: Any = None) -> dict[str, Any]:
    world = open_world("story-arithmetic")
    solved = lambda r, d: str(world.solve(r.text.partition("\n")[0]) or "I cannot.")  # noqa: E731
    return {
        "proposer": proposer(world, {"add": 1.0, "mul": 1.0}, "some"), "target": target(world, {"mul"}),
        "judge": FunctionModel(lambda r, d: judge, "judge"), "solver": FunctionModel(solver or solved, "solver"),
    }  # fmt: skip


def test_without_a_world_the_judge_says_what_is_valid_and_the_solver_what_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = open_world("story-arithmetic")
    monkeypatch.setattr(loop, "train", Trainer(world))
    seeds = world.problems(40, 1, **KNOBS["story-arithmetic"])
    settings = {"explore": 40, "rounds": 1, "answer_tokens": 64, "near": 0.0, "semantic": 0.0}
    found = run_recipe(REVERSEGEN, seeds, models_for_maths(), **settings)
    assert found.kept and all(world.check(r["prompt"], r["completion"]) for r in found.kept)
    assert {world.skill_of(r["prompt"]) for r in found.kept} == {"mul"}
    refused = run_recipe(REVERSEGEN, seeds, models_for_maths("no"), **settings)
    assert not refused.kept and refused.numbers.dropped == {"validity:fail": 40}
    unread = run_recipe(REVERSEGEN, seeds, models_for_maths("maybe"), **settings)
    assert unread.numbers.dropped == {"validity:unknown:unparsed": 40}
    calls: list[str] = []
    counted = models_for_maths()
    counted["solver"] = FunctionModel(lambda r, d: calls.append(r.text) or models_for_maths()["solver"].answer(r, d))
    run_recipe(REVERSEGEN, seeds, counted, **settings)
    assert len(calls) == 40 + 20, "fresh proposals are examined once, and answered by the target before and after"
    zero = run_recipe(REVERSEGEN, seeds, models_for_maths(solver=lambda r, d: "#### 0"), **settings)
    assert zero.numbers.dropped == {"reference:fail:zero": 40}


POLICY = """
purpose: a test of an invented policy
categories:
  - {name: glorbing, violates: says glorb}
"""


def test_by_a_judge_safety_keeps_what_breaks_the_policy_with_a_safe_answer_that_was_judged_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[str] = []

    def answer(request: Request, draw: int) -> str:
        text, number = request.text, hash_uniform("n", request.text, draw)
        if request.role == "proposer":
            return f"{'zib' if number < 0.4 else 'plain'} {number}"
        if request.role == "target":
            return "well, glorb" if "zib" in text else "a plain reply"
        if request.role == "judge" and "replied to it" in text:
            judged.append(text.rsplit("not for you.", 1)[1])
        if request.role == "solver":
            return "glorb" if "9" in text.split("zib")[-1][:6] else "Let us speak of something else."
        return (
            "yes"
            if "can be understood" in text
            else "violates"
            if "glorb" in text.rsplit("not for you.", 1)[1]
            else "fine"
        )

    async def untrained(ctx: Any, name: str, role: str, *_: Any, **__: Any) -> Any:
        good = FunctionModel(lambda r, d: "a safe reply", "safe target")
        return ctx.play(role, good if role == "target" else ctx.model(role))

    monkeypatch.setattr(loop, "train", untrained)
    seeds = [{"prompt": f"{'zib' if i % 2 else 'plain'} {i}"} for i in range(40)]
    model = FunctionModel(answer)
    models = dict.fromkeys(("proposer", "target", "judge", "solver"), model)
    settings = {"task": "safety", "policy": POLICY, "explore": 60, "rounds": 1, "near": 0.0, "semantic": 0.0}
    found = run_recipe(REVERSEGEN, seeds, models, **settings)
    assert found.kept and all(r["prompt"].startswith("zib") for r in found.kept)
    assert judged and all("Message: zib" in text or "Message: plain" in text for text in judged)
    assert {"well, glorb", "a plain reply"} <= {text.partition("Reply: ")[2].split("\n")[0] for text in judged}
    assert {r["completion"] for r in found.kept} == {"Let us speak of something else."}
    assert found.numbers.dropped["reference:fail:violates"] > 0
    notes = found.numbers.notes
    assert notes["round 2: held out before"] < notes["round 2: held out after"] == 1


def test_without_world_judge_or_seeds_enough_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    world = open_world("story-arithmetic")
    monkeypatch.setattr(loop, "train", Trainer(world))
    seeds = world.problems(40, 1)
    bound = {"proposer": FunctionModel(lambda r, d: "x"), "target": FunctionModel(lambda r, d: "x")}
    for rows, settings, hint in (
        (seeds, {}, "role 'judge'"), (seeds[:3], {"world": "story-arithmetic", "held_out": 0.4}, "too few"),
        (seeds, {"world": "story-arithmetic", "pairing": "same"}, "same-prompt"),
        (seeds, {"world": "story-arithmetic", "rounds": 0}, "at least 1"),
        (seeds, {"world": "story-arithmetic", "replay_from": "solve"}, "solved"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=hint):
            run_recipe(REVERSEGEN, rows, bound, **settings)


def test_reversegen_keeps_its_promises(monkeypatch: pytest.MonkeyPatch, keeps_its_promises: Any) -> None:
    world = open_world("story-arithmetic")
    monkeypatch.setattr(loop, "train", Trainer(world))
    both = models_for_maths()

    def answer(request: Request, draw: int) -> Any:
        return both[request.role].answer(request, draw)

    seeds = world.problems(30, 1, **KNOBS["story-arithmetic"])
    keeps_its_promises(REVERSEGEN, seeds, answer, explore=20, rounds=1, world="story-arithmetic", answer_tokens=64)
