"""The validated values: the golden table, and the tables of the paper's figures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tilth import theory
from tilth.theory import published
from tilth.theory.table import predict_points, read_points

GOLDEN = Path(__file__).parent / "golden.csv"


def test_every_golden_row_is_met_to_1e_5_in_accuracy_and_risk() -> None:
    found = predict_points(read_points(GOLDEN))
    rows = list(csv.DictReader(GOLDEN.open()))
    for name, column in (("accuracy", "th_acc"), ("risk", "th_risk"), ("m1", "th_mean"), ("m2", "th_m2")):
        want = np.array([float(r[column]) for r in rows])
        assert len(want) == 31
        np.testing.assert_allclose(found[name], want, rtol=1e-5, err_msg=name)


def test_break_even_noise_for_a_mix_is_far_below_the_critical_noise() -> None:
    found = theory.break_even_noise(n=[[200], [800]], m=[200, 800, 3200, 20000], p=200, mu=1, gamma=0.1)
    want = [[0.237, 0.325, 0.395, 0.452], [0.170, 0.211, 0.288, 0.391]]
    np.testing.assert_allclose(found, want, atol=6e-4)
    assert theory.critical_noise(1.0, 1.0) == 0.5


FIGURE_4 = {
    1: [0.7329, 0.6915, 0.6362, 0.5613, 0.5142, 0.4877, 0.4591, 0.3949, 0.3211],
    0.1: [0.8243, 0.8098, 0.7749, 0.6665, 0.5428, 0.4629, 0.3823, 0.2588, 0.1951],
    0.01: [0.8395, 0.8378, 0.8326, 0.7977, 0.6267, 0.3884, 0.2408, 0.1744, 0.1628],
    0.001: [0.8412, 0.8410, 0.8404, 0.8361, 0.7685, 0.2474, 0.1704, 0.1603, 0.1591],
}
NOISE = [0, 0.2, 0.4, 0.6, 0.7, 0.75, 0.8, 0.9, 1]


@pytest.mark.parametrize("ratio", FIGURE_4)
def test_the_phase_transition_has_the_validated_values(ratio: float) -> None:
    given = {"m": 100 / ratio, "p": 100, "mu": 1, "gamma": 1, "rho": 0.3, "phi": 0.8}
    np.testing.assert_allclose(theory.synthetic(epsilon=NOISE, **given).accuracy, FIGURE_4[ratio], atol=6e-5)
    star = theory.critical_noise(0.3, 0.8)
    assert theory.synthetic(epsilon=star, **given).accuracy == pytest.approx(0.5, abs=1e-12)


def test_the_published_formula_gives_the_published_values_of_figure_4() -> None:
    found = published.synthetic(m=100, p=100, mu=1, epsilon=[0, 0.2, 0.4, 0.6, 0.9, 1], rho=0.3, phi=0.8, gamma=1)
    np.testing.assert_allclose(found.accuracy, [0.7308, 0.6874, 0.6308, 0.5576, 0.4016, 0.3267], atol=6e-5)


def test_the_published_fixed_point_gives_the_published_values_of_figure_2() -> None:
    given = {"n": 1000, "m": [2000, 5000, 10000], "p": 10000, "n_hat": 1000, "epsilon": 0.2, "rho": 0.2, "phi": 0.9}
    wrong = published.deltas(**given, gamma=1, published=True)
    np.testing.assert_allclose(wrong.real, [2.85, 1.45, 0.80], atol=0.03)
    np.testing.assert_allclose(wrong.fake, [0.58, 0.20, 0.09], atol=0.01)
    np.testing.assert_allclose(wrong.generator, [2.75, 4.55, 5.5], atol=0.06)
    right = published.deltas(**given, gamma=1, published=False)
    assert (right.fake > 1.2 * wrong.fake).all()


FIGURE_3 = {
    50: ([0.7480, 0.7500, 0.7522, 0.7545, 0.7564], [0.7441, 0.7420, 0.7396, 0.7375, 0.7433]),
    200: ([0.7229, 0.7293, 0.7369, 0.7454, 0.7521], [0.7100, 0.7040, 0.6983, 0.6946, 0.7101]),
    500: ([0.6879, 0.6991, 0.7138, 0.7317, 0.7457], [0.6676, 0.6588, 0.6521, 0.6494, 0.6717]),
}
HONEST = {200: [0.7154, 0.7132, 0.7125, 0.7140, 0.7174], 500: [0.6783, 0.6762, 0.6751, 0.6766, 0.6805]}


@pytest.mark.parametrize("p", FIGURE_3)
def test_the_toy_setting_rises_only_because_its_generator_is_told_the_true_mean(p: int) -> None:
    share = np.array([0.2, 0.4, 0.6, 0.8, 0.95])
    m = 1000 * share / (1 - share)
    given = {"m": m, "p": p, "mu": 0.7, "gamma": 1}
    noise = 1 - theory.fitted(n=0, n_hat=1000, **given).accuracy
    oracle = theory.fitted(n=1000, n_hat=1000, epsilon=noise, rho=0, phi=1, **given).accuracy
    weak = theory.fitted(n=1000, n_hat=1000, epsilon=noise, rho=1, phi=0.5, **given).accuracy
    np.testing.assert_allclose(oracle, FIGURE_3[p][0], atol=2e-4)
    np.testing.assert_allclose(weak, FIGURE_3[p][1], atol=2e-4)
    honest = theory.shared(n=1000, epsilon=noise, rho=0, phi=1, **given).accuracy
    assert np.ptp(honest) < 0.01
    if p in HONEST:
        np.testing.assert_allclose(honest, HONEST[p], atol=6e-5)
