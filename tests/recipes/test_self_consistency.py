"""self-consistency: the vote's rates follow the multinomial law."""

from __future__ import annotations

from math import comb

import pytest

from tilth.engine import run_recipe
from tilth.models import open_model
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe
from tilth.verify.math import check_answer
from tilth.worlds.registry import open_world


def run(answers: list[str], **settings: object) -> object:
    model = FunctionModel(lambda r, d: f"#### {answers[d]}" if answers[d] else "no idea", "m")
    return run_recipe(load_recipe("self-consistency"), [{"prompt": "q"}], model, k=len(answers), **settings)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (["5", "5", "5", "6", "7"], None),
        (["5", "6", "6", "6", "7"], "agreement:fail"),
        (["5", "5", "6", "6", "7"], "agreement:unknown:no-majority"),
        (["5", "5", "6", "7", "8"], "agreement:unknown:no-majority"),
        (["", "5", "5", "5", "5"], "agreement:unknown:no-answer"),
        (["5", "5.0", "five", "5", ""], None),
    ],
)
def test_the_first_sample_is_kept_when_half_the_samples_agree_with_it(answers: list[str], reason: str | None) -> None:
    found = run(answers)
    assert (found.numbers.kept == 1) if reason is None else (dict(found.numbers.dropped) == {reason: 1})  # type: ignore[attr-defined]


def test_the_least_share_is_inclusive() -> None:
    assert run(["5", "5", "6", "7"], least=0.5).numbers.kept == 1  # type: ignore[attr-defined]
    assert run(["5", "5", "6", "7"], least=0.51).numbers.kept == 0  # type: ignore[attr-defined]


def test_right_rows_win_the_vote_as_often_as_the_binomial_law_says() -> None:
    p, k, rows = 0.7, 5, open_world("story-arithmetic").problems(400, seed=3)
    found = run_recipe(
        load_recipe("self-consistency"), rows, open_model("oracle:story-arithmetic?error=.3"), k=k, plain=True
    )
    right_kept = sum(check_answer(r["completion"], r["answer"]).passed for r in found.kept)
    others = sum(
        comb(k - 1, j) * p**j * (1 - p) ** (k - 1 - j) for j in range(2, k)
    )  # 3 of 5 right, the first among them
    expected = 400 * p * others
    assert abs(right_kept - expected) < 4 * (400 * p * others * (1 - p * others)) ** 0.5
