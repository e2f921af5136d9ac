"""evol-breadth: coverage grows, likeness and drift go, and nothing is lost on the way."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import ModelError, Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.evol_breadth import evol_breadth, length_problem

WORDS = [a + b for a in ("ka", "lo", "mi", "ru", "te", "vo") for b in ("ben", "dor", "fin", "gal", "hup", "jes")]
SEEDS = [
    {"instruction": f"Explain how a {name} is kept in good order over a long winter."}
    for name in ("boat", "well", "barn")
]


def inventor(request: Request, draw: int) -> str:
    if "#Rewritten#" in request.text:
        return f"Explain {' '.join(random.Random(f'{request.text}{draw}').sample(WORDS, 11))} now."
    return f"An answer to: {request.text}"


def grown(model: Any = inventor, **settings: Any) -> Harvested:
    return run_recipe(evol_breadth, SEEDS, FunctionModel(model) if callable(model) else model, **settings)


def test_only_the_new_have_children_and_lineage_reaches_back_to_the_seed() -> None:
    harvest = grown(rounds=3, children=2)
    assert Counter(row["round"] for row in harvest.kept) == {1: 6, 2: 12, 3: 24} and not harvest.dropped
    by_id = {row.id: row for row in harvest.kept}
    for row in harvest.kept:
        parent = row.lineage.parents[0]
        assert (parent in by_id) == (row["round"] > 1) and len(row.lineage.seeds) == 1
        assert parent not in by_id or by_id[parent]["prompt"] == row["parent"]
        assert row["completion"] == f"An answer to: {row['prompt']}"


def test_an_evolver_that_does_nothing_leaves_the_pool_as_it_was() -> None:
    harvest = grown(lambda r, d: r.text.split("#Instruction#\n")[1].split("\n\n#Rewritten#")[0])
    assert not harvest.kept and Counter(r for _, r in harvest.dropped) == {"equality:unchanged": 3}


def test_likeness_to_anything_in_the_pool_is_dropped() -> None:
    same = "Explain how a lighthouse is lit in fog and by whom at night."
    harvest = grown(lambda r, d: same if "#Rewritten#" in r.text else "By a keeper.", rounds=1)
    assert len(harvest.kept) == 1
    assert Counter(r for _, r in harvest.dropped) == {"novelty:fail:similar": 2}


@pytest.mark.parametrize(
    ("words", "parent", "problem"),
    [
        (10, 20, None),
        (9, 20, "length:short"),
        (40, 20, None),
        (41, 20, "length:long"),
        (24, 4, None),
        (25, 4, "length:long"),
    ],
)
def test_the_new_instruction_is_about_as_long_as_the_old(words: int, parent: int, problem: str | None) -> None:
    assert length_problem("w " * words, "w " * parent) == problem


def test_a_judge_drops_drift_at_its_own_rate_and_an_unreadable_word_is_unknown() -> None:
    def judge(request: Request, draw: int) -> str:
        u = hash_uniform(request.text.split("Second instruction:")[1])
        return "Other" if u < 0.3 else "Same" if u < 0.9 else f"Perhaps {draw}"

    bound = {"generator": FunctionModel(inventor), "judge": FunctionModel(judge)}
    harvest = run_recipe(evol_breadth, SEEDS, bound, rounds=1, children=60)
    reasons = Counter(reason for _, reason in harvest.dropped)
    assert set(reasons) == {"domain:fail:drift", "domain:unknown:unparsed"}
    assert 36 <= reasons["domain:fail:drift"] <= 72 and len(harvest.kept) == 180 - reasons.total()
    assert all("completion" in row and not row["completion"] for row, _ in harvest.dropped)


def test_failed_and_cut_replies_cost_one_candidate_each() -> None:
    def flaky(request: Request, draw: int) -> Reply | str:
        if "#Rewritten#" not in request.text:
            return Reply("Half an ans", finish_reason="length")
        if "boat" in request.text:
            raise ModelError("no answer")
        return inventor(request, draw)

    harvest = grown(flaky, rounds=2)
    assert Counter(r for _, r in harvest.dropped) == {"model:failed": 1, "reply:cut": 2} and not harvest.kept


def test_a_hostile_model_loses_nothing() -> None:
    harvest = run_recipe(evol_breadth, SEEDS, dict.fromkeys(("generator", "judge"), Hostile()), children=20)
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) >= 60


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), FunctionModel(inventor)
    first = run_recipe(evol_breadth, SEEDS, model, journal=journal)
    sent = model.sent
    again = run_recipe(evol_breadth, SEEDS, model, journal=journal)
    assert model.sent == sent and [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
