"""metamath: masks are exact, every kind is kept only at the value it must have."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine import run_recipe
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe
from tilth.recipes.maths.metamath import last_sentence, masks

QUESTION = (
    "Tom has 3 boxes of $4.50 pens, and twelve caps. He gives away half of the 1,000 clips (2 left). "
    "How many pens are 7 boxes?"
)


def test_each_number_token_is_hidden_once_with_its_signs_kept() -> None:
    assert [(m.token, m.value) for m in masks(QUESTION)] == [
        ("3", "3"), ("$4.50", "4.50"), ("twelve", "12"), ("half", "1/2"), ("1,000", "1000"), ("7", "7"),
    ]  # fmt: skip
    assert masks("It costs $5, then 20%.")[0].question == "It costs $x, then 20%."
    assert masks("It costs $5, then 20%.")[1].question == "It costs $5, then x%."


@pytest.mark.parametrize(
    "token", ["x1", "3:00", "(2", "2)", "3*4", '"5"', "+5", "7–8", "-3", "4\n5", "third", "fifth", "tent"]
)
def test_a_token_that_is_no_plain_number_is_left_alone(token: str) -> None:
    assert masks(f"a {token} b") == []


@pytest.mark.parametrize("token", ["1/2", "3.5", "[2]", "{4}", "5=5"])
def test_the_signs_that_the_release_allows_are_allowed(token: str) -> None:
    assert [m.token for m in masks(f"a {token} b")] == [token]


@given(st.text(st.sampled_from("ab 0123456789.,$%half-x/"), max_size=60))
def test_a_mask_changes_one_token_and_putting_the_value_back_restores_the_question(text: str) -> None:
    for m in masks(text):
        assert m.restored() == text
        assert sum(a != b for a, b in zip(text.split(" "), m.question.split(" "), strict=True)) == 1


def test_sentences_are_not_split_at_decimal_points() -> None:
    assert last_sentence("She paid 2.50 dollars. How much is 3.5 kg?") == (
        "She paid 2.50 dollars.",
        "How much is 3.5 kg?",
    )


def solver(wrong: set[str] = frozenset()) -> FunctionModel:  # type: ignore[assignment]
    """Solves a + b = c forwards and backwards; answers 0 for the kinds named in `wrong`."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if text.startswith("Say the problem"):
            return "In other words: I own 2 nuts and find 3 nuts. How many nuts are mine?"
        if text.startswith("Turn a question"):
            return "I have 5 nuts in all."
        kind = (
            "sv"
            if "must the unknown" in text
            else "fobar"
            if "Suppose we" in text
            else "rephrase"
            if "other words" in text
            else "ansaug"
        )
        known = int(re.findall(r"\d", text.partition("Problem:")[2])[0])
        value = {"sv": 5 - known, "fobar": 5 - known}.get(kind, 5)
        return f"Step for draw {draw}: 5 - {value} = {5 - value}.\n#### {0 if kind in wrong else value}"

    return FunctionModel(answer, "solver")


ROW = {"prompt": "I have 2 nuts and find 3 nuts. How many nuts do I have in all?", "answer": "2 + 3 = 5\n#### 5"}


def test_all_four_kinds_are_kept_with_the_value_they_must_have() -> None:
    found = run_recipe(load_recipe("metamath"), [ROW], solver(), answers=3, rephrases=2, solves=2)
    kinds = Counter(r["type"] for r in found.kept)
    assert kinds == {"ansaug": 1, "rephrase": 2, "sv": 2, "fobar": 2}
    assert {(r["masked_value"], r["answer"]) for r in found.kept if r["type"] in ("sv", "fobar")} == {
        ("2", "2"),
        ("3", "3"),
    }
    assert all(r["original_question"] == ROW["prompt"] for r in found.kept)
    n = found.numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 3 + 4 + 4 + 4


@pytest.mark.parametrize("kind", ["ansaug", "rephrase", "sv", "fobar"])
def test_a_wrong_solution_drops_its_own_kind_only(kind: str) -> None:
    found = run_recipe(load_recipe("metamath"), [ROW], solver({kind}), answers=2, rephrases=1, solves=1)
    assert kind not in {r["type"] for r in found.kept}
    assert set(found.numbers.dropped) <= {f"{kind}:math:fail", "ansaug:same-route"}


def test_the_number_kept_follows_the_binomial_law_of_the_models_error_rate() -> None:
    from tilth.models import open_model
    from tilth.worlds.registry import open_world

    rows = open_world("story-arithmetic").problems(300, seed=6)
    oracle = open_model("oracle:story-arithmetic?error=.3")
    found = run_recipe(load_recipe("metamath"), rows, oracle, types="ansaug", answers=1)
    assert abs(len(found.kept) - 210) < 4 * (300 * 0.3 * 0.7) ** 0.5


def test_hostile_replies_lose_nothing() -> None:
    from tilth.models import open_model

    found = run_recipe(load_recipe("metamath"), [ROW] * 10, open_model("hostile"), answers=2, rephrases=2, solves=1)
    n = found.numbers
    assert not found.failed and n.candidates == n.kept + sum(n.dropped.values())
