"""The formulas against simulated training, at fresh points and fixed seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilth import theory
from tilth.theory.normal import normal_cdf

REPEATS = 150
P = 60
POINTS = [
    (
        "general",
        {
            "n": 40,
            "m": 150,
            "mu": 1.0,
            "beta": 0.8,
            "mu_orth": 0.5,
            "epsilon": 0.25,
            "rho": 0.3,
            "phi": 0.8,
            "gamma": 0.05,
        },
    ),
    (
        "general",
        {
            "n": 90,
            "m": 90,
            "mu": 1.5,
            "beta": 1.0,
            "mu_orth": 0.0,
            "epsilon": 0.7,
            "rho": 0.6,
            "phi": 0.5,
            "gamma": 0.3,
        },
    ),
    (
        "general",
        {
            "n": 50,
            "m": 300,
            "mu": 1.0,
            "beta": 1.0,
            "mu_orth": 0.3,
            "epsilon": 0.3,
            "rho": 0.5,
            "phi": 0.9,
            "gamma": 0.1,
            "weight": 0.4,
        },
    ),
    (
        "fitted",
        {
            "n": 80,
            "n_hat": 40,
            "m": 200,
            "mu": 1.0,
            "beta": 1.0,
            "mu_orth": 0.0,
            "epsilon": 0.1,
            "rho": 0.2,
            "phi": 0.9,
            "gamma": 0.1,
        },
    ),
    (
        "fitted-mean",
        {
            "n": 60,
            "n_hat": 90,
            "m": 200,
            "mu": 1.2,
            "epsilon": 0.2,
            "rho": 0.1,
            "phi": 0.6,
            "gamma": 0.2,
            "weight": 2.0,
        },
    ),
    ("shared", {"n": 150, "m": 400, "mu": 1.0, "epsilon": 0.2, "rho": 0.3, "phi": 1.0, "gamma": 0.3}),
    ("shared", {"n": 90, "m": 300, "mu": 1.3, "epsilon": 0.1, "rho": 0.3, "phi": 0.9, "gamma": 0.5, "weight": 0.5}),
    (
        "synthetic",
        {
            "n": 0,
            "m": 200,
            "mu": 1.0,
            "beta": 1.0,
            "mu_orth": 0.0,
            "epsilon": 0.8,
            "rho": 0.4,
            "phi": 0.8,
            "gamma": 0.2,
        },
    ),
]


def draw(rng: np.random.Generator, count: int, mean: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`count` samples y mean + root z and their labels, half of each class."""
    y = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    return y[:, None] * mean + rng.standard_normal((count, root.shape[1])) @ root.T, y


def generator(
    setting: str, q: dict[str, Any], rng: np.random.Generator, mu: np.ndarray, real: np.ndarray, real_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The generator's mean and a root of its covariance."""
    orth = np.zeros(P)
    orth[1] = q.get("mu_orth", 0.0)
    mean = q.get("beta", 1.0) * mu + orth
    if setting in ("general", "synthetic"):
        return mean, np.eye(P)
    if setting == "shared":
        samples, centred = len(real), real - real_y[:, None] * (real * real_y[:, None]).mean(axis=0)
        return (real * real_y[:, None]).mean(axis=0), centred.T / np.sqrt(samples)
    noise = rng.standard_normal((q["n_hat"], P))
    shift = noise.mean(axis=0) if setting == "fitted-mean" else 0.0
    return mean + shift, (noise - shift).T / np.sqrt(q["n_hat"])


def simulate(setting: str, q: dict[str, Any], rng: np.random.Generator) -> tuple[float, float]:
    """Accuracy and risk of one trained classifier on fresh real data."""
    mu = np.zeros(P)
    mu[0] = q["mu"]
    real, y = draw(rng, q["n"], mu, np.eye(P))
    mean, root = generator(setting, q, rng, mu, real, y)
    fake, truth = draw(rng, q["m"], mean, root)
    wrong = rng.random(q["m"]) < q["epsilon"]
    kept = rng.random(q["m"]) < np.where(wrong, q["rho"], q["phi"])
    fake, given = fake[kept], np.where(wrong, -truth, truth)[kept]
    N, w = q["n"] + q["m"], q.get("weight", 1.0)
    gram = (real.T @ real + w * fake.T @ fake) / N + q["gamma"] * np.eye(P)
    beta = np.linalg.solve(gram, (real.T @ y + w * fake.T @ given) / N)
    m1, length = float(mu @ beta), float(beta @ beta)
    return float(normal_cdf(m1 / np.sqrt(length))), (m1 - 1) ** 2 + length


@pytest.mark.parametrize(("setting", "q"), POINTS)
def test_simulated_training_agrees_with_the_formula(setting: str, q: dict[str, Any]) -> None:
    rng = np.random.default_rng(17)
    runs = np.array([simulate(setting, q, rng) for _ in range(REPEATS)])
    mean, error = runs.mean(axis=0), runs.std(axis=0) / np.sqrt(REPEATS)
    found = theory.predict(setting, {**q, "p": P})
    assert abs(mean[0] - found.accuracy) < 4 * error[0] + 0.008
    assert abs(mean[1] - found.risk) < 4 * error[1] + 0.02 * found.risk


def test_simulated_training_agrees_with_the_matrix_form() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, P, P)) / np.sqrt(P)
    roots = [np.eye(P) + 0.5 * a, 0.8 * np.eye(P) + 0.5 * b]
    mu, mu_b = rng.standard_normal((2, P)) / np.sqrt(P) * [[1.2], [0.3]]
    mu_b = mu_b + mu
    C, S = roots[0] @ roots[0].T, roots[1] @ roots[1].T
    moments = theory.Moments(C + np.outer(mu, mu), S + np.outer(mu_b, mu_b), mu, mu_b, C)
    q = {"n": 60, "m": 200, "epsilon": 0.3, "rho": 0.4, "phi": 0.9, "gamma": 0.1, "weight": 0.7}
    runs = []
    for _ in range(REPEATS):
        real, y = draw(rng, 60, mu, roots[0])
        fake, truth = draw(rng, 200, mu_b, roots[1])
        wrong = rng.random(200) < 0.3
        kept = rng.random(200) < np.where(wrong, 0.4, 0.9)
        fake, given = fake[kept], np.where(wrong, -truth, truth)[kept]
        gram = (real.T @ real + 0.7 * fake.T @ fake) / 260 + 0.1 * np.eye(P)
        beta = np.linalg.solve(gram, (real.T @ y + 0.7 * fake.T @ given) / 260)
        runs.append(float(normal_cdf(mu @ beta / np.sqrt(beta @ C @ beta))))
    found = float(theory.matrix(moments, **q).accuracy)
    assert abs(np.mean(runs) - found) < 4 * np.std(runs) / np.sqrt(REPEATS) + 0.008


def test_the_matrix_form_is_the_general_one_up_to_terms_of_order_1_over_p() -> None:
    p = 150
    mu, mu_b = np.zeros(p), np.zeros(p)
    mu[0], mu_b[:2] = 1.0, (0.8, 0.4)
    z = np.random.default_rng(0).standard_normal((p, 2 * p))
    C = z @ z.T / (2 * p)
    moments = theory.Moments(np.eye(p) + np.outer(mu, mu), C + np.outer(mu_b, mu_b), mu, mu_b, np.eye(p))
    given: dict[str, Any] = {
        "n": [0, 200, 200, 50],
        "m": [300, 400, 0, 900],
        "epsilon": 0.2,
        "rho": 0.2,
        "phi": 0.8,
        "gamma": [0.1, 0.01, 1e-3, 0.1],
        "weight": [1, 2, 1, 0.5],
    }
    a = theory.matrix(moments, **given)
    b = theory.general(p=p, mu=1, beta=0.8, mu_orth=0.4, spectrum=theory.Spectrum.of(C), **given)
    np.testing.assert_allclose(a.accuracy, b.accuracy, atol=3e-3)


def test_the_matrix_form_has_ordinary_values_at_its_edges() -> None:
    moments = theory.Moments(np.eye(5), np.eye(5), np.full(5, 0.3), np.full(5, 0.3), np.eye(5) - 0.09)
    found = theory.matrix(
        moments, n=[0, 0, 10, 10], m=[0, 9, 0, 50], epsilon=0.2, rho=0.0, phi=[1, 0, 1, 0], gamma=1e-6
    )
    assert np.isfinite(found.accuracy).all() and np.isfinite(found.risk).all()
    np.testing.assert_allclose(found.accuracy[:2], 0.5)
