"""The probe and the verifier's curve."""

from __future__ import annotations

import numpy as np
import pytest

from tilth.audit.probe import Arm, mixture, probe, train
from tilth.audit.thresholds import curve

NONE = (np.zeros((0, 8)), np.zeros(0))


def world(n: int, seed: int, length: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian classes."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return y[:, None] * length * np.eye(8)[0] + rng.standard_normal((n, 8)), y


def test_a_left_out_decision_is_that_of_the_classifier_trained_without_the_row() -> None:
    x, y = world(25, 0)
    fake, given = world(15, 1)
    arm = Arm(fake, given, 4.0, 0.5)
    _, decisions = train(x, y, arm)
    for i in (0, 7, 24):
        rest = np.arange(25) != i
        w, _ = train(x[rest], y[rest], arm)
        assert decisions[i] == pytest.approx(float(x[i] @ w), rel=1e-9)


def test_unlabelled_rows_bring_the_probe_nearer_to_what_is_measured() -> None:
    test_x, test_y = world(20_000, 99, 1.5)
    errors = {0: [], 1500: []}
    for seed in range(12):
        x, y = world(40, seed, 1.5)
        pool = world(1500, 1000 + seed, 1.5)[0]
        w, _ = train(x, y, Arm(*NONE, 4.0))
        measured = float(((test_x @ w) * test_y > 0).mean())
        for count in errors:
            arms = [Arm(*NONE, 4.0)] * 2
            errors[count].append(
                abs(probe(x, y, arms, pool[:count] if count else None, draws=2).predicted.value - measured)
            )
    assert np.mean(errors[1500]) < 0.6 * np.mean(errors[0])
    assert np.mean(errors[1500]) < 0.02


def test_a_mixture_recovers_the_classes_of_unlabelled_decisions() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(600) < 0.5, 1.0, -1.0)
    rows = y[:, None] * [1.0, 2.0] + 0.5 * rng.standard_normal((600, 2))
    told = mixture(rows[:30], y[:30], rows[30:], np.ones(600))
    assert told.shape == (600,) and ((told[30:] > 0) == (y[30:] > 0)).mean() > 0.99
    assert (mixture(rows[:5], np.ones(5), rows[5:9], np.ones(9)) > 20).all()


def test_the_interval_holds_the_accuracy_about_as_often_as_it_says_even_with_heavy_tails() -> None:
    hits, count = 0, 40
    arms = [Arm(*NONE, 4.0)] * 2
    for seed in range(count):
        rng = np.random.default_rng(seed)
        y = np.where(rng.random(2240) < 0.5, 1.0, -1.0)
        x = 1.5 * y[:, None] * np.eye(8)[0] + rng.standard_t(5, (2240, 8)) * 0.775
        w, _ = train(x[:40], y[:40], arms[0])
        found = probe(x[:40], y[:40], arms, x[40:240], draws=40, seed=seed).predicted
        hits += found.lo <= float(((x[240:] @ w) * y[240:] > 0).mean()) <= found.hi
    assert hits >= 34


def test_rows_that_are_all_right_are_no_certainty() -> None:
    x, y = world(30, 3, 6.0)
    found = probe(x, y, [Arm(*NONE, 1.0)] * 2)
    assert found.predicted.value == 1.0 and found.predicted.lo < 0.99


def test_a_verifiers_curve_weighs_audited_rows_by_their_stratum() -> None:
    ids = [str(i) for i in range(100)]
    scores = {i: int(i) / 100 for i in ids}
    kept = {i for i in ids if scores[i] >= 0.5}
    # All kept rows but a tenth of the dropped ones are audited; rows below .3 are wrong.
    words = {i: "wrong" if scores[i] < 0.3 else "right" for i in ids if i in kept or int(i) % 10 == 5}
    found = curve(scores, words, kept)
    assert found is not None
    assert found.phi[0] == found.rho[0] == 1 and (np.diff(found.phi) <= 0).all() and (np.diff(found.rho) <= 0).all()
    near = int(np.argmin(np.abs(found.thresholds - 0.5)))
    assert found.phi[near] == pytest.approx(50 / 70, abs=0.05) and found.rho[near] == 0
    assert curve({i: 1.0 for i in ids}, words, kept) is None
    assert curve(scores, dict.fromkeys(words, "right"), kept) is None
