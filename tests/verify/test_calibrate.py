from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.errors import UsageError
from tilth.rows.verdict import Verdict
from tilth.verify.calibrate import auroc, brier_by_folds, calibrate, choose, measured, read_rule, redecided


def drawn(n, seed=0, curve=lambda s: s):
    rng = random.Random(seed)
    scores = [rng.random() for _ in range(n)]
    return scores, [rng.random() < curve(s) for s in scores]


@pytest.mark.parametrize("way", ["isotonic", "platt"])
def test_calibration_finds_a_planted_curve(way):
    def curve(s):
        return 1 / (1 + math.exp(-6 * (s - 0.4)))

    fitted = calibrate(*drawn(4000, curve=curve), way)
    for score in (0.1, 0.4, 0.7):
        assert fitted(score) == pytest.approx(curve(score), abs=0.06)
    ours, plain = brier_by_folds(*drawn(2000, 1, curve), way)
    assert ours < 0.85 * plain


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=40), st.sampled_from(["isotonic"]))
def test_isotonic_probabilities_rise_and_keep_the_mean(pairs, way):
    scores, right = [float(s) for s, _ in pairs], [r for _, r in pairs]
    if any(right) and not all(right):
        fitted = calibrate(scores, right, way)
        values = [fitted(s) for s in sorted(scores)]
        assert values == sorted(values)
        assert sum(values) == pytest.approx(sum(right))


def test_few_labels_never_give_certainty_by_platt():
    fitted = calibrate([0.0, 0.1, 0.9, 1.0], [False, False, True, True], "platt")
    assert 0.05 < fitted(0.0) < 0.5 < fitted(1.0) < 0.95
    with pytest.raises(UsageError):
        calibrate([1.0, 2.0], [True, True])


def test_rates_against_labels_count_unknown_as_neither():
    verdicts = [Verdict("v", o, s) for o, s in [("pass", 3), ("pass", 2), ("fail", 1), ("unknown", None), ("fail", 0)]]
    found = measured(verdicts, [True, False, False, True, None])
    assert (found.right, found.wrong, found.unknown) == (2, 2, 0.25)
    assert (found.phi.value, found.rho.value, found.precision.value) == (0.5, 0.5, 0.5)
    assert (found.fail_precision.value, found.fail_recall.value) == (1.0, 0.5)
    assert found.auroc == 1.0
    assert measured(verdicts, [None] * 5) is None


def test_auroc_counts_ties_half():
    assert auroc([1, 1, 0], [True, False, False]) == 0.75
    assert auroc([1, 2], [True, True]) is None


def test_a_promised_noise_is_kept_and_an_impossible_one_is_not_promised():
    kept = 0
    for seed in range(40):
        threshold = choose(*drawn(500, seed), read_rule("noise=.2"))
        kept += threshold is None or (1 - threshold) / 2 <= 0.2
    assert kept >= 34
    assert choose(*drawn(500), read_rule("noise=.001")) is None


def test_the_best_threshold_separates_what_can_be_separated():
    scores = [0.1, 0.2, 0.3, 0.7, 0.8]
    assert choose(scores, [False, False, False, True, True], read_rule("best")) == 0.7


@pytest.mark.parametrize("text", ["worst", "noise", "noise=2", "noise=.1,gamma=1", ""])
def test_a_rule_that_is_none_is_refused(text):
    with pytest.raises(UsageError):
        read_rule(text)


def test_a_threshold_decides_scores_but_not_other_doubts():
    assert redecided(Verdict("v", "fail", 0.6, detail="x"), 0.5, {}).outcome == "pass"
    assert redecided(Verdict("v", "unknown", 0.6, detail="no-threshold"), 0.7, {}).outcome == "fail"
    assert redecided(Verdict("v", "unknown", 0.6, detail="inconsistent"), 0.5, {}).outcome == "unknown"
    assert redecided(Verdict("v", "pass", 0.6), None, {}).reason == "v:unknown:no-threshold"
