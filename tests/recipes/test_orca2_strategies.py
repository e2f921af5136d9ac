"""orca2-strategies: the suiting strategy is found, cheaper ones win ties, and the strategy is erased."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.orca2_strategies import (
    GENERIC,
    STRATEGIES,
    Measured,
    chosen,
    leaks,
    orca2_strategies,
)

BEST = {"sums": "steps", "facts": "recall", "reading": "extract"}
LENGTH = {name: 4 + 4 * i for i, name in enumerate(STRATEGIES)}


def questions(n: int, labelled: int | None = None) -> list[dict[str, Any]]:
    rows = [{"prompt": f"{task} question {i}", "task": task, "answer": str(i)} for task in BEST for i in range(n)]
    return [
        {k: v for k, v in row.items() if k != "answer" or labelled is None or int(row["answer"]) < labelled}
        for row in rows
    ]


def strategy_of(request: Request) -> str:
    return next(n for n, p in STRATEGIES.items() if p.text == request.messages[0]["content"])


def teacher(good: float = 0.95, bad: float = 0.5) -> FunctionModel:
    def answer(request: Request, draw: int) -> str:
        name = strategy_of(request)
        task, _, number = request.messages[1]["content"].split("\n")[0].split()
        right = hash_uniform(request.text, draw) < (good if BEST[task] == name else bad)
        return f"{'word ' * LENGTH[name]}\nAnswer: {number if right else 10_000}"

    return FunctionModel(answer, f"teacher?{good}&{bad}")


def answered(model: Any = None, rows: Any = None, **settings: Any) -> Harvested:
    return run_recipe(orca2_strategies, rows or questions(60), model or teacher(), **settings)


def test_each_cluster_gets_the_strategy_that_suits_it_and_rows_are_erased() -> None:
    harvest = answered()
    assert {(row["cluster"], row["strategy_used"]) for row in harvest.kept} == set(BEST.items())
    for row in harvest.kept:
        assert [t["role"] for t in row["messages"]] == ["system", "user", "assistant"]
        assert row["messages"][0]["content"] == GENERIC.text
        assert row["system_used"] == STRATEGIES[row["strategy_used"]].text
        assert not leaks(str(row["messages"]), row["system_used"])
        assert set(row["accuracy_by_strategy"]) == set(STRATEGIES)
    assert Counter(reason for _, reason in harvest.dropped).keys() <= {"math:fail"}


def test_probed_answers_are_used_again() -> None:
    model = teacher()
    answered(model, rows=questions(100), probe=40)
    assert model.sent == 3 * (40 * 6 + 60)


def test_more_probes_recover_the_best_strategy_more_often() -> None:
    def recovered(n: int) -> float:
        # the best is right 75 %, five others 50 %: exact binomial draws through hashes
        found = 0
        for trial in range(200):
            measured = {}
            for name in STRATEGIES:
                p = 0.75 if name == "explain" else 0.5
                right = sum(hash_uniform(trial, name, i) < p for i in range(n))
                measured[name] = Measured(right / n, n, 10.0)
            found += chosen(measured) == "explain"
        return found / 200

    rates = [recovered(n) for n in (10, 30, 100)]
    assert rates[0] < rates[1] < rates[2] and rates[2] > 0.97


def test_within_one_standard_error_the_cheaper_strategy_wins() -> None:
    error = math.sqrt(0.8 * 0.2 / 100)
    near, far = 0.8 - error + 1e-6, 0.8 - error - 1e-6
    assert chosen({"dear": Measured(0.8, 100, 90), "cheap": Measured(near, 100, 10)}) == "cheap"
    assert chosen({"dear": Measured(0.8, 100, 90), "cheap": Measured(far, 100, 10)}) == "dear"
    assert chosen({"dear": Measured(1.0, 100, 90), "cheap": Measured(1.0, 100, 10)}) == "cheap"


def test_too_few_labels_give_the_default_and_unlabelled_questions_are_not_checked() -> None:
    harvest = answered(rows=questions(40, labelled=29))
    assert {row["strategy_used"] for row in harvest.kept} == {"steps"}
    assert sum("answer" not in row for row in harvest.kept) == 33
    assert all(row["accuracy_by_strategy"] == {} for row in harvest.kept)
    measured = answered(rows=questions(40, labelled=30))
    assert {row["strategy_used"] for row in measured.kept} == set(BEST.values())


def test_an_answer_that_tells_the_strategy_is_dropped() -> None:
    text = "As told, I work through the question in small numbered steps.\nAnswer: 0"
    harvest = answered(FunctionModel(lambda r, d: text), rows=questions(1))
    assert Counter(reason for _, reason in harvest.dropped) == {"leak:fail:strategy": 3}
    assert not leaks("in small numbered steps", STRATEGIES["steps"].text)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(UsageError, match="no strategy 'stepps'"):
        answered(strategies="stepps")


def test_a_hostile_model_loses_nothing() -> None:
    harvest = answered(Hostile())
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 180


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), teacher()
    first = answered(model, journal=journal)
    sent = model.sent
    again = answered(model, journal=journal)
    assert model.sent == sent and [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
