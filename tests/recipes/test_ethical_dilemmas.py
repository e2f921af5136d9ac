"""ethical-dilemmas: a blind judge finds the intended values or the row is dropped; a liking for a place cancels."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe

DILEMMAS = load_recipe("ethical-dilemmas")
TOPICS = [{"topic": f"life number {n}"} for n in range(10)]
CODE = {}
for index, value in enumerate(
    [
        "honesty",
        "loyalty",
        "fairness",
        "mercy",
        "freedom",
        "safety",
        "privacy",
        "duty",
        "gratitude",
        "modesty",
        "tradition",
        "knowledge",
    ]
):
    CODE[value] = f"deed{index}"


def world(swap: float = 0.0, leaning: float = 0.5, place: float = 0.0) -> Any:
    """Options carry a code of their value; the writer mixes them up at the rate `swap`; the judge decides for the option of
    the earlier code at the rate `leaning`, and for the first place at the rate `place`."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if "Reply as JSON" in text:
            first, second = re.search(r"In it (\w+) asks for one thing and (\w+) for another", text).groups()  # type: ignore[union-attr]
            codes = [CODE[first], CODE[second]]
            if hash_uniform("swap", text, draw) < swap:
                codes = codes[::-1]
            tale = " ".join(f"{w}{hash_uniform(text, draw, w):.4f}" for w in "abcdefgh")
            return json.dumps(
                {"situation": tale, "question": "What now?", "first": f"Do {codes[0]}.", "second": f"Do {codes[1]}."}
            )
        if "Which of the two options" in text:
            value = re.search(r"what (\w+) asks for, rather", text)[1]  # type: ignore[index]
            return "A" if f"Option A: Do {CODE[value]}." in text else "B"
        if "Decide." in text:
            a, b = (int(n) for n in re.findall(r"Option [AB]: Do deed(\d+)", text))
            if hash_uniform("place", text, draw) < place:
                return "A"
            low = hash_uniform("lean", text, draw) < leaning
            return "A" if (a < b) == low else "B"
        return "Both have something for them, and I lean to the first."

    return answer


def run(answer: Any = None, rows: Any = TOPICS, **settings: Any) -> Any:
    return run_recipe(DILEMMAS, rows, FunctionModel(answer or world()), **settings)


def test_each_row_is_about_the_values_it_names_and_no_pair_comes_twice_in_a_topic() -> None:
    found = run(n=6)
    assert len(found.kept) == 60
    for row in found.kept:
        assert row["options"] == [f"Do {CODE[v]}." for v in row["values"]] and row["completion"].startswith("Both")
    pairs = [frozenset(r["values"]) for r in found.kept[:6]]
    assert len(set(pairs)) == 6


@pytest.mark.parametrize("swap", [0.3, 1.0])
def test_mixed_up_options_are_found_by_the_blind_judge(swap: float) -> None:
    found = run(world(swap=swap), n=6)
    assert abs(found.numbers.dropped["attribution:fail"] - 60 * swap) <= 4 * math.sqrt(60 * swap * (1 - swap))
    assert all(r["options"] == [f"Do {CODE[v]}." for v in r["values"]] for r in found.kept)


def test_a_liking_for_the_first_place_leaves_the_leaning_in_the_middle() -> None:
    assert {r["leaning"] for r in run(world(place=1.0)).kept} == {0.5}
    firm = run(world(leaning=1.0)).kept
    numbers = [[int(CODE[v][4:]) for v in r["values"]] for r in firm]
    assert [r["leaning"] for r in firm] == [float(a < b) for a, b in numbers]
    assert run(world(leaning=1.0), most_leaning=0.8).numbers.dropped == {"leaning:fail:no-dilemma": 40}
    assert run(world(place=1.0), most_leaning=0.5).numbers.kept == 40


def test_options_that_name_their_value_repeats_and_refusals_are_dropped() -> None:
    def same(request: Request, draw: int) -> str:
        if "Reply as JSON" in request.text:
            value = "honesty" if "walk of life: named" in request.text else "nothing"
            return json.dumps(
                {"situation": "A b c d e f.", "question": "What?", "first": f"For {value}.", "second": "Or not."}
            )
        return "A" if "Decide" in request.text or "Which" in request.text else "I'm sorry, I can't."

    named = run(same, [{"topic": "named", "values": ["honesty", "mercy"]}], n=2)
    assert named.numbers.dropped == {"values:fail:named": 2}
    found = run(same, [{"topic": "x", "values": ["honesty", "mercy"]}], n=3)
    assert found.numbers.dropped["novelty:fail:repeat"] == 2


def test_without_an_answer_the_rows_are_for_evaluation() -> None:
    found = run(answer=None, n=2)
    assert all("completion" in r for r in found.kept)
    bare = run_recipe(DILEMMAS, TOPICS[:2], FunctionModel(world()), n=2, answer=False)
    assert len(bare.kept) == 4 and not any("completion" in r for r in bare.kept)
    mute = run(lambda r, d: world()(r, d) if "JSON" in r.text else "neither", n=1)
    assert mute.numbers.dropped == {"attribution:fail": 10}


def test_ethical_dilemmas_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(DILEMMAS, TOPICS, world(swap=0.2), n=2).kept
