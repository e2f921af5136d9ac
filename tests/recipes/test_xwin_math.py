"""xwin-math: only questions found well-posed go on, near copies and benchmark texts do not, answers are read as told."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_key, hash_uniform
from tilth.recipes.maths.xwin_math import xwin_math
from tilth.worlds.registry import open_world

WORLD = open_world("story-arithmetic")
SEEDS = WORLD.problems(20, seed=1)
FRESH = [r["prompt"] for r in WORLD.problems(4000, seed=2)]


def team(ill: float = 0.0, mended: bool = True, error: float = 0.0, unmarked: bool = False) -> FunctionModel:
    """Writes problems of the world, a share of them without their question; checks and mends them; solves."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if text.startswith("Write a wholly new"):
            key = hash_key(text, draw, dict(request.row).get("prompt"))
            problem = FRESH[int.from_bytes(key[:4], "big") % len(FRESH)]
            return problem.rpartition(".")[0] + "." if hash_uniform("ill", problem) < ill else problem
        if text.startswith("Try to solve"):
            problem = text.partition("Problem: ")[2].partition("\n\nWrite three")[0]
            if WORLD.answer(problem):
                return f"[Attempt]\nFine.\n[Verdict]\nwell-posed\n[Problem]\n{problem}"
            whole = next(p for p in FRESH if p.startswith(problem))
            return f"[Attempt]\nWhat is asked?\n[Verdict]\nill-posed\n[Problem]\n{whole if mended else problem}"
        if hash_uniform("error", text, draw) < error:
            return f"So it goes.\n#### {draw + 5000}"
        solution = WORLD.solve(text) or "?"
        return solution.replace("####", "which gives") if unmarked else solution

    return FunctionModel(answer, f"team{ill}{mended}{error}{unmarked}")


def run(model: object, **settings: object) -> Harvested:
    return run_recipe(xwin_math, SEEDS, model, novelty=1.0, **settings)  # type: ignore[arg-type]


def test_well_posed_questions_are_solved_and_kept() -> None:
    found = run(team(), each=2)
    assert len(found.kept) + found.numbers.dropped.get("novelty:near", 0) == 40
    assert all(r["answer"] == WORLD.answer(r["prompt"]) and r["how"] == "marker" for r in found.kept)


def test_ill_posed_questions_are_corrected_and_checked_again() -> None:
    found = run(team(ill=0.4))
    corrected = [r for r in found.kept if r["corrections"] == 1]
    assert corrected and all(WORLD.answer(r["prompt"]) == r["answer"] for r in corrected)
    share = len(corrected) / len(found.kept)
    assert abs(share - 0.4) < 4 * (0.24 / len(found.kept)) ** 0.5


def test_what_stays_ill_posed_is_dropped_and_never_solved() -> None:
    model = team(ill=0.4, mended=False)
    reasons = Counter(reason for _, reason in run(model).dropped)
    assert abs(reasons["check:ill-posed"] - 32) < 4 * (80 * 0.24) ** 0.5
    none = run(team(ill=1.0), corrections=0)
    assert not none.kept and none.numbers.dropped == {"check:ill-posed": 80}


def test_the_vote_keeps_errors_out_that_do_not_agree() -> None:
    one, five = run(team(error=0.3), samples=1), run(team(error=0.3), samples=5, least=0.4)
    wrong = [sum(r["answer"] != WORLD.answer(r["prompt"]) for r in f.kept) / len(f.kept) for f in (one, five)]
    assert wrong[0] > 0.15 and wrong[1] == 0


def test_strict_reading_takes_marked_answers_only() -> None:
    assert run(team(unmarked=True)).numbers.kept == 0
    flexible = run(team(unmarked=True), strict=False)
    assert flexible.kept and {r["how"] for r in flexible.kept} == {"last-number"}


def test_a_near_copy_of_a_seed_or_of_an_accepted_question_is_dropped() -> None:
    same = FunctionModel(lambda r, d: SEEDS[3]["prompt"] if r.text.startswith("Write") else _well_posed(r))
    found = run_recipe(xwin_math, SEEDS, same, each=1)
    assert found.numbers.dropped == {"novelty:near": 20}
    new = FunctionModel(lambda r, d: "How many legs have 7 spiders?" if r.text.startswith("Write") else _well_posed(r))
    found = run_recipe(xwin_math, SEEDS, new, each=1)
    assert len(found.kept) == 1 and found.numbers.dropped == {"novelty:near": 19}


def _well_posed(request: Request) -> str:
    text = request.text
    return "[Attempt]\nx\n[Verdict]\nwell-posed\n[Problem]\nx" if text.startswith("Try") else "7 * 8 = 56\n#### 56"


def test_a_planted_benchmark_text_is_dropped_with_its_name(tmp_path: Path) -> None:
    planted = "How many legs do seven spiders have when two of them have lost one leg each?"
    (tmp_path / "exam.jsonl").write_text(json.dumps({"prompt": planted}) + "\n")
    model = FunctionModel(lambda r, d: f"Now: {planted} Say it!" if r.text.startswith("Write") else _well_posed(r))
    found = run_recipe(xwin_math, SEEDS[:1], model, each=1, benchmarks=str(tmp_path / "exam.jsonl"))
    assert found.numbers.dropped == {"decontaminate:10-gram:exam.jsonl": 1}


@pytest.mark.parametrize(
    "said",
    ["well-posed", "[Attempt]\nx\n[Verdict]\nmaybe\n[Problem]\nx", "[Verdict]\nwell-posed\n[Attempt]\nx\n[Problem]\nx"],
)
def test_a_check_that_cannot_be_read_is_unknown(said: str) -> None:
    model = FunctionModel(lambda r, d: said if r.text.startswith("Try") else f"How many are {draw_name(r)}?")
    assert run_recipe(xwin_math, SEEDS[:1], model, each=1).numbers.dropped == {"check:unknown:unparsed": 1}


def draw_name(request: Request) -> str:
    return hash_key(request.text).hex()[:8]


def test_cut_and_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    cut = FunctionModel(lambda r, d: Reply("How many", finish_reason="length"))
    assert run_recipe(xwin_math, SEEDS, cut, each=1).numbers.dropped == {"reply:cut": 20}
    n = run(open_model("hostile")).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 80
    journal, model = Journal(":memory:"), team(ill=0.3, error=0.2)
    first = run(model, journal=journal)
    sent = model.sent
    again = run(model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
