"""The solvers against plain iteration, and the normal law against SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from tilth import theory
from tilth.errors import InputError
from tilth.theory import normal_cdf
from tilth.theory.fixed_point import resolvent, solve_shared, solve_spectrum, solve_wishart
from tilth.theory.spectrum import Spectrum, named_covariance


def test_the_normal_law_is_exact_to_3e_16() -> None:
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(-12, 12, 200_001), [-np.inf, np.inf, -1e9, 0.0]])
    assert np.abs(normal_cdf(x) - special.ndtr(x)).max() < 3e-16
    assert normal_cdf(0.0) == 0.5


def points(count: int, seed: int) -> dict[str, np.ndarray]:
    u = np.random.default_rng(seed).random((6, count))
    pi, alpha = u[0], u[1]
    return {
        "e": 10 ** (3 * u[2] - 2),
        "pi": pi,
        "a": alpha * (1 - pi),
        "gamma": 10 ** (4 * u[3] - 3),
        "weight": 10 ** (2 * u[4] - 1),
    }


@pytest.mark.parametrize("name", ["I", "W2", "W.5", "pow"])
def test_newton_in_log_space_finds_the_fixed_point_of_the_plain_iteration(name: str) -> None:
    spectrum, q = Spectrum.of(named_covariance(name, 30)), points(300, 1)
    d, t = solve_spectrum(spectrum, **q)
    for _ in range(3):
        g1, gc, _, _ = resolvent(spectrum, q["gamma"] + q["pi"] / (1 + d), q["weight"] * q["a"] / (1 + q["weight"] * t))
        np.testing.assert_allclose(d, q["e"] * g1, rtol=1e-8)
        np.testing.assert_allclose(t, q["e"] * gc, rtol=1e-8)


def test_the_wishart_solver_agrees_with_the_spectrum_of_the_marchenko_pastur_law() -> None:
    q, y = points(200, 2), 0.5
    low, high = (1 - np.sqrt(y)) ** 2, (1 + np.sqrt(y)) ** 2
    theta = (np.arange(4000) + 0.5) * np.pi / 4000
    x = (low + high) / 2 - (high - low) / 2 * np.cos(theta)
    mass = np.sqrt((x - low) * (high - x)) / x * np.sin(theta)
    mass /= mass.sum()
    law = Spectrum(x, mass, mass, mass, 0 * mass)
    a, b = solve_wishart(**q, y=np.full(200, y)), solve_spectrum(law, **q)
    np.testing.assert_allclose(a[0], b[0], rtol=1e-6)
    np.testing.assert_allclose(a[1], b[1], rtol=1e-6)


def test_the_shared_solver_satisfies_its_equation() -> None:
    q = points(500, 4)
    q["pi"] = np.maximum(q["pi"], 1e-3)
    t = solve_shared(**q)
    x = (q["pi"] * t + q["weight"] * q["a"] * t / (1 + q["weight"] * t)) / q["e"]
    np.testing.assert_allclose(q["gamma"] * t / q["e"], (1 - x) * (1 - q["e"] / q["pi"] * x), rtol=1e-7, atol=1e-10)
    assert (x <= 1 + 1e-9).all() and (q["e"] / q["pi"] * x <= 1 + 1e-9).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_covariance_seen_once_gives_what_its_spectrum_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = 30
    z = rng.standard_normal((p, int(rng.integers(5, 80))))
    C = z @ z.T / z.shape[1]
    basis = np.linalg.qr(rng.standard_normal((p, 2)))[0]
    mu, orth = float(rng.uniform(0, 2)), float(rng.uniform(-1, 1))
    beta = float(rng.uniform(-1, 2))
    given = {
        "n": float(rng.choice([0, 40, 900])), "m": float(rng.choice([0, 30, 3000])), "epsilon": float(rng.random()),
        "rho": float(rng.random()), "phi": float(rng.random()), "gamma": float(10 ** rng.uniform(-5, 1)),
        "weight": float(rng.choice([0, 0.3, 1, 4])),
    }  # fmt: skip
    spectrum = theory.Spectrum.of(C, *basis.T)
    want = theory.general(p=p, mu=mu, beta=beta, mu_orth=orth, spectrum=spectrum, **given)
    found = theory.once(C, mu * basis[:, 0], beta * mu * basis[:, 0] + orth * basis[:, 1], **given)
    for name in ("accuracy", "risk", "m1", "m2"):
        assert float(getattr(found, name)) == pytest.approx(float(getattr(want, name)), rel=1e-7, abs=1e-10)


def test_a_matrix_that_is_no_covariance_is_refused() -> None:
    mu = np.ones(3)
    for bad in (np.triu(np.ones((3, 3))), -np.eye(3), np.full((3, 3), np.nan), np.eye(2)):
        with pytest.raises(InputError):
            theory.once(bad, mu, mu, n=10, m=10)
