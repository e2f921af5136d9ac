"""iterated-curation: a steady judge goes on, a drifting one is stopped, and the kept error is estimated."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import InputError
from tilth.journal.store import Journal
from tilth.models.base import ModelError, Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.oversight.iterated_curation import (
    Watch,
    drifted,
    error_among_kept,
    iterated_curation,
    watched,
)

PROMPTS = [{"prompt": f"Double the number {i}."} for i in range(400)]
AUDIT = [
    {"prompt": f"Double the number {i}.", "completion": f"It is {2 * i + (i % 2)}.", "good": i % 2 == 0}
    for i in range(1000, 1200)
]
BAD = 0.4
"""Share of the generator's answers that are wrong."""


def generator(request: Request, draw: int) -> str:
    number = int(re.findall(r"\d+", request.text)[0])
    return f"It is {2 * number + (hash_uniform('wrong', number) < BAD)}."


def truth(text: str) -> bool:
    number, doubled = map(int, re.findall(r"\d+", text))
    return doubled == 2 * number


def judge(miss: float = 0.1, drift: float = 0.0, self_made: str = "") -> FunctionModel:
    """Wrong at rate `miss`, and more lenient by `drift` for each of its own rows among the examples."""

    def decide(request: Request, draw: int) -> str:
        text = request.text
        pieces = re.split(r"Request:\n", text)
        right = truth(re.sub(r"-----.*?-----", "", pieces[1].split("Give your reasons")[0]))
        own = sum(int(n) < 1000 for n in re.findall(r"Example\.\nRequest: Double the number (\d+)", text))
        u = hash_uniform("miss", pieces[1])
        said = (u >= miss) if right else u < miss + drift * own
        return f"Thought over.\nVerdict: {'good' if said else 'bad'}"

    return FunctionModel(decide, f"judge?{miss}&{drift}")


def curated(model: Any = None, rows: Any = None, says: Any = generator, **settings: Any) -> Harvested:
    bound = {"generator": says if hasattr(says, "send") else FunctionModel(says), "judge": model or judge()}
    return run_recipe(iterated_curation, rows or [*PROMPTS, *AUDIT], bound, **settings)


def test_a_steady_judge_goes_through_all_rounds() -> None:
    harvest = curated()
    notes = harvest.numbers.notes
    assert [notes[f"agreement:{t}"] for t in (1, 2, 3, 4)] == [notes["agreement:1"]] * 4 and "drifts" not in notes
    assert Counter(row["round"] for row in [*harvest.kept, *(r for r, _ in harvest.dropped)]) == dict.fromkeys(
        (1, 2, 3, 4), 100
    )
    assert {reason for _, reason in harvest.dropped} == {"judge:fail:bad"}


def test_the_estimated_error_among_the_kept_is_near_the_real_one() -> None:
    harvest = curated(judge(0.2), rounds=1)
    wrong = sum(not truth(f"{r['prompt']} {r['completion']}") for r in harvest.kept) / len(harvest.kept)
    estimate = harvest.kept[0]["error_estimate"]
    expected = BAD * 0.2 / (BAD * 0.2 + (1 - BAD) * 0.8)
    assert abs(wrong - expected) < 0.06 and abs(estimate - expected) < 0.08


def test_a_judge_that_learns_from_itself_to_be_lenient_is_brought_back_and_at_last_stopped() -> None:
    harvest = curated(judge(0.05, 0.15), rounds=5)
    notes = harvest.numbers.notes
    assert notes["agreement:2"] < notes["agreement:1"] and notes["drifts"] >= 1
    # the round after a fall has anchors alone, and is as good as the first
    assert notes["agreement:3"] == pytest.approx(notes["agreement:1"])
    assert 2 not in {row["round"] for row in harvest.kept} and 3 in {row["round"] for row in harvest.kept}


def test_two_falls_in_a_row_end_the_run_and_leave_the_rest_out() -> None:
    first: list[str] = []

    def turns_bad(request: Request, draw: int) -> str:
        examples, own = request.text.split("Request:\n")
        shown = examples.partition("\nExample.")[2]
        first[:] = first or [shown]
        right = truth(re.sub(r"-----.*?-----", "", own.split("Give your")[0]))
        return f"Verdict: {'good' if right or shown != first[0] else 'bad'}"

    harvest = curated(FunctionModel(turns_bad), rounds=4)
    assert harvest.numbers.notes["drifts"] == 2
    assert {row["round"] for row in harvest.kept} <= {1}
    assert Counter(reason for _, reason in harvest.skipped) == {"audit:drift": 300}


def test_drift_at_its_edge() -> None:
    first = watched([True, False] * 50, [True, False] * 50)
    assert first == Watch(1.0, 1.0, 1.0, (1.0,) * 100)

    def fallen(n: int) -> Watch:
        return watched([True, False] * 50, [i < 2 * n or i % 2 == 0 for i in range(100)])

    # n false yes in 100: the difference is n/100, its standard error sqrt(n/100 (1 - n/100) / 99)
    assert not drifted(first, fallen(3), 2.0) and drifted(first, fallen(5), 2.0)
    assert not drifted(first, first, 0.0) and not drifted(fallen(9), first, 2.0)
    assert watched([True, False], [None, None]).agreement == 0.5


def test_the_error_among_the_kept_is_rogan_and_gladens() -> None:
    watch = Watch(0.85, 0.8, 0.9, ())
    share = 0.6
    rate = share * 0.8 + (1 - share) * 0.1
    assert error_among_kept(watch, rate) == pytest.approx((1 - share) * 0.1 / rate)
    assert error_among_kept(Watch(0.5, 0.5, 0.5, ()), 0.5) is None and error_among_kept(watch, 0.0) is None


def test_too_few_audited_rows_are_refused_and_faults_have_their_reasons() -> None:
    with pytest.raises(InputError, match="the audit needs 16 good and 16 bad rows"):
        curated(rows=[*PROMPTS, *AUDIT[:20]])

    def bad(request: Request, draw: int) -> Reply | str:
        number = int(re.findall(r"\d+", request.text)[0])
        if number == 0:
            raise ModelError("no answer")
        return Reply("It is", finish_reason="length") if number == 1 else generator(request, draw)

    harvest = curated(rows=[*PROMPTS[:2], *AUDIT, {"prompt": "", "good": True}], says=bad, rounds=1)
    assert [reason for _, reason in harvest.dropped] == ["model:failed", "reply:cut"]
    assert [reason for _, reason in harvest.skipped] == ["seed:empty"]


def test_a_hostile_model_loses_nothing() -> None:
    harvest = curated(Hostile(), [*PROMPTS[:40], *AUDIT], Hostile(seed=1))
    n = harvest.numbers
    assert harvest.failed == [] and n.candidates == len(harvest.kept) + len(harvest.dropped)
    assert n.candidates + len(harvest.skipped) == 40


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model, writer = Journal(":memory:"), judge(0.1, 0.1), FunctionModel(generator)
    first = curated(model, says=writer, journal=journal)
    sent = model.sent, writer.sent
    again = curated(model, says=writer, journal=journal)
    assert (model.sent, writer.sent) == sent
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
