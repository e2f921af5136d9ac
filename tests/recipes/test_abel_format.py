"""abel-format: the restatement keeps numbers and question, the answer stays, and forms come at equal data."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine.memory import run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes.maths.abel_format import abel_format, asks_the_same, figures, form_problem
from tilth.worlds.registry import open_world

ROWS = open_world("story-arithmetic").problems(40, seed=3)


def formatter(lost: float = 0.0, wrong: float = 0.0) -> FunctionModel:
    """Brings solutions into the form; loses a number or gets the answer wrong at known rates."""

    def answer(request: Request, draw: int) -> str:
        problem, _, solution = request.text.partition("Problem: ")[2].partition("\n\nSolution:\n")
        steps = [line for line in solution.splitlines() if not line.startswith("####")]
        final = int(solution.rpartition("#### ")[2])
        if hash_uniform("lost", problem, draw) < lost:
            problem = re.sub(r"\d+", "some", problem, count=1)
        if hash_uniform("wrong", problem, draw) < wrong:
            final += 1
        listed = "\n".join(f"{i}. {s}" for i, s in enumerate(steps, 1))
        return f"[Restatement]\nIt is told that {problem}\n[Steps]\n{listed}\n#### {final}"

    return FunctionModel(answer, f"formatter{lost}{wrong}")


def test_every_row_has_the_form_and_the_known_answer() -> None:
    found = run_recipe(abel_format, ROWS, formatter())
    assert len(found.kept) == 40 and not found.dropped
    for row, seed in zip(found.kept, ROWS, strict=True):
        assert row["answer"] == seed["answer"] and form_problem(row["completion"], seed["prompt"]) is None


def test_what_is_lost_or_wrong_is_dropped_at_exactly_its_rate() -> None:
    found = run_recipe(abel_format, ROWS, formatter(lost=0.3, wrong=0.2), tries=1)
    reasons = Counter(reason for _, reason in found.dropped)
    lost = [hash_uniform("lost", r["prompt"], 0) < 0.3 for r in ROWS]
    assert reasons["restatement:numbers"] == sum(lost)
    wrong = sum(hash_uniform("wrong", r["prompt"], 0) < 0.2 and not gone for r, gone in zip(ROWS, lost, strict=True))
    assert reasons["math:fail"] == wrong and len(found.kept) == 40 - sum(lost) - wrong


def test_a_problem_stands_in_all_formats_or_in_none() -> None:
    found = run_recipe(abel_format, ROWS, formatter(lost=0.5), tries=1, formats="steps rationale answer")
    kept = Counter(r["format"] for r in found.kept)
    assert kept["steps"] == kept["rationale"] == kept["answer"] < 40
    by_format = {f: {r["prompt"] for r in found.kept if r["format"] == f} for f in kept}
    assert len({frozenset(p) for p in by_format.values()}) == 1


def test_a_second_try_is_a_fresh_draw() -> None:
    one = run_recipe(abel_format, ROWS, formatter(lost=0.5), tries=1)
    two = run_recipe(abel_format, ROWS, formatter(lost=0.5), tries=2)
    assert len(two.kept) > len(one.kept) and two.numbers.candidates == 40 + len(one.dropped)


def test_a_wrong_equation_is_dropped_even_with_the_right_answer() -> None:
    row = {"prompt": "Ann has 2 pens and 3 caps. How many things does Ann have?", "answer": "5", "completion": "x"}
    text = "[Restatement]\nThere are 2 pens and 3 caps; how many things are Ann's?\n[Steps]\n1. 2 + 3 = 6\n#### 5"
    found = run_recipe(abel_format, [row], FunctionModel(lambda r, d: text), tries=1)
    assert [reason for _, reason in found.dropped] == ["steps:fail:arithmetic"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Restatement]\nTwo pens, 3 caps: how many things?\n[Steps]\n1. Add.\n#### 5", None),
        ("[Restatement]\n2 pens, 3 caps, 3 things?\n[Steps]\n1. Add.\n#### 5", "restatement:numbers"),
        ("[Restatement]\n2 pens, some caps: how many things?\n[Steps]\n1. Add.\n#### 5", "restatement:numbers"),
        ("[Restatement]\n2 pens, 3 caps: what do they cost?\n[Steps]\n1. Add.\n#### 5", "restatement:question"),
        ("[Restatement]\n2 pens, 3 caps: how many things?\n[Steps]\nAdd.\n#### 5", "parse:unknown:no-steps"),
        ("[Restatement]\n2 pens, 3 caps: how many things?\n[Steps]\n1. Five.", "parse:unknown:no-answer-line"),
        ("[Steps]\n1. Add.\n[Restatement]\n2 pens\n#### 5", "parse:unknown:headings"),
        ("2 + 3 = 5\n#### 5", "parse:unknown:headings"),
    ],
)
def test_each_check_of_the_form_has_a_case(text: str, reason: str | None) -> None:
    assert form_problem(text, "Ann has 2 pens and three caps. How many things are there?") == reason


def test_numbers_count_by_value_and_number_words_count() -> None:
    assert figures("1,000 and 1000.0 and twelve") == {1000: 2, 12: 1}
    assert figures("half of $4.50") == figures("1/2 of 4.5 dollars")


@given(st.lists(st.integers(2, 99), min_size=1, max_size=5))
def test_the_order_of_numbers_does_not_matter(numbers: list[int]) -> None:
    assert figures(" and ".join(map(str, numbers))) == figures(" or ".join(map(str, reversed(numbers))))


def test_a_question_without_content_words_asks_the_same_as_any() -> None:
    assert asks_the_same("Add 2 and 3. How many?", "whatever")
    assert not asks_the_same("How many marbles remain?", "How many are there?")


def test_a_cut_reply_is_never_trusted_and_an_unknown_format_is_refused() -> None:
    cut = FunctionModel(lambda r, d: Reply("[Restatement]", finish_reason="length"))
    assert run_recipe(abel_format, ROWS[:2], cut, tries=1).numbers.dropped == {"reply:cut": 2}
    with pytest.raises(UsageError, match="prose"):
        run_recipe(abel_format, ROWS[:1], cut, formats="prose")


def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run_recipe(abel_format, ROWS, open_model("hostile")).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 80 and not n.failed
    journal, model = Journal(":memory:"), formatter(0.3, 0.3)
    first = run_recipe(abel_format, ROWS, model, journal=journal)
    sent = model.sent
    again = run_recipe(abel_format, ROWS, model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
