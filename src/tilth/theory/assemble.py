"""From a solved fixed point to the mean and variance of y w'x on fresh real data. Knows no solver, checks nothing.

The published second moment subtracts numbers of equal size. Written as a variance, every term is a square times a
positive factor, so nothing cancels, accuracy is never folded and no second moment turns negative:

    variance = T1 (1-m1)^2 + [(1-b2) v'G2 v + b1 v'Gc v]/h
             + T2 alpha [(m1s - sqrt(w) lam/alpha)^2 + w (1 - lam^2/alpha^2)]

The terms are what the fluctuation of the real residuals, of the directions learnt and of the synthetic residuals add.
The determinant h of the fixed-point map is likewise a sum of positive terms, hence h > 0 and the root is the only one:

    h (1+d)(1+ds) = (1 + gamma t1)(1 + A t3) + l t3 (1 + gamma t3),     A = gamma + k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tilth.theory.arguments import Array
from tilth.theory.fixed_point import positive_root

Energy = Callable[[Array, Array, Array], tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Gram:
    """U'f(C)U for U = [mu, mu_b]: its three entries, each an array over points."""

    g11: Array
    g12: Array
    g22: Array

    def form(self, v11: Array, v12: Array, v22: Array) -> Array:
        """v' (this) v from (v1^2, 2 v1 v2, v2^2)."""
        return v11 * self.g11 + v12 * self.g12 + v22 * self.g22

    @staticmethod
    def turned(along: Array, cross: Array, across: Array, *, mu: Array, beta: Array, orth: Array) -> Gram:
        """From f's measures along mu's and mu_orth's directions, with mu_b = beta mu + orth."""
        g11 = mu * mu * along
        mixed = mu * orth * cross
        return Gram(g11, beta * g11 + mixed, beta * (beta * g11 + 2 * mixed) + orth * orth * across)


@dataclass(frozen=True, slots=True)
class Traces:
    """t1 = tr D^-2/N and t3 = w tr(C D^-2)/N."""

    t1: Array
    t3: Array


def moments(
    alpha: Array, lam: Array, pi: Array, gamma: Array, weight: Array, d: Array, ds: Array, traces: Traces,
    G: Gram, energy: Energy,
) -> tuple[Array, Array]:  # fmt: skip
    """m1 and the variance for a generator that is independent of the real training samples.

    A weight w on the synthetic loss is a generator with covariance w C and mean sqrt(w) mu_b whose labels are
    sqrt(w) y~. Adding the means to the Gram matrix is a rank-two change, Q = D^-1 - D^-1 U K M' U' D^-1 with
    K = diag(k, l) and M = (I + K G)^-1; so all that is needed of Q are 2 x 2 matrices: S = U'QU = G M.

    Args:
        alpha, lam: see `tilth.theory.labels`.
        pi, gamma, weight: real share, ridge, weight.
        d, ds: the fixed point.
        traces: of D^-2.
        G: U'D^-1 U, with mu_b not yet scaled by the weight.
        energy: (v1^2, 2 v1 v2, v2^2) to v'U'D^-2 U v and v'U'C D^-2 U v, with mu_b and C not yet scaled.

    Returns:
        m1 and variance.
    """
    root = np.sqrt(weight)
    k, shrink = pi / (1 + d), (1 - pi) / (1 + ds)
    ell, r = alpha * shrink, root * lam * shrink
    A, t1, t3 = gamma + k, traces.t1, traces.t3
    g11, g12, g22 = G.g11, root * G.g12, weight * G.g22
    det_g = np.maximum(g11 * g22 - g12 * g12, 0.0)
    delta = 1 / (1 + k * g11 + ell * g22 + k * ell * det_g)
    s11, s12, s22 = (g11 + ell * det_g) * delta, g12 * delta, (g22 + k * det_g) * delta
    v1 = (k * (1 + ell * g22) - k * r * g12) * delta
    v2 = (r * (1 + k * g11) - k * ell * g12) * delta * root
    m1, m1s = k * s11 + r * s12, k * s12 + r * s22
    plain, turned = energy(v1 * v1, 2 * v1 * v2, v2 * v2)
    lt3, at3 = ell * t3, 1 + A * t3
    h = (1 + gamma * t1) * at3 + lt3 * (1 + gamma * t3)
    T1 = k * (t1 * at3 + lt3 * t3)
    T2 = shrink * t3 * (1 + d)
    residual = alpha * m1s * m1s - 2 * root * lam * m1s + weight * alpha
    variance = (T1 * (1 - m1) ** 2 + (1 + d) * (at3 * plain + weight * lt3 * turned) + T2 * residual) / h
    return m1, variance


def shared_moments(
    alpha: Array, lam: Array, e: Array, pi: Array, fake: Array, gamma: Array, weight: Array, t: Array, mu: Array
) -> tuple[Array, Array]:
    """m1 and the variance when the generator's mean and covariance come from the real training samples themselves.

    The real samples enter the regression only through C^ + mu^ mu^' and mu^, so given these the only randomness left is
    the synthetic samples': one fixed point, and D^-1's traces from the Marchenko-Pastur law. mu^ has squared length
    M = mu^2 + p/n, and (for Gaussian data) is independent of C^, so its Gram entries are M tr f(C^)/p.

    Args:
        e, pi, fake: p/N, n/N and m/N.
        t: the root of `tilth.theory.fixed_point.solve_shared`.
        The others as in `moments`.
    """
    y = e / pi
    shrink = fake / (1 + weight * t)
    wl = weight * alpha * shrink
    k = pi + wl
    c = pi + weight * lam * shrink
    b = k * (1 - y) + gamma
    spread = np.sqrt(b * b + 4 * y * gamma * k)
    g1 = np.where(b >= 0, 2 / np.maximum(b + spread, 1e-300), (spread - b) / (2 * y * gamma * k))
    stretch = 1 + y * k * g1
    g2, gc2 = g1 * stretch / spread, g1 / (spread * stretch)
    M = mu * mu + y
    den = 1 + k * M * g1
    own = M * g1 / den
    t3 = weight * e * gc2
    keep = (k + pi * weight * t + wl * gamma * t3) / (k * (1 + weight * t))
    T2 = shrink / (1 + weight * t) * t3 / keep
    m1 = c * mu * mu * g1 / den
    residual = alpha * (c * own) ** 2 - 2 * lam * c * own + alpha
    variance = c * c * M * (g2 + weight * alpha * T2 * gc2) / (den * den) + weight * T2 * residual
    return m1, variance


def synthetic_moments(
    alpha: Array, lam: Array, e: Array, gamma: Array, weight: Array, mu: Array
) -> tuple[Array, Array]:
    """m1 and the variance for synthetic samples alone with C = I and mu_b = mu.

    `moments` with k = 0 and all Gram entries equal: d = ds solves a quadratic and the 2 x 2 matrices collapse.

    Args:
        e: p/m. The others as in `moments`.
    """
    ridge = gamma / np.maximum(weight, 1e-60)
    d = positive_root(ridge, ridge + alpha - e, e)
    one = 1 + d
    ratio = ridge * one + alpha
    den = alpha * mu * mu + ratio
    m1 = lam * mu * mu / den
    # tr D^-2/N with D = ratio/(1+d)
    t = e * one * one / np.where(ratio > 0, ratio * ratio, 1.0)
    h = (1 + ridge * t) / one
    variance = (lam * mu / den) ** 2 / h + t / (one * one * h) * (alpha * (1 + m1 * m1) - 2 * lam * m1)
    return m1, variance
