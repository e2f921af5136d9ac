"""social-sandbox: in a society with a scalar norm ratings rise by feedback and memory, and an isolated agent learns nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import ModelError, Request
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe
from tilth.recipes.align.social_sandbox import neighbours

SANDBOX = load_recipe("social-sandbox")
QUESTIONS = [{"prompt": f"question {n}?"} for n in range(12)]


def kindness(text: str) -> int:
    return int(re.findall(r"kindness (\d)", text)[-1])


def norm(request: Request, draw: int) -> str:
    """An answer is a kindness from 1 to 7. A draft starts at 2, or where memory left off; a misled one at 1; each voice of
    feedback that asks for more adds one."""
    text = request.text
    if request.role == "judge":
        level = kindness(text)
        return json.dumps({"alignment": level, "engagement": level})
    if "Tell them in two" in text:
        return "Be kinder." if kindness(text) < 7 else "That is good."
    if "Write your answer anew" in text:
        return f"kindness {min(7, kindness(text) + text.count('Be kinder.'))}"
    if "own advantage" in text:
        return "kindness 1"
    past = re.search(r"You answered: kindness (\d)", text)
    return f"kindness {past[1] if past else 2}"


def run(answer: Any = norm, rows: Any = QUESTIONS, **settings: Any) -> Any:
    return run_recipe(SANDBOX, rows, FunctionModel(answer), **{"misled": 0.0, "agents": 4, **settings})


def ratings(found: Any, rounds: int, a_round: int) -> list[float]:
    return [found.numbers.notes[f"rating in round {n}, summed"] / a_round for n in range(1, rounds + 1)]


@pytest.mark.parametrize(
    ("place", "agents", "around"), [(4, 9, [1, 7, 3, 5]), (0, 9, [6, 3, 2, 1]), (0, 4, [2, 1]), (0, 1, []), (1, 2, [0])]
)
def test_neighbours_stand_around_an_agent_on_joined_edges(place: int, agents: int, around: list[int]) -> None:
    assert sorted(neighbours(place, agents)) == sorted(around)
    assert all(place in neighbours(n, agents) for n in around)


def test_ratings_rise_over_rounds_by_feedback_and_memory() -> None:
    assert ratings(run(), 3, 4) == [4.0, 6.0, 7.0]
    assert ratings(run(memory=0), 3, 4) == [4.0, 4.0, 4.0]


def test_an_isolated_agent_does_not_improve() -> None:
    found = run(most_neighbours=0)
    assert ratings(found, 3, 4) == [2.0, 2.0, 2.0] and found.numbers.dropped == {"observer:fail:low-rating": 12}
    assert {r["kind"] for r, _ in found.dropped} == {"imitation"}


def test_the_three_kinds_of_record_have_their_own_conditions() -> None:
    found = run(misled=0.5, passes=2)
    kinds = {k: [r for r in found.kept if r["kind"] == k] for k in ("imitation", "self-critique", "realignment")}
    assert all(r["rating"] >= 6 for r in kinds["imitation"])
    assert all(r["margin"] >= 1 and kindness(r["completion"]) > kindness(r["rejected"]) for r in kinds["self-critique"])
    assert kinds["realignment"] and all(r["rejected"] == "kindness 1" for r in kinds["realignment"])
    assert all("Be kinder." in r["prompt"] for r in kinds["realignment"])
    assert found.numbers.candidates == 2 * 24
    kept = [len(run(least_rating=rating, least_gain=9.0).kept) for rating in (7.0, 6.0, 4.0, 1.0)]
    assert kept == [4, 8, 12, 12]


def test_an_observer_who_cannot_be_read_makes_unknown_rows() -> None:
    found = run(lambda r, d: "fine" if r.role == "judge" else norm(r, d))
    assert found.numbers.dropped == {"observer:unknown:unparsed": 24}


def test_failed_requests_and_refusals_cost_their_own_question_only() -> None:
    def flaky(request: Request, draw: int) -> str:
        if "question 3?" in request.text.rsplit("Question: ", 1)[-1]:
            raise ModelError("down")
        drafting = "Answer the question" in request.text
        return "I'm sorry, I cannot." if drafting and "Question: question 5?" in request.text else norm(request, draw)

    found = run(flaky)
    assert found.numbers.dropped["model:failed"] == 1 and found.numbers.dropped["reply:refusal"] == 1
    assert found.numbers.candidates == 22 and not found.failed


def test_social_sandbox_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(SANDBOX, QUESTIONS, norm, agents=4).kept
