"""coderl: the sandbox tells the four outcomes of mutated programs apart, rewards and advantages are the outcome's."""

from __future__ import annotations

from collections import Counter

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes.code.coderl import OUTCOMES, REWARDS, coderl, outcome_of
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict

PROGRAMS = {
    "compile-error": ["def f(x:\n    return 2 * x", "def f(x)\n    return 2 * x", "def f(x):\nreturn 2 * x"],
    "runtime-error": ["def f(x):\n    return 2 * y", "def f(x):\n    return x[0]", "import nothing_like_it\ndef f(x): return 2 * x"],
    "failed-test": ["def f(x):\n    return x * x", "def f(x):\n    return 2 * x + 1", "def f(x): pass"],
    "passed": ["def f(x):\n    return 2 * x", "def f(x): return x + x", "f = lambda x: x * 2"],
}  # fmt: skip
ROW = {"prompt": "Write f(x), twice x.", "tests": ["assert f(3) == 6", "assert f(0) == 0"], "entry_point": "f"}


def planted(prompt: str, draw: int) -> str:
    return OUTCOMES[int(hash_uniform("outcome", prompt, draw) * 4)]


def sampler(which: object = planted) -> FunctionModel:
    """Programs of a planted outcome."""

    def answer(request: Request, draw: int) -> str:
        prompt = request.text.partition("Task:\n")[2]
        greedy = request.sampling.get("temperature") == 0.0
        kind = "failed-test" if greedy else which(prompt, draw)  # type: ignore[operator]
        return f"```python\n{PROGRAMS[kind][draw % 3]}\n```"

    return FunctionModel(answer, "sampler")


def run(model: object = None, rows: list[dict] | None = None, **settings: object) -> Harvested:
    rows = rows or [{**ROW, "prompt": f"{ROW['prompt']} Problem {n}."} for n in range(4)]
    return run_recipe(coderl, rows, model or sampler(), **settings)  # type: ignore[arg-type]


@pytest.mark.sandbox
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_sandbox_tells_every_mutated_program_by_its_outcome(outcome: str) -> None:
    found = run(sampler(lambda p, d: outcome), rows=[ROW], samples=3)
    assert [r["outcome"] for r in found.kept] == ["failed-test"] + [outcome] * 3
    assert all(r["label"] == OUTCOMES.index(r["outcome"]) for r in found.kept)


@pytest.mark.sandbox
def test_all_programs_are_kept_with_reward_and_advantage_over_the_greedy_one() -> None:
    found = run(samples=6)
    assert len(found.kept) == 28 and not found.dropped
    assert len({r["outcome"] for r in found.kept}) == 4
    for row in found.kept:
        assert row["reward"] == REWARDS[row["outcome"]] and row["advantage"] == pytest.approx(row["reward"] + 0.3)
    assert [r["is_greedy"] for r in found.kept] == ([True] + [False] * 6) * 4


@pytest.mark.sandbox
def test_a_gold_program_is_added_when_it_passes() -> None:
    found = run(rows=[{**ROW, "completion": PROGRAMS["passed"][0]}], samples=1)
    assert [r["is_gold"] for r in found.kept] == [False, False, True] and found.kept[2]["label"] == 3
    bad = run(rows=[{**ROW, "completion": PROGRAMS["failed-test"][0]}], samples=1)
    assert bad.numbers.dropped == {"gold:failed-test": 1}


@pytest.mark.sandbox
def test_pairs_are_of_one_problem_with_unequal_outcomes_the_widest_first() -> None:
    found = run(make="pairs", samples=6, most_pairs=2)
    for row in found.kept:
        assert (
            row["margin"] == pytest.approx(REWARDS[row["outcome"]] - REWARDS[row["outcome_rejected"]])
            and row["margin"] > 0
        )
    per_problem = Counter(r["prompt"] for r in found.kept)
    assert max(per_problem.values()) == 2
    by_problem = [[r["margin"] for r in found.kept if r["prompt"] == p] for p in per_problem]
    assert all(m == sorted(m, reverse=True) for m in by_problem)


@pytest.mark.sandbox
def test_without_two_outcomes_there_is_no_pair() -> None:
    found = run(sampler(lambda p, d: "failed-test"), rows=[ROW], samples=2, make="pairs")
    assert not found.kept and found.numbers.notes == {"problems without a pair": 1}


@pytest.mark.parametrize(
    ("outcome", "detail", "label"),
    [
        (PASS, "", "passed"),
        (FAIL, "assertion", "failed-test"),
        (FAIL, "SyntaxError", "compile-error"),
        (FAIL, "NameError", "runtime-error"),
        (FAIL, "exit", "runtime-error"),
        (UNKNOWN, "timeout", None),
        (UNKNOWN, "no-answer", None),
    ],
)
def test_outcomes_follow_the_verdict_and_unknown_is_none(outcome: str, detail: str, label: str | None) -> None:
    assert outcome_of(Verdict("code", outcome, detail=detail)) == label  # type: ignore[arg-type]


def test_the_greedy_baseline_leaves_the_expected_gradient_as_it_is() -> None:
    """Over a softmax policy the score has mean zero, so any constant taken from the reward changes nothing."""
    p = [0.1, 0.2, 0.3, 0.4]
    rewards = [REWARDS[o] for o in OUTCOMES]
    for baseline in (0.0, rewards[2]):
        gradient = [sum(p[i] * (rewards[i] - baseline) * ((i == k) - p[k]) for i in range(4)) for k in range(4)]
        assert gradient == pytest.approx(
            [p[k] * (rewards[k] - sum(map(lambda a, b: a * b, p, rewards))) for k in range(4)]
        )


@pytest.mark.sandbox
def test_a_cut_program_has_no_outcome_and_no_baseline() -> None:
    cut = FunctionModel(lambda r, d: Reply(PROGRAMS["passed"][0], finish_reason="length"), "cut")
    found = run(cut, rows=[ROW], samples=1)
    assert found.numbers.dropped == {"reply:cut": 2}


def test_an_unknown_product_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="poems"):
        run(make="poems", rows=[ROW])


@pytest.mark.sandbox
def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run(open_model("hostile"), samples=3).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 16 and not n.failed
    journal, model = Journal(":memory:"), sampler()
    first = run(model, journal=journal, samples=2)
    sent = model.sent
    again = run(model, journal=journal, samples=2)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
