"""The solvers against plain iteration, and the normal law against SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from tilth import theory
from tilth.errors import InputError
from tilth.theory import compiled, fixed_point, normal_cdf
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


def test_the_compiled_wishart_solver_agrees_with_the_one_for_few_points() -> None:
    count = fixed_point.COMPILED + 700
    q, y = points(count, 3), 10 ** np.random.default_rng(5).uniform(-2, 2, count)
    q["weight"][:50], q["a"][50:100], q["pi"][100:150] = 0.0, 0.0, 0.0
    many = solve_wishart(**q, y=y)
    for start in range(0, count, 1_000):
        part = slice(start, start + 1_000)
        few = solve_wishart(**{k: v[part] for k, v in q.items()}, y=y[part])
        np.testing.assert_allclose(many[0][part], few[0], rtol=1e-9)
        np.testing.assert_allclose(many[1][part], few[1], rtol=1e-9)


@pytest.mark.parametrize("p", [1, 2, 3, 7, 40, 41])
def test_a_matrix_and_its_tridiagonal_form_have_the_same_resolvent(p: int) -> None:
    rng = np.random.default_rng(p)
    z, U = rng.standard_normal((p, 2 * p)), rng.standard_normal((2, p))
    C, x = z @ z.T / p, 0.3
    turned = U.copy()
    diagonal, beside = compiled.tridiagonal(C.copy(), turned)
    inverse = np.linalg.inv(C + x * np.eye(p))
    one, two = compiled.resolvent_traces(diagonal, beside, x)
    assert one == pytest.approx(np.trace(inverse)) and two == pytest.approx((inverse**2).sum())
    solved = compiled.tridiagonal_solve(diagonal, beside, x, turned)
    np.testing.assert_allclose(turned @ solved.T, U @ inverse @ U.T, rtol=1e-9, atol=1e-12)
    least = np.linalg.eigvalsh(C)[0]
    assert (
        compiled.least_pivot(diagonal, beside, -0.99 * least)
        > 0
        > compiled.least_pivot(diagonal, beside, -1.01 * least)
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_nearly_singular_covariance_seen_once_keeps_its_digits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, mu = 12, np.eye(12)[0]
    basis = np.linalg.qr(rng.standard_normal((p, p)))[0]
    C = (basis * 10.0 ** rng.uniform(-14, 3, p)) @ basis.T
    C = (C + C.T) / 2
    given = {"n": float(rng.choice([0, 5])), "m": 50.0, "epsilon": 0.3, "gamma": 1e-6, "weight": 100.0}
    found = theory.once(C, mu, mu, **given)
    want = theory.general(p=p, mu=1.0, spectrum=Spectrum.of(C), **given)
    assert float(found.accuracy) == pytest.approx(float(want.accuracy), abs=1e-7)


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
