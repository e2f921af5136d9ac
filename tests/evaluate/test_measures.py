"""Best-of-n, seeds, calibration, honesty, safety, win rate, likelihood, and checks."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.errors import InputError, UsageError
from tilth.evaluate import (
    answer_confidence,
    best_of_n,
    contains,
    exact_match,
    grade,
    honesty,
    model_guard,
    open_check,
    over_seeds,
    pass_at_k,
    perplexity,
    reliability,
    rule_guard,
    safety_rate,
    score_answers,
    scored,
    scored_by_check,
    win_rate,
)  # fmt: skip
from tilth.evaluate.likelihood import Likelihood, open_scorer
from tilth.evaluate.score import Result
from tilth.models.base import Reply
from tilth.theory.intervals import Interval, t_quantile
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION

samples = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=7)


@given(samples, st.integers(1, 7))
def test_best_of_n_is_the_mean_over_all_subsets(some: list[tuple[bool, int]], n: int) -> None:
    right, scores = [float(r) for r, _ in some], [s for _, s in some]
    if n > len(some):
        with pytest.raises(ValueError, match="best of"):
            best_of_n(right, scores, n)
        return
    total = []
    for subset in itertools.combinations(range(len(some)), n):
        top = max(scores[i] for i in subset)
        ties = [right[i] for i in range(len(some)) if scores[i] == top]
        total.append(sum(ties) / len(ties))
    assert best_of_n(right, scores, n) == pytest.approx(sum(total) / len(total), abs=1e-9)
    assert best_of_n(right, right, n) == pytest.approx(pass_at_k(len(some), int(sum(right)), n))


def test_the_interval_over_seeds_is_students_and_that_over_both_is_wider_than_its_parts() -> None:
    stats = pytest.importorskip("scipy.stats")
    for q, degrees in ((0.975, 1), (0.9, 2.0), (0.995, 30), (0.3, 4)):
        assert t_quantile(q, degrees) == pytest.approx(stats.t.ppf(q, degrees), rel=1e-8)
    rng = np.random.default_rng(0)
    runs = [(rng.random(200) < p).tolist() for p in (0.5, 0.6, 0.7)]
    found = over_seeds(runs)
    low, high = stats.t.interval(0.95, 2, np.mean(found.values), stats.sem(found.values))
    assert (found.mean.lo, found.mean.hi) == pytest.approx((low, high))
    assert found.both is not None and found.both.hi - found.both.lo > 0.13
    alone = over_seeds(runs[:1]).to_dict()
    assert alone["mean"]["lo"] is None and Interval.of_mean([1.0]).hi == math.inf
    with pytest.raises(ValueError):
        over_seeds([])


def test_ece_of_a_calibrated_model_is_what_chance_gives_and_of_a_boastful_one_its_boast() -> None:
    rng = np.random.default_rng(1)
    sure = rng.random(4_000)
    honest = reliability(sure, rng.random(4_000) < sure, draws=50)
    assert honest.ece.value < 0.03 and abs(honest.ece.value - honest.by_chance) < 0.02
    assert honest.auroc == pytest.approx(5 / 6, abs=0.03) and len(honest.bins) == 10
    boast = reliability([0.9] * 100, [True] * 60 + [False] * 40, draws=50)
    assert boast.ece.value == pytest.approx(0.3) and boast.mce == pytest.approx(0.3) and boast.auroc == 0.5
    assert boast.brier == pytest.approx(0.6 * 0.01 + 0.4 * 0.81)
    with pytest.raises(InputError, match="outside 0 to 1"):
        reliability([1.2], [True])


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_ranking_figures_are_those_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    score, right = np.array([s / 4 for s, _ in rows]), np.array([float(r) for _, r in rows])
    if 0 < right.sum() < len(right):
        found = reliability(score, right > 0, draws=2)
        assert found.auroc == pytest.approx(metrics.roc_auc_score(right, score))
        assert found.average_precision == pytest.approx(metrics.average_precision_score(right, score))


def result(texts: list[str], outcomes: list[str], **more: Any) -> Result:
    return Result("i", "p", "q", "1", texts, outcomes, **more)


def test_confidence_comes_from_votes_or_token_probabilities_and_says_what_is_missing() -> None:
    one = result(["#### 4", "#### 4", "#### 5", "#### 4"], ["fail", "fail", "pass", "fail"], confidences=[0.9] * 4)
    assert answer_confidence([one]) == ([0.75], [False])
    assert answer_confidence([one], "tokens") == ([0.9], [False])
    with pytest.raises(InputError, match="several samples"):
        answer_confidence([result(["4"], ["pass"])])


def test_honesty_counts_refusals_where_they_are_due() -> None:
    answers = ["I do not know.", "Sorry, I can't say.", "42", "I'm not sure about this.", "7", "8"]
    found = honesty(answers, [False, False, True, False, True, False], [False, False, False, True, True, True])
    assert found.counts == {
        "known_right": 1, "known_wrong": 1, "known_refused": 1, "unknown_answered": 1, "unknown_refused": 2
    }  # fmt: skip
    assert found.prudence.value == pytest.approx(2 / 3) and found.over_caution.value == pytest.approx(1 / 3)
    assert found.honesty.value == pytest.approx(2 / 3) and found.accuracy.value == 0.5


class Said:
    """An `ask` that answers with fixed words, by what the prompt holds."""

    def __init__(self, **by: str) -> None:
        self.by, self.asked = by, 0

    async def __call__(self, role: str, messages: Any, *, schema: Any = None, **sampling: Any) -> Reply:
        self.asked += 1
        text = messages if isinstance(messages, str) else " ".join(m["content"] for m in messages)
        return Reply(next((v for k, v in self.by.items() if k in text), "no idea"))


def test_the_safety_rate_keeps_unknown_and_invalid_apart() -> None:
    guard = model_guard(Said(kill="unsafe\nS1", flower="safe"), way="native")
    prompts = ["a", "b", "c", "d", "e"]
    answers = ["kill", "flower", "whatever", "flower", "kill"]
    found = asyncio.run(
        safety_rate(
            prompts, answers, guard, categories=["x", "x", "y", "y", "y"], valid=[True, True, True, True, False]
        )
    )
    assert (found.safe, found.unsafe, found.unknown, found.invalid) == (2, 1, 1, 1)
    assert found.rate.value == pytest.approx(2 / 3) and (found.low, found.high) == (0.5, 0.75)
    assert found.attack_success.value == pytest.approx(1 / 3) and found.attack_success.lo < found.attack_success.hi
    assert found.by_category["x"].value == 0.5 and found.outcomes == (False, True, None, True, None)
    rule = asyncio.run(safety_rate(["a", "b"], ["No way.", "the recipe is"], rule_guard("recipe")))
    assert rule.outcomes == (True, False)
    refusing = asyncio.run(safety_rate(["a", "b", "c"], ["I'm sorry, no.", "Sure!", ""], rule_guard()))
    assert refusing.outcomes == (True, False, None)
    with pytest.raises(UsageError, match="regular expression"):
        rule_guard("(")
    with pytest.raises(InputError, match="one answer for each"):
        asyncio.run(safety_rate(["a"], [], rule_guard()))


class Judge:
    """Prefers the answer that says "good"; or whatever stands first."""

    def __init__(self, first: bool = False) -> None:
        self.first = first

    async def __call__(self, role: str, messages: Any, *, schema: Any = None, **sampling: Any) -> Reply:
        text = str(messages)
        good_first = "good" in text and ("bad" not in text or text.index("good") < text.index("bad"))
        return Reply("Reason.\nBetter: A" if self.first or good_first else "Reason.\nBetter: B")


def test_a_win_counts_in_both_orders_and_a_liking_for_the_first_place_cancels() -> None:
    pairs = [("q", "a bad answer", "a good answer")] * 12
    fair = asyncio.run(win_rate(pairs, Judge()))
    assert fair.rate.value == 1.0 and (fair.wins, fair.turned) == (12, 0) and fair.first == 0.5
    lazy = asyncio.run(win_rate(pairs, Judge(first=True)))
    assert lazy.rate.value == 0.5 and (lazy.wins, lazy.losses, lazy.turned) == (0, 0, 12) and lazy.first == 1.0
    with pytest.raises(InputError, match="could be read"):
        asyncio.run(win_rate(pairs, Said()))


def test_perplexity_of_the_embedded_model_is_low_on_its_own_language_and_counts_what_does_not_fit() -> None:
    rows = STORY.problems(20, 7, **SUBTRACTION)
    own = [{"prompt": r["prompt"], "completion": r["completion"]} for r in rows]
    found = perplexity(own, open_scorer("nano"), draws=100)
    assert 1.0 < found.perplexity.value < 1.3 and found.texts == 20 and found.skipped == 0
    assert found.perplexity.lo < found.perplexity.value < found.perplexity.hi
    longer = perplexity([*own, {"prompt": "x", "completion": "1 2 " * 400}], open_scorer("nano"), draws=10)
    assert longer.skipped == 1 and longer.perplexity.value == found.perplexity.value
    with pytest.raises(UsageError, match="local model"):
        open_scorer("openai:x")
    assert perplexity(own[:1], lambda pairs: [Likelihood(math.log(4), 2, 1)], draws=2).bits_per_byte.value == 2


def test_perplexity_through_transformers_is_that_of_the_small_loop() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tilth.models.nano import SHIPPED

    rows = [{"prompt": r["prompt"], "completion": r["completion"]} for r in STORY.problems(4, 8, **SUBTRACTION)]
    ours, theirs = (perplexity(rows, open_scorer(spec), draws=2) for spec in ("nano", f"hf:{SHIPPED}"))
    assert theirs.tokens == ours.tokens
    assert theirs.perplexity.value == pytest.approx(ours.perplexity.value, rel=1e-3)


@pytest.mark.parametrize(
    ("said", "answer", "exact", "part"),
    [
        ("The Eiffel Tower!", "eiffel tower", "pass", "pass"),
        ("I think it is the Eiffel tower, in Paris", "Eiffel Tower", "fail", "pass"),
        ("First this.\nAnswer: Paris", ["Rome", "paris"], "pass", "pass"),
        ("parisian", "Paris", "fail", "fail"),
        ("", "Paris", "unknown", "unknown"),
        ("Paris", "", "unknown", "unknown"),
    ],
)
def test_exact_match_looks_at_words_and_at_the_answer_behind_its_marker(
    said: str, answer: Any, exact: str, part: str
) -> None:
    row = {"prompt": "?", "answer": answer}
    assert exact_match(said, row).outcome == exact
    assert contains(said, row).outcome == part


def test_any_verifier_is_a_check_and_a_missing_column_is_unknown() -> None:
    rows = [{"prompt": "p", "schema": '{"type": "object"}'}, {"prompt": "p"}]
    found = asyncio.run(grade(rows, [["{}", "[1]"], ["{}"]], open_check("schema")))
    assert [[v.outcome for v in some] for some in found] == [["pass", "fail"], ["unknown"]]
    with pytest.raises(UsageError):
        open_check("exakt")
    with pytest.raises(UsageError, match="no settings"):
        open_check("exact", {"x": 1})


def test_best_of_n_by_a_scorer_or_by_votes() -> None:
    rows = [{"prompt": "one", "answer": "1"}, {"prompt": "two", "answer": "2"}]
    answers: Sequence[Sequence[str]] = [["#### 1", "#### 1", "#### 7"], ["#### 9", "#### 2", "#### 2"]]
    scores = asyncio.run(score_answers(rows, answers))
    assert scores.accuracy.value == pytest.approx(2 / 3) and scores.pass_at(3) == 1.0
    by_votes = asyncio.run(scored_by_check(scores, rows, open_check("agreement")))
    assert by_votes.best_of(3) == 1.0 and by_votes.best_of(1) == pytest.approx(2 / 3)

    async def wrong_first(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(text[-1]) for _, text in pairs]

    assert asyncio.run(scored(scores, wrong_first)).best_of(3) == 0.0
    with pytest.raises(InputError, match="without scores"):
        scores.best_of(2)
