"""dspy-bootstrap: expected bootstraps and attempts, the best candidate, and no demonstration of the row that is run."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import InputError, UsageError
from tilth.journal.store import Journal
from tilth.models.base import ModelError, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.dspy_bootstrap import compared, dspy_bootstrap
from tilth.recipes.instruct.programs import DEFAULT, needed, read_program

ROWS = [
    {"prompt": f"What is the code of item {i:03d}?", "answer": f"c{i:03d}", "split": "train" if i < 40 else "valid"}
    for i in range(60)
]


def query(request: Request) -> str:
    return request.text.rsplit("---\n", 1)[1]


def item(request: Request) -> int:
    return int(re.search(r"item (\d+)", query(request))[1])  # type: ignore[index]


def demos(request: Request) -> list[str]:
    return request.text.split("---\n")[1:-1]


def solver(right: Any) -> Any:
    """A model whose answer is right when `right(request, draw)` says so."""

    def answer(request: Request, draw: int) -> str:
        if "Plan:\n<...>" in request.text:
            return "Plan:\nLook it up."
        code = f"c{item(request):03d}" if right(request, draw) else "none"
        return f"Reasoning:\nIt is so.\nAnswer:\n{code}"

    return answer


def bootstrapped(right: Any, rows: Any = ROWS, **settings: Any) -> Harvested:
    model = right if hasattr(right, "send") else FunctionModel(solver(right))
    return run_recipe(dspy_bootstrap, rows, model, **{"seeds": 0, **settings})


def kept(harvest: Harvested, kind: str, predictor: str) -> list[Any]:
    return [r for r in harvest.kept if (r["kind"], r["predictor"]) == (kind, predictor)]


def test_attempts_and_bootstraps_are_those_of_the_known_successes() -> None:
    # every third row is solvable: the fourth success is the twelfth row
    harvest = bootstrapped(lambda r, d: item(r) % 3 == 2)
    assert harvest.numbers.notes["attempts"] == 12
    assert harvest.numbers.notes["valid:none"] == pytest.approx(7 / 20)
    retried = bootstrapped(lambda r, d: item(r) % 3 == 2, max_rounds=3)
    assert retried.numbers.notes["attempts"] == 8 * 3 + 4


def test_a_later_try_can_succeed_where_the_first_failed() -> None:
    harvest = bootstrapped(lambda r, d: r.sampling.get("temperature") == 1.0, max_rounds=2)
    assert harvest.numbers.notes["attempts"] == 8 and harvest.numbers.notes["valid:in-order"] == 0


def test_expected_attempts_are_successes_over_their_probability() -> None:
    attempts = []
    for seed in range(20):
        model = FunctionModel(solver(lambda r, d, s=seed: hash_uniform(s, item(r)) < 0.5), f"m{seed}")
        attempts.append(bootstrapped(model).numbers.notes["attempts"])
    # negative binomial: mean r / p = 8, variance r (1 - p) / p^2 = 8
    assert abs(sum(attempts) / 20 - 8) < 4 * (8 / 20) ** 0.5


def test_the_candidate_whose_demonstrations_help_most_wins() -> None:
    # valid rows are solved only beneath bootstrapped demonstrations, which show their reasoning
    def right(request: Request, draw: int) -> bool:
        return item(request) < 40 or sum("It is so." in d for d in demos(request)) >= 4

    harvest = bootstrapped(right, seeds=2)
    assert harvest.numbers.notes["valid:in-order"] == 1 and harvest.numbers.notes["valid:labelled"] == 0
    assert {r["candidate"] for r in harvest.kept} == {"in-order"}
    solve = kept(harvest, "demo", "solve")
    assert [r["bootstrapped"] for r in solve] == [True] * 4 + [False] * 12
    assert len({r["example"] for r in solve}) == 16
    assert len(kept(harvest, "trace", "solve")) == len(kept(harvest, "trace", "plan")) == 40


def test_no_row_is_ever_shown_its_own_demonstration_and_valid_rows_never_are() -> None:
    seen: list[tuple[int, set[int]]] = []

    def spy(request: Request, draw: int) -> bool:
        return True

    inner = solver(spy)

    def record(request: Request, draw: int) -> str:
        seen.append((item(request), {int(n) for d in demos(request) for n in re.findall(r"item (\d+)", d)}))
        return str(inner(request, draw))

    bootstrapped(FunctionModel(record), seeds=3)
    assert any(shown for _, shown in seen)
    assert all(own not in shown for own, shown in seen)
    assert not any(shown & set(range(40, 60)) for _, shown in seen)


def test_every_predictor_draws_its_filler_from_all_that_is_left(tmp_path: Path) -> None:
    chain = [
        {"name": n, "instruction": n, "inputs": ["prompt"], "outputs": [o]}
        for n, o in (("one", "hint"), ("two", "note"), ("three", "answer"))
    ]
    (tmp_path / "p.json").write_text(json.dumps(chain))
    rows = [{**r, "hint": "h", "note": "n"} for r in ROWS]

    def answer(request: Request, draw: int) -> str:
        name = re.search(r"^(Hint|Note|Answer):\n<", request.text, re.M)[1]  # type: ignore[index]
        return f"{name}:\nc{item(request):03d}"

    harvest = bootstrapped(
        FunctionModel(lambda r, d: answer(r, d) if demos(r) else "Hint:\nno\nNote:\nno\nAnswer:\nno"),
        rows, program=str(tmp_path / "p.json"), labelled=12,
    )  # fmt: skip
    lists = {n: [r["example"] for r in kept(harvest, "demo", n)] for n in ("one", "two", "three")}
    assert {len(examples) for examples in lists.values()} == {12}
    assert lists["one"] != lists["two"] != lists["three"]


def test_rows_are_the_predictors_own_without_demonstrations() -> None:
    harvest = bootstrapped(lambda r, d: True)
    row = kept(harvest, "trace", "solve")[0]
    assert row["inputs"].keys() == {"prompt", "plan"} and row["outputs"].keys() == {"reasoning", "answer"}
    assert row["prompt"].count("---") == 1 and row["completion"].startswith("Reasoning:\nIt is so.\nAnswer:\nc")
    assert row.verdicts[0].passed


def test_failures_parse_faults_and_wrong_answers_have_their_reasons() -> None:
    def bad(request: Request, draw: int) -> str:
        if item(request) == 3:
            raise ModelError("no answer")
        if item(request) == 4:
            return "Plan: or not"
        return str(solver(lambda r, d: item(r) % 2 == 0)(request, draw))

    harvest = bootstrapped(FunctionModel(bad))
    reasons = Counter(reason for _, reason in harvest.dropped)
    assert reasons["model:failed"] == 1 and reasons["parse:unknown:solve"] == 1 and reasons["exact:fail"] == 2 * 19
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped)


def test_early_stop_and_bad_settings(tmp_path: Path) -> None:
    harvest = bootstrapped(lambda r, d: True, seeds=9, stop_at=1.0)
    assert "valid:labelled" not in harvest.numbers.notes
    with pytest.raises(UsageError, match="no metric 'exakt'"):
        bootstrapped(lambda r, d: True, metric="exakt")
    with pytest.raises(InputError, match="train or valid is empty"):
        bootstrapped(lambda r, d: True, rows=ROWS[:3])
    late = [
        {"name": "a", "instruction": "a", "inputs": ["b"], "outputs": ["answer"]},
        {"name": "b", "instruction": "b", "inputs": ["prompt"], "outputs": ["b"]},
    ]
    (tmp_path / "p.json").write_text(json.dumps(late))
    with pytest.raises(InputError, match="before it is made"):
        read_program(str(tmp_path / "p.json"))
    assert needed(DEFAULT) == ["prompt"] and compared("math", "3 + 4\n#### 7", "7.0").passed


def test_a_hostile_model_loses_nothing() -> None:
    harvest = bootstrapped(Hostile(), seeds=1)
    assert harvest.failed == [] and harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) >= 40


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), FunctionModel(solver(lambda r, d: item(r) % 2 == 0))
    first = bootstrapped(model, seeds=1, journal=journal)
    sent = model.sent
    again = bootstrapped(model, seeds=1, journal=journal)
    assert model.sent == sent and [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
