"""label-first: quotas are met, leaks go, and the kept error is the closed form of flips and misses."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.label_first import divergence, label_first, leaks, parse_text, quotas, wanted

TASK = {
    "instruction": "Is the number even or odd?",
    "labels": ["even", "odd"],
    "synonyms": {"even": ["divisible by two"]},
}


def truth(text: str) -> str:
    return "even" if int(re.findall(r"\d+", text)[-1]) % 2 == 0 else "odd"


def generator(flip: float) -> FunctionModel:
    def write(request: Request, draw: int) -> str:
        name = request.text.split("the right answer is: ")[1].split("\n")[0]
        number = 2 * int(1e9 * hash_uniform("number", request.text, draw)) + (name == "odd")
        number += hash_uniform("flip", request.text, draw) < flip
        return f"<text>\n{number}\n</text>"

    return FunctionModel(write, f"generator?{flip}")


def checker(miss: float) -> FunctionModel:
    def check(request: Request, draw: int) -> str:
        text = request.text.split("<text>")[1].split("</text>")[0].strip()
        right = truth(text)
        missed = hash_uniform("miss", text) < miss
        return f"Answer: {({'even': 'odd', 'odd': 'even'}[right]) if missed else right}"

    return FunctionModel(check, f"checker?{miss}")


def written(flip: float = 0.0, miss: float = 0.0, task: Any = TASK, **settings: Any) -> Harvested:
    return run_recipe(label_first, [task], {"generator": generator(flip), "checker": checker(miss)}, **settings)


def test_quotas_are_met_exactly_and_in_the_wanted_shares() -> None:
    harvest = written(task={**TASK, "labels": {"even": 3, "odd": 1}}, n=40)
    assert Counter(row["label"] for row in harvest.kept) == {"even": 30, "odd": 10}
    assert all(truth(row["text"]) == row["completion"] for row in harvest.kept)
    assert all(row["prompt"].endswith(row["text"]) for row in harvest.kept)


@pytest.mark.parametrize(("flip", "miss"), [(0.2, 0.0), (0.2, 0.1), (0.4, 0.2)])
def test_the_kept_error_is_flips_that_the_checker_missed(flip: float, miss: float) -> None:
    harvest = written(flip, miss, n=600, novelty=1.0)
    wrong = sum(truth(row["text"]) != row["label"] for row in harvest.kept) / len(harvest.kept)
    expected = flip * miss / (flip * miss + (1 - flip) * (1 - miss))
    assert len(harvest.kept) == 600
    assert abs(wrong - expected) < 4 * math.sqrt(max(expected, 1e-9) * (1 - expected) / 600) + 1e-9


def test_a_generator_that_ignores_the_label_is_accepted_as_often_as_the_label_occurs() -> None:
    def any_number(request: Request, draw: int) -> str:
        # three of four numbers are even
        u = hash_uniform(request.text, draw)
        return f"<text>{2 * int(1e9 * u) + (hash_uniform('kind', request.text, draw) < 0.25)}</text>"

    model = {"generator": FunctionModel(any_number), "checker": checker(0.0)}
    harvest = run_recipe(label_first, [TASK], model, n=400, tries=3, novelty=1.0)
    asked = Counter(row["label"] for row in [*harvest.kept, *(row for row, _ in harvest.dropped)])
    accepted = Counter(row["label"] for row in harvest.kept)
    for name, prior in (("even", 0.75), ("odd", 0.25)):
        assert abs(accepted[name] / asked[name] - prior) < 4 * math.sqrt(prior * (1 - prior) / asked[name])
    assert accepted["even"] == 200 and asked["odd"] == 600


def test_leaks_near_duplicates_and_unreadable_words_have_their_reasons() -> None:
    texts = [
        "<text>An EVEN sum of 4</text>", "<text>4 is divisible by two</text>", "no markers 4", "<text>uneven 4</text>",
        "<text>uneven 4</text>",
    ]  # fmt: skip
    count = iter(range(100))
    model = FunctionModel(lambda r, d: texts[next(count) % 5])
    task = {**TASK, "labels": {"even": 1, "odd": 0}}
    harvest = run_recipe(label_first, [task], {"generator": model, "checker": checker(0)}, n=5, tries=1, concurrency=1)
    assert Counter(reason for _, reason in harvest.dropped) == {
        "leak:fail": 2, "parse:unknown": 1, "novelty:fail:similar": 1,
    }  # fmt: skip
    bound = {"generator": generator(0), "checker": FunctionModel(lambda r, d: "It is even or odd.")}
    harvest = run_recipe(label_first, [TASK], bound, n=2, tries=1)
    assert {reason for _, reason in harvest.dropped} == {"round-trip:unknown:unparsed"}


def test_shares_quotas_and_divergence() -> None:
    assert quotas({"a": 0.5, "b": 0.25, "c": 0.25}, 5) == {"a": 3, "b": 1, "c": 1}
    assert wanted({"labels": ["a", "b"]}) == {"a": 0.5, "b": 0.5}
    assert divergence({"a": 2, "b": 0}, {"a": 0.5, "b": 0.5}) == pytest.approx(math.log(2))
    assert divergence({}, {"a": 1.0}) == 0
    assert not leaks("uneven", ["even"]) and leaks("so Even!", ["even"])
    assert parse_text("<text>a</text> or <text>b</text>") is None
    assert wanted({"labels": "even"}) == wanted({"labels": {"a": 1}}) == wanted({"labels": {"a": 0, "b": 0}}) == {}


def test_a_task_without_labels_is_skipped_and_a_hostile_model_loses_nothing() -> None:
    rows = [TASK, {**TASK, "labels": ["one"]}]
    harvest = run_recipe(label_first, rows, {"generator": Hostile(), "checker": Hostile(seed=1)}, n=10)
    assert [r for _, r in harvest.skipped] == ["seed:labels"] and harvest.failed == harvest.kept == []
    assert harvest.numbers.candidates == len(harvest.dropped) == 40


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, bound = Journal(":memory:"), {"generator": generator(0.3), "checker": checker(0.1)}
    first = run_recipe(label_first, [TASK], bound, journal=journal)
    sent = [m.sent for m in bound.values()]
    again = run_recipe(label_first, [TASK], bound, journal=journal)
    assert [m.sent for m in bound.values()] == sent and [dict(c) for c in first.kept] == [dict(c) for c in again.kept]
