"""wizardmath: depth rises and falls by one with a program that evolves; the vote, the ranking and the labels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tilth.engine.memory import run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes.maths.wizardmath import labels_of, rewrite_problem, wizardmath
from tilth.worlds.registry import open_world
from tilth.worlds.stories import Phrase, read_story
from tilth.worlds.tree import steps

WORLD = open_world("story-arithmetic")
SEEDS = WORLD.problems(6, seed=1, steps=(2,), operators="+")


def depth(problem: str) -> int:
    story = read_story(problem)
    assert story is not None
    return len(steps(story.tree))


def evolver(error: float = 0.0) -> FunctionModel:
    """Adds an event to a story or takes the last one away; solves with a known error rate; judges by length."""

    def answer(request: Request, draw: int) -> str:
        text, story = request.text, read_story(request.text)
        if text.startswith("Which of these"):
            return "Longer is better here.\n2 > 1"
        if text.startswith("Check the solution"):
            count = int(text.rpartition("each of the ")[2].split()[0])
            return "\n".join(f"{i}. good" for i in range(1, count + 1))
        assert story is not None
        if text.startswith("Make the maths problem below somewhat"):
            return str(replace(story, events=(*story.events, Phrase("finds", (draw + 2,)))))
        if text.startswith("Make the maths problem below easier"):
            return str(replace(story, events=story.events[:-1] or story.events))
        if hash_uniform(text, draw) < error:
            return f"A slip.\n#### {draw + 10_000}"
        return WORLD.solve(text) or ""

    return FunctionModel(answer, f"evolver{error}")


def both(model: FunctionModel) -> dict[str, FunctionModel]:
    return {"generator": model, "judge": model}


def test_upwards_adds_exactly_one_step_and_the_answer_is_right() -> None:
    found = run_recipe(wizardmath, SEEDS, evolver(), turns=3, directions="up", width=1)
    assert len(found.kept) == 18 and not found.dropped
    for row in found.kept:
        assert depth(row["prompt"]) == depth(row["parent"]) + 1 == 2 + row["turn"]
        assert row["answer"] == WORLD.answer(row["prompt"])


def test_downwards_takes_exactly_one_step_away() -> None:
    found = run_recipe(wizardmath, SEEDS, evolver(), turns=1, directions="down", width=1)
    assert [depth(r["prompt"]) for r in found.kept] == [1] * 6


def test_without_a_consensus_the_problem_is_put_aside_and_the_parent_goes_on() -> None:
    found = run_recipe(wizardmath, SEEDS, evolver(1.0), turns=2, directions="up", width=1)
    assert not found.kept and set(found.numbers.dropped) == {"agreement:unknown:no-majority"}
    assert {r["parent"] for r, _ in found.dropped} == {s["prompt"] for s in SEEDS}


def test_kept_follows_the_law_of_the_vote() -> None:
    """With error e three samples agree at two thirds with probability (1-e)^3 + 3 e (1-e)^2: errors never agree."""
    e, seeds = 0.3, WORLD.problems(300, seed=4, steps=(1,), operators="+")
    found = run_recipe(wizardmath, seeds, evolver(e), turns=1, directions="up", width=1)
    p = (1 - e) ** 3 + 3 * e * (1 - e) ** 2
    assert abs(len(found.kept) - 300 * p) < 4 * (300 * p * (1 - p)) ** 0.5
    assert all(r["answer"] == WORLD.answer(r["prompt"]) for r in found.kept)


def test_the_judges_ranking_and_labels_become_rewards_and_the_best_goes_on() -> None:
    found = run_recipe(wizardmath, SEEDS[:1], both(evolver()), turns=2, directions="up")
    assert [r["irm"] for r in found.kept] == [0.5, 1.0, 0.5, 1.0]
    assert all(r["prm"] == 1.0 and r["reward"] == r["irm"] for r in found.kept)
    assert found.kept[2]["parent"] == found.kept[1]["prompt"]
    assert found.kept[2].lineage.parents == (found.kept[1].id,)


def test_a_reward_is_zero_when_a_step_is_wrong_whatever_the_judge_says() -> None:
    assert labels_of("1. good\n2. good\n3. neutral", "2 + 2 = 4\n4 + 1 = 6\n#### 6") == ["good", "wrong", "neutral"]
    assert labels_of("1. good\n2. Wrong.", "a\nb") == ["good", "wrong"]
    for text in ("1. good", "1. good\n2. fine", "", "1. good\n2. good\n3. good"):
        assert labels_of(text, "a\nb") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Ann has 2 pens and 3 caps. How many?", "rewrite:unchanged"),
        ("Ann has 2 pens and  3 caps. How many?", "rewrite:unchanged"),
        ("Ann has 2 pens and 4 caps. How many?", None),
        ("Ann has 2 pens, 3 caps and 4 hats. How many?", None),
        ("Ann has 5 pens. How many?\n#### 5", "rewrite:answer-leaked"),
        ("Ann has 5 pens. How many?\nAnswer: 5", "rewrite:answer-leaked"),
        ("Ann gives an answer to 5 questions. How many more than 2?", None),
        ("I'm sorry, I cannot.", "rewrite:refusal"),
    ],
)
def test_each_filter_of_a_rewrite_has_a_case_and_a_near_miss(text: str, reason: str | None) -> None:
    assert rewrite_problem(text, "Ann has 2 pens and 3 caps. How many?") == reason


def test_a_rewrite_that_was_there_before_is_put_aside_in_its_turn_and_later() -> None:
    def answer(request: Request, draw: int) -> str:
        return f"How many are {3 + draw // 2} and 4?" if request.text.startswith("Make the maths") else "#### 7"

    found = run_recipe(wizardmath, [{"prompt": "Add 2 and 4?"}], FunctionModel(answer), turns=2, directions="up")
    assert [r["prompt"] for r in found.kept] == ["How many are 3 and 4?"]
    assert found.numbers.dropped == {"rewrite:repeated": 1, "rewrite:unchanged": 2}


def test_an_unknown_direction_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="sideways"):
        run_recipe(wizardmath, SEEDS, evolver(), directions="sideways")


def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    bad = both(open_model("hostile"))  # type: ignore[arg-type]
    n = run_recipe(wizardmath, SEEDS, bad, turns=3).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) + n.failed == 36 and n.failed == 0
    journal, model = Journal(":memory:"), evolver(0.3)
    first = run_recipe(wizardmath, SEEDS, both(model), turns=2, journal=journal)
    sent = model.sent
    again = run_recipe(wizardmath, SEEDS, both(model), turns=2, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
