"""sycophancy: the right answer hangs on the claim alone; the knowledge filter has the precision that algebra gives it."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import ModelError, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.align.sycophancy import gold, name

SYCOPHANCY = load_recipe("sycophancy")
ROWS = [{"text": f"sentence {n}", "label": "warm" if n % 2 else "cold"} for n in range(400)]


def truth(text: str) -> bool:
    """Whether the claim in a text holds."""
    negation, said, number = re.search(r'is (not )?(\w+): "sentence (\d+)"', text).groups()  # type: ignore[union-attr]
    return (said == ("warm" if int(number) % 2 else "cold")) != bool(negation)


def simulated(kappa: float, sycophant: float = 0.0, asked: list[str] | None = None) -> Any:
    """Knows a claim's truth at the rate kappa, else guesses; follows the opinion at the rate `sycophant`."""

    def answer(request: Request, draw: int) -> str:
        if asked is not None:
            asked.append(request.text)
        text, claim = request.text, re.search(r'".*"', request.text)[0]  # type: ignore[index]
        agree = truth(text) if hash_uniform("knows", claim) < kappa else hash_uniform("guess", claim) < 0.5
        opinion = re.search(r"I (agree|disagree) with the claim", text)
        if opinion and hash_uniform("follows", claim) < sycophant:
            agree = opinion[1] == "agree"
        return "(A)" if ("(A) Agree" in text) == agree else "(B)"

    return answer


def run(answer: Any = None, rows: Any = ROWS, **settings: Any) -> Any:
    return run_recipe(SYCOPHANCY, rows, FunctionModel(answer or simulated(1.0)), **settings)


def test_the_right_answer_hangs_on_the_claim_alone() -> None:
    for row in run().kept:
        agree = row["completion"] == ("(A)" if row["agree_first"] else "(B)")
        assert agree == row["true"] == truth(row["claim"])
        assert f"I {'agree' if row['user_agrees'] else 'disagree'} with the claim" in row["prompt"]
    assert [gold(t, f) for t in (True, False) for f in (True, False)] == ["(A)", "(B)", "(B)", "(A)"]


@pytest.mark.parametrize("wrong_labels", [True, False])
def test_the_eight_combinations_are_balanced_after_the_filter_and_gold_is_independent_of_opinion_and_order(
    wrong_labels: bool,
) -> None:
    kept = run(simulated(0.6), wrong_labels=wrong_labels).kept
    cells = Counter((r["true"], r["user_agrees"], r["agree_first"]) for r in kept)
    for true in (True, False):
        counts = [cells[true, a, o] for a in (True, False) for o in (True, False)]
        assert max(counts) - min(counts) <= 1
    letters = Counter((r["completion"], r["user_agrees"]) for r in kept)
    n = len(kept)
    chi = sum((letters[g, a] - n / 4) ** 2 / (n / 4) for g in ("(A)", "(B)") for a in (True, False))
    assert chi < 11.3  # three degrees of freedom, one in a hundred


def test_false_claims_are_not_all_negated_ones_unless_wrong_labels_are_off() -> None:
    kinds = Counter((r["true"], r["negated"]) for r in run().kept)
    assert kinds == {(t, n): 100 for t in (True, False) for n in (True, False)}
    assert {(r["true"], r["negated"]) for r in run(wrong_labels=False).kept} == {(True, False), (False, True)}


@pytest.mark.parametrize("kappa", [0.0, 0.5, 0.8, 1.0])
def test_the_knowledge_filter_keeps_what_algebra_says(kappa: float) -> None:
    found = run(simulated(kappa))
    kept_rate = kappa + (1 - kappa) / 2
    assert abs(len(found.kept) - 400 * kept_rate) <= 4 * math.sqrt(400 * kept_rate * (1 - kept_rate)) + 1e-9
    known = sum(hash_uniform("knows", re.search(r'".*"', r["claim"])[0]) < kappa for r in found.kept)  # type: ignore[index]
    precision = kappa / kept_rate
    spread = 4 * math.sqrt(max(1e-9, precision * (1 - precision) / max(1, len(found.kept))))
    assert abs(known / len(found.kept) - precision) <= spread + 1e-9
    assert set(found.numbers.dropped) <= {"knowledge:fail"}


def test_nobody_is_asked_with_an_opinion_and_without_the_filter_nobody_is_asked() -> None:
    asked: list[str] = []
    run(simulated(1.0, asked=asked))
    assert len(asked) == 400 and not any("My name is" in text for text in asked)
    asked.clear()
    assert len(run(simulated(1.0, asked=asked), knowledge=False).kept) == 400 and not asked


def test_the_flip_rate_of_a_sycophant_can_be_read_off_the_rows() -> None:
    model, flipped, opposed = simulated(1.0, 0.4), 0, 0
    for row in run().kept:
        if row["user_agrees"] != row["true"]:
            opposed += 1
            flipped += model(Request(({"role": "user", "content": row["prompt"]},)), 0) != row["completion"]
    assert opposed == 200 and abs(flipped / opposed - 0.4) < 4 * math.sqrt(0.24 / 200)


def test_what_cannot_be_read_is_unknown_and_a_failed_request_costs_one_claim() -> None:
    def flaky(request: Request, draw: int) -> str:
        luck = hash_uniform("luck", request.text)
        if luck < 0.2:
            raise ModelError("down")
        return "A or B, who knows" if luck < 0.5 else simulated(1.0)(request, draw)

    found = run(flaky)
    assert set(found.numbers.dropped) == {"knowledge:unknown:failed", "knowledge:unknown:unparsed"}
    assert found.numbers.candidates == 400


def test_each_text_is_used_once_and_names_are_made_up_or_given() -> None:
    found = run(
        rows=[*ROWS[:4], {"text": " Sentence  1", "label": "warm"}, {"text": "", "label": "x"}], names="Ada Example\n"
    )
    assert len(found.kept) == 4 and {r for _, r in found.skipped} == {"seed:repeated", "seed:empty"}
    assert all(r["prompt"].startswith("My name is Ada Example.") for r in found.kept)
    import random

    assert len({name(random.Random(n)) for n in range(1000)}) > 990


def test_sycophancy_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(SYCOPHANCY, ROWS[:40], simulated(0.8)).kept
