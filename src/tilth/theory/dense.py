"""Setting (a) at one point for a covariance that is seen once. Knows no batches: for many points decompose C once.

Neither eigenvectors nor eigenvalues are needed: an orthogonal change of basis makes C tridiagonal, and there the traces
of the fixed point and the two class means' part take O(p) each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tilth.errors import InputError
from tilth.theory.arguments import Array, numbers
from tilth.theory.assemble import Gram, Traces, moments
from tilth.theory.fixed_point import LIMIT, TOLERANCE, isotropic
from tilth.theory.labels import kept
from tilth.theory.prediction import Prediction

_TINY = 1e-300
NEAR = 1e4
"""Largest eigenvalue over the smallest of C + x up to which C's traces, differences of the resolvent's, keep 8 digits."""
MOST = 690.0
"""Logarithms are cut here before their exponential overflows."""
SMALL = 1e-5
"""L C/A up to which the resolvent is its series."""
LIFTS = (0.0, 1e-14, 1e-12, 1e-10, 1e-8)
"""What is tried to add to the eigenvalues, in units of the largest, until a semi-definite matrix is definite."""


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
    if not np.isfinite(means).all():
        raise InputError("a mean holds nan", todo="give finite means")
    checked = numbers(n=n, m=m, gamma=gamma, weight=weight, epsilon=epsilon, rho=rho, phi=phi)
    n, m, gamma, weight = (float(v) for v in checked[:4])
    labels = kept(*checked[4:])
    alpha, total = float(labels.alpha), n + m
    if total <= 0 or (n <= 0 and (alpha <= 0 or weight <= 0)):
        return Prediction.of(np.zeros(()), np.zeros(()))
    e, pi = len(c) / total, n / total
    a = alpha * (1 - pi)
    T = _Tridiagonal.of(c, means)
    d, t = _solve(T, e, pi, a, gamma, weight)
    ds = weight * t
    A, L = gamma + pi / (1 + d), weight * a / (1 + ds)
    own, plain, with_c = T.means_part(A, L)
    _, _, second, turned = T.traces(A, L)

    def energy(v11: Array, v12: Array, v22: Array) -> tuple[Array, Array]:
        return _gram(plain).form(v11, v12, v22), _gram(with_c).form(v11, v12, v22)

    traces = Traces(np.asarray(e * second), np.asarray(weight * e * turned))
    share, ridge, w, real, fake = (np.asarray(v) for v in (pi, gamma, weight, d, ds))
    found = moments(labels.alpha, labels.lam, share, ridge, w, real, fake, traces, _gram(own), energy)
    return Prediction.of(*found)


def _gram(two: Array) -> Gram:
    return Gram(np.asarray(two[0, 0]), np.asarray(two[0, 1]), np.asarray(two[1, 1]))


@dataclass(slots=True)
class _Tridiagonal:
    """C and the means in a basis in which C is tridiagonal.

    Args:
        covariance: C itself.
        diagonal, beside: (p,) and (p-1,) entries of C.
        means: (2, p).
        first, second: tr C/p and tr C^2/p.
        scale: no eigenvalue is larger.
        values: the eigenvalues, found when C + x is too near to singular for the recurrences.
    """

    covariance: Array
    diagonal: Array
    beside: Array
    means: Array
    first: float
    second: float
    scale: float
    values: Array | None = None

    @staticmethod
    def of(c: Array, means: Array) -> _Tridiagonal:
        """Turn C.

        Raises:
            InputError: C has a negative eigenvalue.
        """
        from tilth.theory.compiled import least_pivot, tridiagonal

        turned = np.ascontiguousarray(means.T)
        diagonal, beside = tridiagonal(np.array(c, order="C"), turned)
        padded = np.abs(np.concatenate([[0.0], beside, [0.0]]))
        scale = float((np.abs(diagonal) + padded[:-1] + padded[1:]).max(initial=0.0))
        # Rounding may leave a semi-definite matrix with pivots a little below 0.
        lift = next((v for v in LIFTS if scale == 0 or least_pivot(diagonal, beside, v * scale) > 0), None)
        if lift is None:
            raise InputError("the matrix has a negative eigenvalue", todo="give a covariance")
        diagonal = diagonal + lift * scale
        first, second = float(diagonal.mean()), float(diagonal @ diagonal + 2 * beside @ beside) / len(c)
        return _Tridiagonal(c, diagonal, beside, turned, first, second, scale)

    def traces(self, A: float, L: float) -> tuple[float, float, float, float]:
        """(1/p) tr of D^-1, C D^-1, D^-2 and C D^-2 with D = A I + L C."""
        from tilth.theory.compiled import resolvent_traces

        p = len(self.diagonal)
        if L * self.scale <= SMALL * A:  # two terms of the series in L C/A, exact there to 1e-10
            u = L / A
            g, gc = (1 - u * self.first) / A, (self.first - u * self.second) / A
            return g, gc, (1 - 2 * u * self.first) / A**2, (self.first - 2 * u * self.second) / A**2
        x = A / L
        one, two = resolvent_traces(self.diagonal, self.beside, x) if self.values is None else (0.0, 0.0)
        if self.values is None and not self.scale * math.sqrt(max(two, 0.0)) <= NEAR:
            self.values = np.maximum(np.linalg.eigvalsh(self.covariance), 0.0)
        if self.values is not None:
            inverse = 1 / (A + L * self.values)
            weighted = inverse * self.values
            return (
                float(inverse.sum()) / p, float(weighted.sum()) / p, float(inverse @ inverse) / p,
                float(inverse @ weighted) / p,
            )  # fmt: skip
        one, two = one / p, two / p
        return one / L, (1 - x * one) / L, two / L**2, (one - x * two) / L**2

    def means_part(self, A: float, L: float) -> tuple[Array, Array, Array]:
        """U'D^-1 U, U'D^-2 U and U'C D^-2 U for U the two means, each (2, 2)."""
        from tilth.theory.compiled import tridiagonal_solve

        u = self.means
        solved = tridiagonal_solve(L * self.diagonal, L * self.beside, A, u)
        turned = solved * self.diagonal
        turned[:, 1:] += solved[:, :-1] * self.beside
        turned[:, :-1] += solved[:, 1:] * self.beside
        return u @ solved.T, solved @ solved.T, solved @ turned.T


def _solve(T: _Tridiagonal, e: float, pi: float, a: float, gamma: float, weight: float) -> tuple[float, float]:
    """`tilth.theory.fixed_point.solve_spectrum` for one point, in Python's own numbers."""
    mean = T.first
    start = float(isotropic(np.asarray(e), np.asarray(pi + a * min(1.0, weight * mean)), np.asarray(gamma)))
    u = (math.log(max(start, _TINY)), math.log(max(start * mean, _TINY)))

    def step(u0: float, u1: float) -> tuple[float, float, float, float]:
        """The map's image and Newton's step, both as changes of (log d, log t)."""
        d, ds = math.exp(min(u0, MOST)), weight * math.exp(min(u1, MOST))
        k = pi / (1 + d)
        A, L = gamma + k, weight * a / (1 + ds)
        g1, gc, t1, t3 = T.traces(A, L)
        g1, gc = max(g1, _TINY), max(gc, _TINY)
        f1, f2 = math.log(max(e * g1, _TINY)) - u0, math.log(max(e * gc, _TINY)) - u1
        real, fake = d / (1 + d), ds / (1 + ds)
        j11, j21 = k * real * t1 / g1, k * real * t3 / gc
        j12, j22 = L * fake * t3 / g1, fake * (1 - A * t3 / gc)
        det = (1 - j11) * (1 - j22) - j12 * j21
        return f1, f2, ((1 - j22) * f1 + j12 * f2) / det, (j21 * f1 + (1 - j11) * f2) / det

    f1, f2, s1, s2 = step(*u)
    for _ in range(LIMIT):
        trial = u[0] + s1, u[1] + s2
        found = step(*trial)
        if not max(abs(found[0]), abs(found[1])) <= max(abs(f1), abs(f2)):
            trial = u[0] + f1, u[1] + f2
            found = step(*trial)
        u, (f1, f2, s1, s2) = trial, found
        if max(abs(s1), abs(s2)) <= 100 * TOLERANCE * (1 + max(abs(v) for v in u)):
            break
    return math.exp(min(u[0], MOST)), math.exp(min(u[1], MOST))
