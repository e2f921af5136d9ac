from __future__ import annotations

import asyncio
import json

import pytest

from tilth.models.base import Reply
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict
from tilth.verify.step_judge import StepJudgeVerifier
from tilth.verify.step_values import StepValuesVerifier
from tilth.verify.stepwise import first_wrong, labelled, locating, segment, steps_of, up_to_first_wrong

SOLUTION = "There are 3 boxes of 4.\n3 * 4 = 12\n12 + 1 = 13\n#### 13"


def rated(text, completion=SOLUTION):
    async def ask(role, messages, *, schema=None, **sampling):
        return Reply(text)

    row = Row({"prompt": "How many?", "completion": completion}, "r")
    return asyncio.run(StepJudgeVerifier(retries=0).verify_rows([row], ask))[0]


def said(*ratings):
    return json.dumps({"reason": "so", "ratings": list(ratings)})


@pytest.mark.parametrize(
    ("text", "reason", "labels"),
    [
        (said(0, 1, 1, 1), "step-judge:pass", [0, 1, 1, 1]),
        (said(1, 1, -1, 1), "step-judge:fail:step", [1, 1, -1]),
        ("The third adds one for nothing.\nRatings: 1, 1, -1, -1", "step-judge:fail:step", [1, 1, -1]),
        (said(1, 1, 1), "step-judge:unknown:unparsed", None),
        (said(1, 1, 1, 2), "step-judge:unknown:unparsed", None),
        (said(1, 1, True, 1), "step-judge:unknown:unparsed", None),
        ("Ratings: 1, 1, good, 1", "step-judge:unknown:unparsed", None),
        ("1, 1, 1, 1", "step-judge:unknown:unparsed", None),
    ],
)
def test_every_step_is_rated_or_nothing_is_read(text, reason, labels):
    verdict = rated(text)
    assert verdict.reason == reason
    assert verdict.evidence.get("labels") == labels


def test_the_first_wrong_step_is_named_and_gives_a_row_in_prm800ks_form():
    verdict = rated(said(1, 1, -1, -1))
    assert verdict.evidence["first_wrong_step"] == 2
    assert verdict.evidence["step"] == "12 + 1 = 13"
    assert verdict.score == 0.5
    row = labelled(Row({"prompt": "How many?", "completion": SOLUTION}, "r"), verdict)
    assert (len(row["completions"]), row["labels"]) == (3, [1, 1, -1])


def test_nothing_and_too_much_are_not_rated():
    assert rated("", "").reason == "step-judge:unknown:no-answer"
    assert rated("", "a\n" * 100).reason == "step-judge:unknown:many-steps"


def test_steps_are_lines_or_the_sentences_of_a_single_line():
    assert segment("a\n\n b ") == ["a", "b"]
    assert segment("We add. It is 5.") == ["We add.", "It is 5."]
    assert steps_of({"completions": ["x", "y"], "completion": "z"}) == ["x", "y"]
    assert up_to_first_wrong([1, -1, 1, -1]) == [1, -1]


class World:
    """A model that continues rightly from a right prefix and at a rate from others; prefixes are told by their last line."""

    def __init__(self, rates):
        self.rates, self.draws = rates, {}

    async def __call__(self, role, messages, *, schema=None, **sampling):
        assert role == "generator"
        last = messages.splitlines()[-1]
        draw = self.draws[last] = self.draws.get(last, -1) + 1
        return Reply(f"so\n#### {13 if draw % 4 < self.rates[last] * 4 else 99}")


def valued(rates, completion=SOLUTION, answer="13"):
    row = Row({"prompt": "How many?", "completion": completion, "answer": answer}, "r")
    return asyncio.run(StepValuesVerifier(rollouts=4).verify_rows([row], World(rates)))[0]


FIRST, SECOND, THIRD = SOLUTION.splitlines()[:3]


def test_values_by_rollout_find_the_planted_first_error():
    right = valued({FIRST: 0.75, SECOND: 1.0, THIRD: 0.25})
    assert right.reason == "step-values:pass"
    assert (right.evidence["values"], right.evidence["labels"]) == ([0.75, 1.0, 0.25, 1.0], [1, 1, 0, 1])
    assert right.score == pytest.approx(0.1875)
    wrong = valued({FIRST: 0.5, SECOND: 0.0})
    assert wrong.evidence["first_wrong_step"] == 1


def test_a_problem_beyond_the_model_says_nothing_of_the_steps():
    assert valued({FIRST: 0.0, "(nothing yet)": 0.0}).reason == "step-values:unknown:beyond-model"
    assert valued({FIRST: 0.0, "(nothing yet)": 0.5}).evidence["first_wrong_step"] == 0


def test_a_wrong_equation_is_wrong_without_any_rollout():
    verdict = valued({FIRST: 1.0}, SOLUTION.replace("3 * 4 = 12", "3 * 4 = 11"))
    assert verdict.evidence["first_wrong_step"] == 1


def test_locating_counts_exact_places_and_unknown_as_nothing():
    verdicts = [
        Verdict("v", "fail", evidence={"first_wrong_step": 2}), Verdict("v", "fail", evidence={"first_wrong_step": 1}),
        Verdict("v", "pass"), Verdict("v", "unknown"),
    ]  # fmt: skip
    found = locating(verdicts, [first_wrong([1, 1, -1]), first_wrong([1, 1, -1]), first_wrong([1]), first_wrong([1])])
    assert (found["erroneous"], found["correct"], found["f1"]) == (0.5, 0.5, 0.5)
