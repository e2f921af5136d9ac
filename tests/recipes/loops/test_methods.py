"""Each loop does what its method says: what is kept, from where it is trained, what the gate and the alarms decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from tilth.engine.local import Result, run_plan
from tilth.engine.memory import Harvested, run_recipe
from tilth.engine.plan import Plan
from tilth.engine.replay import replay
from tilth.errors import UsageError
from tilth.models.base import Model, Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.models.oracle import Oracle
from tilth.recipes.loops import iterated_backtranslation as backtranslation
from tilth.recipes.loops import lmsi, rest, rest_em, rlaif, rounds, self_rewarding, spin
from tilth.recipes.loops.star import speaks_of_hint
from tilth.recipes.loops.weak_to_strong import gap_recovered
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, Verdict
from tilth.worlds.arithmetic import STORY, SUBTRACTION
from tilth.worlds.policy import POLICY

QUICK = {"max_steps": 10, "learning_rate": 1e-4, "warmup_steps": 2}
PROBLEMS = STORY.problems(30, 3, **SUBTRACTION)


def run(
    folder: Path, recipe: str, rows: Sequence[Any], prompts: Mapping[str, str] | None = None, **settings: Any
) -> Result:
    seeds = folder / "seeds.jsonl"
    seeds.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    plan = Plan(recipe, str(seeds), models={"*": "nano"}, set=settings, prompts=prompts or {})
    done = run_plan(plan, folder / "run", quiet=True)
    assert done.exit_code == 0, done.error
    numbers = done.summary
    assert numbers["candidates"] == numbers["kept"] + sum(numbers["dropped"].values())
    return done


def kept(done: Result) -> list[dict[str, Any]]:
    return list(done.folder.read("data/kept"))


def rebuilt(done: Result) -> list[dict[str, Any]]:
    """Kept rows of a run made anew from its journal, where nothing is trained and nobody asked."""
    again = replay(done.folder.path, done.folder.path.with_name("again"))
    assert again.exit_code == 0, again.error
    assert not (again.folder.path / "artefacts").exists()
    return kept(again)


def record(done: Result, name: str) -> dict[str, Any]:
    found = next(done.folder.path.glob(f"artefacts/{name}-*/model/training.json"))
    return dict(orjson.loads(found.read_bytes()))


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[tuple[str, str, list[Any]]]]:
    """Trainings of a loop that change nothing and are remembered: for what a loop does around them."""

    def without(module: Any) -> list[tuple[str, str, list[Any]]]:
        calls: list[tuple[str, str, list[Any]]] = []

        async def train(ctx: Any, name: str, role: str, method: str, rows: Sequence[Any], **_: Any) -> Model:
            calls.append((name, method, list(rows)))
            return ctx.model(role)  # type: ignore[no-any-return]

        for place in (module, rounds):
            if hasattr(place, "train"):
                monkeypatch.setattr(place, "train", train)
        return calls

    return without


def story(error: float = 0.0, seed: int = 0) -> Oracle:
    return Oracle(STORY, error=error, seed=seed)


def conserved(found: Harvested) -> Harvested:
    assert not found.failed, found.failed
    n = found.numbers
    assert n.candidates == n.kept + sum(n.dropped.values())
    return found


@pytest.mark.train
def test_star_solves_more_of_its_seeds_from_the_original_and_never_stores_a_hint(tmp_path: Path) -> None:
    settings = {"rounds": 2, "steps": 40, "labelled": 8, "warm_up": 20, "gate": "none", "patience": 2}
    done = run(
        tmp_path, "star", PROBLEMS, {"hint": "{problem}\n#### {answer}"}, **settings, training={"learning_rate": 5e-4}
    )
    notes = done.summary["notes"]
    assert notes["round 2: solved"] > notes["round 1: solved"]
    rows = kept(done)
    assert {row["prompt"] for row in rows} <= {row["prompt"] for row in PROBLEMS}
    assert all(STORY.check(row["prompt"], row["completion"]) for row in rows)
    base = str(next(done.folder.path.glob("artefacts/target-0-*/model")))
    assert [record(done, f"target-{r}")["base"] for r in (1, 2)] == [base, base]
    assert [record(done, f"target-{r}")["config"]["max_steps"] for r in (1, 2)] == [40, 48]


def test_a_rationale_that_speaks_of_its_hint_is_known() -> None:
    assert speaks_of_hint("Since the given answer is 7, 3 + 4 = 7")
    assert not speaks_of_hint("3 + 4 = 7\n#### 7")


def test_rest_em_keeps_right_answers_only_at_most_cap_a_problem(untrained: Any) -> None:
    calls = untrained(rest_em)
    found = conserved(run_recipe(rest_em.rest_em, PROBLEMS, story(0.4), rounds=2, samples=6, cap=1, distinct=False))
    assert all(STORY.check(row["prompt"], row["completion"]) for row in found.kept)
    for round in (1, 2):
        prompts = [row["prompt"] for row in found.kept if row.lineage.round == round]
        assert len(prompts) == len(set(prompts)) > 10
    assert {reason for _, reason in found.dropped} >= {"math:fail", "cap:reached"}
    assert [(name, method) for name, method, _ in calls] == [("target-1", "sft"), ("target-2", "sft")]


def test_rest_em_ends_with_the_round_that_is_rejected(untrained: Any) -> None:
    calls = untrained(rest_em)
    run_recipe(rest_em.rest_em, PROBLEMS, story(0.4), rounds=3, samples=2, gate="higher")
    assert len(calls) == 1


def test_a_round_without_a_right_answer_is_collapse_and_trains_nothing(untrained: Any) -> None:
    calls = untrained(rest_em)
    found = conserved(run_recipe(rest_em.rest_em, PROBLEMS, story(1.0), rounds=2, samples=2))
    assert not calls and not found.kept


@pytest.mark.train
def test_rest_em_starts_every_training_from_the_base(tmp_path: Path) -> None:
    done = run(tmp_path, "rest-em", PROBLEMS, rounds=2, samples=2, top_k=None, gate="none", training=QUICK)
    assert record(done, "target-1")["base"] == record(done, "target-2")["base"] == "nano"
    assert done.summary["bound"]["target"]["folder"].startswith("artefacts/target-2-")


def test_rest_trains_on_fewer_rows_as_the_threshold_rises(untrained: Any) -> None:
    calls = untrained(rest)
    found = conserved(
        run_recipe(rest.rest, PROBLEMS, story(0.5), rounds=1, samples=4, thresholds="0.3,0.6,1.0", gate="none", real=0)
    )
    sizes = [len(rows) for _, _, rows in calls]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1] > 0
    assert all(row["reward"] >= 1 for row in calls[-1][2])
    assert len({row.id for row in found.kept}) == len(found.kept) == sizes[0]


def test_rest_refuses_thresholds_that_fall() -> None:
    with pytest.raises(UsageError, match="no rising thresholds"):
        rest.levels_of("0.9,0.5")


def test_lmsi_keeps_what_reaches_the_vote_in_every_format(untrained: Any) -> None:
    calls = untrained(lmsi)
    found = conserved(run_recipe(lmsi.lmsi, PROBLEMS, story(0.3), samples=7, cap=1))
    by_format = {way: [r for r in found.kept if r["format"] == way] for way in lmsi.FORMATS}
    assert len({len(rows) for rows in by_format.values()}) == 1 and len(by_format["direct"]) > 15
    right = [STORY.check(r["prompt"], r["completion"]) for r in by_format["rationale"]]
    assert sum(map(bool, right)) / len(right) > 0.9
    assert all(r["completion"] == f"#### {r['majority']}" for r in by_format["shown-direct"])
    assert all(r["prompt"].count("How many") + r["prompt"].count("Tell how") > 2 for r in by_format["shown-rationale"])
    assert len(calls[0][2]) == len(found.kept)


def test_a_vote_that_is_worse_than_one_sample_is_said_to_do_harm() -> None:
    rows = [Row({"prompt": "p"}, "1")]
    replies = [[Reply("#### 3"), Reply("#### 3"), Reply("#### 4")]]

    def said(*right: bool) -> list[list[Verdict]]:
        return [[Verdict("math", PASS if r else FAIL) for r in right]]

    assert lmsi.expected(rows, replies, said(False, False, True))["expected harm"] == 1
    assert "expected harm" not in lmsi.expected(rows, replies, said(True, True, False))


@pytest.mark.train
def test_spin_starts_at_indifference_and_leaves_out_what_it_writes_already(tmp_path: Path) -> None:
    done = run(
        tmp_path, "spin", PROBLEMS, rounds=1, least=1, gate="none", training={"max_steps": 4, "learning_rate": 1e-6}
    )
    assert record(done, "target-1")["losses"][0] == pytest.approx(math.log(2), abs=1e-3)
    assert done.summary["dropped"]["pair:fail:identical"] > 0
    assert all(row["chosen"] != row["rejected"] for row in kept(done))
    assert abs(done.summary["notes"]["round 1: margin"]) < 0.05
    assert rebuilt(done) == kept(done)


@pytest.mark.train
def test_spin_ends_when_its_answers_are_the_written_ones(tmp_path: Path) -> None:
    done = run(tmp_path, "spin", PROBLEMS, least=10_000)
    assert done.summary["notes"]["round 1: ended by too few pairs"] == 1
    assert not list(done.folder.path.glob("artefacts/*"))


def judging(points: Callable[[str], int]) -> FunctionModel:
    """Answers problems rightly or wrongly by draw, and judges by `points` of the answer."""

    def answer(request: Request, draw: int) -> str:
        if "Score:" in request.text:
            said = request.text.partition("Answer:\n")[2].partition("\n\nSay in")[0]
            return f"Weighed.\nScore: {points(said)}"
        right = STORY.solve(request.text) or ""
        return right if draw % 2 else f"Let me think about it, long and hard.\n{right}0"

    return FunctionModel(answer)


def test_self_rewarding_prefers_what_it_scores_higher_and_drops_ties(untrained: Any) -> None:
    calls = untrained(self_rewarding)
    good = judging(lambda said: 0 if said.startswith("Let") else 5)
    found = conserved(run_recipe(self_rewarding.self_rewarding, PROBLEMS, good, rounds=1, samples=4))
    assert len(found.kept) == len(calls[0][2]) == 24
    assert all(STORY.check(r["prompt"], r["chosen"]) and r["margin"] == 5 for r in found.kept)
    flat = conserved(run_recipe(self_rewarding.self_rewarding, PROBLEMS, judging(lambda said: 3), rounds=1, samples=4))
    assert not flat.kept and {reason for _, reason in flat.dropped} == {"pair:tie"}


def test_self_rewarding_is_stopped_when_it_learns_length(untrained: Any) -> None:
    calls = untrained(self_rewarding)
    run_recipe(
        self_rewarding.self_rewarding, PROBLEMS, judging(lambda said: min(5, len(said) // 10)), rounds=3, samples=2
    )
    assert len(calls) == 1


@pytest.mark.train
def test_weak_to_strong_measures_every_student_and_the_gap(tmp_path: Path) -> None:
    rows = [{"prompt": r["prompt"], "answer": str(int(r["answer"]) % 2)} for r in PROBLEMS]
    training = {"max_steps": 5, "learning_rate": 1e-3}
    done = run(
        tmp_path, "weak-to-strong", rows, gate="none", samples=3, weak_training=training, training=training, share=0.6
    )
    notes = done.summary["notes"]
    assert {"round 1: weak", "round 1: plain", "round 1: confidence", "round 1: ceiling", "round 1: control"} <= set(
        notes
    )
    for row in kept(done):
        assert row["completion"] in ("#### 0", "#### 1") and sum(row["belief"]) == pytest.approx(1)
    assert done.summary["bound"]["strong"]["folder"].startswith("artefacts/confidence-")
    assert rebuilt(done) == kept(done)


def test_a_weak_model_without_a_readable_label_ends_weak_to_strong_before_a_training() -> None:
    from tilth.recipes.loops.weak_to_strong import weak_to_strong

    mute = FunctionModel(lambda request, draw: "who knows", "mute")
    found = conserved(run_recipe(weak_to_strong, PROBLEMS, {"weak": mute, "strong": mute}, train_weak=False, aux=0.0))
    assert not found.kept and {reason for _, reason in found.dropped} == {"weak:unknown:no-label"}
    assert found.numbers.notes["round 1: ended by no readable label"] == 1


def test_the_gap_recovered_is_0_for_a_copy_of_the_weak_1_for_the_ceiling_and_not_given_without_a_gap() -> None:
    weak, ceiling = [0.0] * 60 + [1.0] * 40, [0.0] * 10 + [1.0] * 90
    assert gap_recovered(weak, weak, ceiling) == 0
    assert gap_recovered(weak, ceiling, ceiling) == 1
    assert gap_recovered(weak, ceiling, weak) is None


PASSAGES = [
    *({k: row[k] for k in ("prompt", "completion", "answer")} for row in PROBLEMS[:10]),
    *({"text": row["completion"]} for row in PROBLEMS[10:]),
]
ASKS = {row["completion"]: row["prompt"] for row in PROBLEMS[10:]}
"""What each passage answers."""


def test_backtranslation_keeps_requests_whose_answer_comes_back(untrained: Any) -> None:
    calls = untrained(backtranslation)
    other = STORY.problems(1, 77, **SUBTRACTION)[0]["prompt"]

    def backward(request: Request, draw: int) -> str:
        return next(a for text, a in ASKS.items() if text in request.text) if draw == 0 else other

    models = {"backward": FunctionModel(backward), "target": story()}
    recipe = backtranslation.iterated_backtranslation
    found = conserved(
        run_recipe(
            recipe, PASSAGES, models, curate="roundtrip", whole=True, tags=False, samples=2, rounds=1, held_out=0.3
        )
    )
    assert {row["prompt"] for row in found.kept} == set(ASKS.values())
    assert "roundtrip:fail" in {reason for _, reason in found.dropped}
    assert [name for name, _, _ in calls] == ["backward-0", "target-0", "target-1"]
    assert len(calls[2][2]) == 7 + 20


def test_backtranslation_by_score_tells_seeds_from_texts_by_their_system_message(untrained: Any) -> None:
    calls = untrained(backtranslation)

    def target(request: Request, draw: int) -> str:
        if "Score:" in request.text:
            return f"Reasons.\nScore: {3 if 'Count the heap' in request.text else 5}"
        return STORY.solve(request.text) or ""

    def backward(request: Request, draw: int) -> str:
        return next(a for text, a in ASKS.items() if text in request.text) if draw == 0 else "Count the heap of things."

    models = {"backward": FunctionModel(backward), "target": FunctionModel(target)}
    found = conserved(
        run_recipe(
            backtranslation.iterated_backtranslation, PASSAGES, models, whole=True, samples=2, rounds=1, held_out=0.3
        )
    )
    assert len(found.kept) == 20 and all(row["score"] == 5 for row in found.kept)
    systems = {row["prompt"][0]["content"] for row in calls[-1][2]}
    assert len(systems) == 2


def test_rlaif_fine_tunes_on_revisions_and_then_prefers_what_the_judge_prefers(untrained: Any) -> None:
    calls = untrained(rlaif)
    rows = [{k: r[k] for k in ("prompt", "answer")} for r in POLICY.problems(30, 5)]

    def target(request: Request, draw: int) -> str:
        prompt = str(request.row["prompt"])
        from random import Random

        return (POLICY.solve(prompt) if draw % 2 else POLICY.corrupt(prompt, Random(1))) or ""

    def critic(request: Request, draw: int) -> str:
        return (
            f"Revision:\n{POLICY.solve(str(request.row['prompt']))}"
            if "Revision:" in request.text
            else "Critique:\nNo."
        )

    def judge(request: Request, draw: int) -> str:
        shown = request.text.partition("Answer A:")[2].partition("Answer B:")[0]
        return "A" if POLICY.check(str(request.row["prompt"]), shown) else "B"

    models = {"target": FunctionModel(target), "critic": FunctionModel(critic), "judge": FunctionModel(judge)}
    found = conserved(run_recipe(rlaif.rlaif, rows, models, check="world:invented-policy"))
    assert [(name, method, len(made)) for name, method, made in calls] == [
        ("target-1", "sft", 24),
        ("target-2", "dpo", 24),
    ]
    assert all(POLICY.check(r["prompt"], r["completion"]) for r in calls[0][2])
    assert all(
        POLICY.check(r["prompt"], r["chosen"]) and not POLICY.check(r["prompt"], r["rejected"]) for r in calls[1][2]
    )
    assert len(found.kept) == 48


def test_spin_needs_a_model_with_weights_here() -> None:
    with pytest.raises(UsageError, match="no weights here"):
        run_recipe(spin.spin, PROBLEMS, story(0.5), least=1)
