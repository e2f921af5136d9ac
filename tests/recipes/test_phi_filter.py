"""phi-filter: a planted signal is learnt, the kept share is exact, the judge's own noise is measured, nothing is guessed."""

from __future__ import annotations

import random

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes.code.phi_filter import kept_share, phi_filter

TEACHING = "because therefore example idea explain first then means why lesson".split()
CONFIG = "port host timeout retry log level path flag key value".split()
SHARED = [f"word{i}" for i in range(40)]


def document(n: int) -> dict:
    rng = random.Random(n)
    own = TEACHING if n % 3 == 0 else CONFIG
    return {"text": " ".join(rng.choices(own, k=10) + rng.choices(SHARED, k=20)) + f" doc{n}", "good": n % 3 == 0}


DOCUMENTS = [document(n) for n in range(240)]


def judge(noise: float = 0.0, silent: float = 0.0) -> FunctionModel:
    """Grades by the planted words, but turns the grade round at a known rate, a draw at a time."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        good = sum(text.count(w) for w in TEACHING) > sum(text.count(w) for w in CONFIG)
        name = text.rpartition(" doc")[2]
        if hash_uniform("silent", name) < silent:
            return "I would say it is quite fine."
        if hash_uniform("noise", name, draw) < noise:
            good = not good
        return f"It explains.\nScore: {5 if good else 2}"

    return FunctionModel(answer, f"judge{noise}{silent}")


def run(model: object = None, rows: list[dict] | None = None, **settings: object) -> Harvested:
    settings = {"judged": 120, "keep": 1 / 3, "classifier": "linear", **settings}
    return run_recipe(phi_filter, rows or DOCUMENTS, model or judge(), **settings)  # type: ignore[arg-type]


def test_a_planted_signal_is_learnt_from_half_of_the_documents() -> None:
    found = run(classifier="forest")
    assert len(found.kept) == 80 and found.numbers.dropped == {"quality:fail:below": 160}
    assert sum(r["good"] for r in found.kept) / 80 > 0.9
    notes = found.numbers.notes
    assert notes["auc"] > 0.95 and notes["precision at the kept share"] > 0.85 and notes["second grading agrees"] == 1.0
    assert sum(r["judged"] is not None for r in [*found.kept, *(r for r, _ in found.dropped)]) == 120


def test_a_noisy_judge_is_seen_in_the_figures_and_averaged_in_the_scores() -> None:
    found = run(judge(noise=0.2), again=120)
    notes = found.numbers.notes
    assert 0.55 < notes["auc"] < 0.95
    right = sum(r["good"] for r in found.kept) / len(found.kept)
    assert right > 1 / 3 + 0.2


def test_the_kept_share_is_exact_and_a_larger_share_holds_the_smaller() -> None:
    rows, before = DOCUMENTS[:90], set[str]()
    for keep in (0.0, 0.1, 0.5, 1.0):
        kept = {r["text"] for r in run(rows=rows, judged=40, keep=keep).kept}
        assert len(kept) == round(keep * 90) and before <= kept
        before = kept


def test_ties_go_to_the_first() -> None:
    assert (
        kept_share([0.5, 0.7, 0.5, 0.5], 0.5) == {1, 0}
        and kept_share([], 0.5) == set()
        and kept_share([0.1], 0.01) == {0}
    )


def test_too_few_grades_or_a_single_class_keep_nothing() -> None:
    assert run(judged=9).numbers.dropped == {"quality:unknown:too-few-grades": 240}
    assert run(judge(silent=1.0)).numbers.dropped == {"quality:unknown:too-few-grades": 240}
    happy = FunctionModel(lambda r, d: "Score: 5", "happy")
    assert run(happy).numbers.dropped == {"quality:unknown:one-class": 240}


def test_grades_that_cannot_be_read_are_left_out_and_counted() -> None:
    found = run(judge(silent=0.3))
    unread = found.numbers.notes["grades unread"]
    assert (
        0 < unread < 120
        and sum(r["judged"] is None for r in [*found.kept, *(r for r, _ in found.dropped)]) == 120 + unread
    )


def test_empty_documents_are_left_out_and_cut_grades_do_not_count() -> None:
    found = run(rows=[*DOCUMENTS[:30], {"text": " "}, {"x": 1, "text": ""}], judged=30)
    assert len(found.skipped) == 2 and found.numbers.candidates == 30
    cut = FunctionModel(lambda r, d: Reply("Score: 5", finish_reason="length"), "cut")
    assert run(cut, judged=20).numbers.notes["grades unread"] == 20


def test_hostile_judges_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run(open_model("hostile")).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 240
    journal, model = Journal(":memory:"), judge(0.1)
    first = run(model, DOCUMENTS[:60], judged=30, journal=journal)
    sent = model.sent
    again = run(model, DOCUMENTS[:60], judged=30, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
