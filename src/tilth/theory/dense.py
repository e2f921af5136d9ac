"""Setting (a) at one point for a covariance that is seen once. Knows no batches: for many points decompose C once.

The fixed point needs eigenvalues only, and the class means enter through two solutions of a linear system; so the
eigenvectors, most of the cost of a decomposition, are never computed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tilth.errors import InputError
from tilth.theory.arguments import Array, numbers
from tilth.theory.assemble import Gram, Traces, moments
from tilth.theory.fixed_point import LIMIT, TOLERANCE, isotropic
from tilth.theory.labels import kept
from tilth.theory.prediction import Prediction

_TINY = 1e-300


def once(
    covariance: ArrayLike, mu: ArrayLike, mu_b: ArrayLike, *, n: float, m: float, epsilon: float = 0.0,
    rho: float = 1.0, phi: float = 1.0, gamma: float = 1.0, weight: float = 1.0,
) -> Prediction:  # fmt: skip
    """`tilth.theory.general` for one point and a fresh covariance.

    Args:
        covariance: (p, p) symmetric, positive semi-definite.
        mu, mu_b: (p,) class means of real and synthetic samples.
        n, m, epsilon, rho, phi, gamma, weight: as in `tilth.theory.general`.

    Returns:
        Signed accuracy, risk, m1, m2, each a 0-dimensional array.

    Raises:
        InputError: a parameter is out of its range, or the matrix is not a covariance.
    """
    c = np.asarray(covariance, dtype=np.float64)
    means = np.stack([np.asarray(mu, dtype=np.float64), np.asarray(mu_b, dtype=np.float64)], axis=-1)
    if c.ndim != 2 or c.shape[0] != c.shape[1] or means.shape != (len(c), 2):
        raise InputError(
            f"covariance {c.shape} and means {means.shape[::-1]} do not fit", todo="give p x p and two vectors of p"
        )
    scale = float(np.abs(c).max(initial=0.0))
    if not np.isfinite(scale) or not (np.array_equal(c, c.T) or np.allclose(c, c.T, rtol=0, atol=1e-8 * scale)):
        raise InputError(
            "the covariance is not symmetric or holds nan", todo="give (C + C')/2 if that is what you mean"
        )
    values = np.linalg.eigvalsh(c)
    if not (values[0] >= -1e-8 * max(float(values[-1]), _TINY) and np.isfinite(means).all()):
        raise InputError("the matrix is not a covariance, or a mean holds nan", todo="give a finite covariance")
    checked = numbers(n=n, m=m, gamma=gamma, weight=weight, epsilon=epsilon, rho=rho, phi=phi)
    n, m, gamma, weight = (float(v) for v in checked[:4])
    labels = kept(*checked[4:])
    alpha, total = float(labels.alpha), n + m
    if total <= 0 or (n <= 0 and alpha * weight <= 0):
        return Prediction.of(np.zeros(()), np.zeros(()))
    e, pi = len(c) / total, n / total
    a = alpha * (1 - pi)
    d, t = _solve(np.maximum(values, 0.0), e, pi, a, gamma, weight)
    ds = weight * t
    A, L = gamma + pi / (1 + d), weight * a / (1 + ds)
    inverse = 1 / (A + L * np.maximum(values, 0.0))
    second = float(inverse @ inverse) / len(c)
    turned = float((inverse * inverse) @ np.maximum(values, 0.0)) / len(c)
    matrix = L * c
    matrix.flat[:: len(c) + 1] += A
    solved = np.linalg.solve(matrix, means)
    own = np.asarray(means.T @ solved, dtype=np.float64)
    plain = np.asarray(solved.T @ solved, dtype=np.float64)
    with_c = np.asarray(solved.T @ (c @ solved), dtype=np.float64)

    def energy(v11: Array, v12: Array, v22: Array) -> tuple[Array, Array]:
        return _gram(plain).form(v11, v12, v22), _gram(with_c).form(v11, v12, v22)

    traces = Traces(np.asarray(e * second), np.asarray(weight * e * turned))
    share, ridge, w, real, fake = (np.asarray(v) for v in (pi, gamma, weight, d, ds))
    found = moments(labels.alpha, labels.lam, share, ridge, w, real, fake, traces, _gram(own), energy)
    return Prediction.of(*found)


def _gram(two: Array) -> Gram:
    return Gram(np.asarray(two[0, 0]), np.asarray(two[0, 1]), np.asarray(two[1, 1]))


def _solve(c: Array, e: float, pi: float, a: float, gamma: float, weight: float) -> tuple[float, float]:
    """`tilth.theory.fixed_point.solve_spectrum` for one point, in Python's own numbers."""
    p, mean = len(c), float(c.mean())
    start = float(isotropic(np.asarray(e), np.asarray(pi + a * min(1.0, weight * mean)), np.asarray(gamma)))
    d, t = max(start, _TINY), max(start * mean, _TINY)

    def step(d: float, t: float) -> tuple[float, float, float, float]:
        """The map's image and Newton's step, both as changes of (log d, log t)."""
        ds = weight * t
        k = pi / (1 + d)
        A, L = gamma + k, weight * a / (1 + ds)
        inverse = 1 / (A + L * c)
        weighted = inverse * c
        g1, gc = max(float(inverse.sum()) / p, _TINY), max(float(weighted.sum()) / p, _TINY)
        t1, t3 = float(inverse @ inverse) / p, float(inverse @ weighted) / p
        f1, f2 = np.log(e * g1 / d), np.log(max(e * gc, _TINY) / t)
        real, fake = d / (1 + d), ds / (1 + ds)
        j11, j21 = k * real * t1 / g1, k * real * t3 / gc
        j12, j22 = L * fake * t3 / g1, fake * (1 - A * t3 / gc)
        det = (1 - j11) * (1 - j22) - j12 * j21
        return f1, f2, ((1 - j22) * f1 + j12 * f2) / det, (j21 * f1 + (1 - j11) * f2) / det

    f1, f2, s1, s2 = step(d, t)
    for _ in range(LIMIT):
        trial = d * float(np.exp(s1)), t * float(np.exp(s2))
        found = step(*trial)
        if not max(abs(found[0]), abs(found[1])) <= max(abs(f1), abs(f2)):
            trial = d * float(np.exp(f1)), t * float(np.exp(f2))
            found = step(*trial)
        (d, t), (f1, f2, s1, s2) = trial, found
        if max(abs(s1), abs(s2)) <= 100 * TOLERANCE:
            break
    return d, t
