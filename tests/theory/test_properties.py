"""What must hold at every parameter point, the edges included."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth import theory
from tilth.errors import InputError, UsageError
from tilth.theory.settings import ARGUMENTS, SETTINGS
from tilth.theory.spectrum import named_covariance

SPECTRA = {name: theory.Spectrum.of(named_covariance(name, 40)) for name in ("W2", "W.5", "pow")}


def numbers(*edges: float, low: float, high: float) -> st.SearchStrategy[float]:
    return st.one_of(st.sampled_from(edges), st.floats(low, high, allow_nan=False))


POINT = st.fixed_dictionaries(
    {
        "n": numbers(0, 1, 200, low=0, high=1e6),
        "m": numbers(0, 1, 200, low=0, high=1e6),
        "n_hat": numbers(0, 1, 200, low=0, high=1e6),
        "p": numbers(1, 2, 200, low=1, high=5e3),
        "mu": numbers(0, 1, low=0, high=5),
        "beta": numbers(0, 1, -1, low=-2, high=2),
        "mu_orth": numbers(0, 1, low=-2, high=2),
        "epsilon": numbers(0, 1, 0.5, low=0, high=1),
        "rho": numbers(0, 1, low=0, high=1),
        "phi": numbers(0, 1, low=0, high=1),
        "gamma": numbers(1e-6, 1, low=1e-6, high=1e3),
        "weight": numbers(0, 1, low=0, high=50),
    }
)


@pytest.mark.parametrize("setting", [*SETTINGS, *SPECTRA])
@given(point=POINT)
@settings(max_examples=150, deadline=None)
def test_every_point_is_a_finite_signed_prediction_without_a_warning(setting: str, point: dict[str, float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if setting in SPECTRA:
            found = theory.predict("general", {**point, "spectrum": SPECTRA[setting]})
        else:
            found = theory.predict(setting, point)
    assert all(np.isfinite(v) for v in (found.accuracy, found.risk, found.m1, found.m2))
    assert 0 <= found.accuracy <= 1
    assert found.m2 >= found.m1**2 * (1 - 1e-9)
    assert found.risk >= 0
    assert found.risk == pytest.approx(found.m2 + 1 - 2 * found.m1, rel=1e-6, abs=1e-9)
    if found.m1 != 0:
        assert (found.accuracy - 0.5) * found.m1 >= 0


@pytest.mark.parametrize("setting", SETTINGS)
@given(point=POINT)
@settings(max_examples=60, deadline=None)
def test_pruning_is_having_fewer_samples_of_cleaner_labels_and_a_stronger_ridge(
    setting: str, point: dict[str, float]
) -> None:
    if setting == "synthetic":
        point = {**point, "n": 0.0}
    labels = theory.prune(point["epsilon"], point["rho"], point["phi"])
    alpha, noise = float(labels.alpha), float(labels.kept_noise)
    n, m = point["n"], point["m"]
    if n + alpha * m < 1e-3 or 0 < n < 1:
        return
    plain = {
        **point,
        "m": alpha * m,
        "epsilon": noise,
        "rho": 1.0,
        "phi": 1.0,
        "gamma": point["gamma"] * (n + m) / (n + alpha * m),
    }
    a, b = theory.predict(setting, point), theory.predict(setting, plain)
    assert a.accuracy == pytest.approx(b.accuracy, abs=1e-6)
    assert a.risk == pytest.approx(b.risk, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("setting", ["general", "fitted", "fitted-mean", "shared"])
def test_without_synthetic_samples_all_settings_are_one(setting: str) -> None:
    point = {"n": 300, "m": 0, "n_hat": 50, "p": 200, "mu": 1.2, "gamma": 0.03, "epsilon": 0.4}
    found = theory.predict(setting, point)
    base = theory.predict("general", point)
    assert found.accuracy == pytest.approx(base.accuracy, rel=1e-9)
    assert found.risk == pytest.approx(base.risk, rel=1e-9)


def test_synthetic_only_is_the_general_setting_without_real_samples() -> None:
    rng = np.random.default_rng(3)
    u = rng.random((6, 200))
    given = {
        "m": 10 ** (1 + 3 * u[0]),
        "p": 100,
        "mu": 2 * u[1],
        "epsilon": u[2],
        "rho": u[3],
        "phi": u[4],
        "gamma": 10 ** (3 * u[5] - 3),
        "weight": 0.5,
    }
    a, b = theory.synthetic(**given), theory.general(n=0, **given)
    np.testing.assert_allclose(a.accuracy, b.accuracy, rtol=1e-9)
    np.testing.assert_allclose(a.risk, b.risk, rtol=1e-9)


def test_a_generator_fitted_on_very_many_samples_is_perfect() -> None:
    given = {"n": 100, "m": 500, "p": 200, "mu": 1, "epsilon": 0.2, "rho": 0.3, "phi": 0.9, "gamma": 0.05, "weight": 2}
    want = theory.general(**given).accuracy
    assert theory.fitted(n_hat=1e12, **given).accuracy == pytest.approx(want, rel=1e-8)
    assert theory.fitted_mean(n_hat=1e12, **given).accuracy == pytest.approx(want, rel=1e-8)


def test_weight_zero_is_as_if_the_synthetic_samples_only_diluted_the_ridge() -> None:
    given = {"p": 200, "mu": 1, "epsilon": 0.3}
    alone = theory.general(n=100, m=0, gamma=0.1 * 500 / 100, **given).accuracy
    for setting in ("general", "fitted", "fitted-mean", "shared"):
        found = theory.predict(setting, {"n": 100, "m": 400, "n_hat": 300, "gamma": 0.1, "weight": 0, **given})
        assert found.accuracy == pytest.approx(alone, rel=1e-9)


def test_swapping_right_and_wrong_labels_mirrors_the_accuracy() -> None:
    a = theory.synthetic(m=300, p=100, mu=1, gamma=0.1, epsilon=0.2, rho=0.3, phi=0.9)
    b = theory.synthetic(m=300, p=100, mu=1, gamma=0.1, epsilon=0.8, rho=0.9, phi=0.3)
    assert a.accuracy + b.accuracy == pytest.approx(1, abs=1e-12)


def test_a_grid_gives_the_same_as_its_points_one_by_one() -> None:
    eps, m = np.linspace(0, 1, 5), np.array([[0.0], [50.0], [5000.0]])
    for setting in SETTINGS:
        given: dict[str, Any] = {
            "n": 0 if setting == "synthetic" else 70,
            "n_hat": 90,
            "p": 100,
            "mu": 1,
            "gamma": 1e-3,
        }
        grid = theory.predict(setting, {**given, "m": m, "epsilon": eps})
        assert grid.accuracy.shape == (3, 5)
        one = theory.predict(setting, {**given, "m": 50.0, "epsilon": eps[1]})
        assert grid.accuracy[1, 1] == pytest.approx(float(one.accuracy), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("gamma", 0), ("n", -1), ("epsilon", 1.2), ("mu", float("nan")), ("p", "many"), ("m", float("inf"))],
)
def test_a_parameter_out_of_its_range_is_named(name: str, value: object) -> None:
    point = {"n": 10, "m": 10, "p": 10, "mu": 1, "gamma": 1, "epsilon": 0.1, name: value}
    with pytest.raises(InputError, match=name):
        theory.predict("general", point)


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="fitted"):
        theory.predict("fited", {})
    with pytest.raises(InputError, match="n_hat"):
        theory.predict("fitted", {k: 1 for k in ARGUMENTS["general"]})


def test_break_even_is_1_where_no_noise_hurts_and_0_where_clean_labels_do() -> None:
    assert theory.break_even_noise(n=100, m=0, p=50, mu=1) == 1
    assert theory.break_even_noise(n=2000, m=500, p=50, mu=1, beta=-1.0, gamma=0.1) == 0
    assert theory.break_even_noise(n=0, m=500, p=50, mu=1, rho=0.3, phi=0.8) == pytest.approx(0.8 / 1.1, abs=1e-6)


def test_the_best_weight_beats_the_ends_of_its_range() -> None:
    given: dict[str, Any] = {"n": 300, "m": 3000, "p": 200, "mu": 1, "gamma": 0.1, "epsilon": 0.35}
    found = theory.best("general", "weight", **given)
    around = theory.general(weight=[found.value / 1.05, found.value, found.value * 1.05, 1.0], **given).accuracy
    assert not found.at_edge
    assert found.accuracy == pytest.approx(around.max(), abs=1e-9) and around[1] == around.max()
    assert theory.best("general", "m", bounds=(10, 1e4), **{k: v for k, v in given.items() if k != "m"}).name == "m"


def test_the_best_threshold_lies_on_the_verifiers_curve() -> None:
    curve = ([0.2, 0.5, 0.8], [0.99, 0.9, 0.3], [0.9, 0.2, 0.05])
    found = theory.best("general", "threshold", curve=curve, n=200, m=1000, p=100, mu=1, epsilon=0.4, gamma=0.1)
    assert found.value == 0.5 and not found.at_edge
    with pytest.raises(UsageError, match="curve"):
        theory.best("general", "threshold", n=1, m=1, p=1, mu=1)
