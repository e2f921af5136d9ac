"""The published formulas written down plainly, one point at a time: what `speed.py` compares with.

Fixed points by iteration to 1e-12, a p x p inverse in each step of the general setting, accuracy by numerical
integration of the normal density's tail (good to about 1e-8). The known mistakes are corrected where that costs
nothing, so that the results can be compared; the work done a point is that of the published code.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad

LIMIT = 10_000


def accuracy(m1: float, m2: float) -> float:
    """1 - the normal law's tail beyond m1/sd, by quadrature over the half-line, as one writes it first with NumPy."""
    ratio = m1 / np.sqrt(m2 - m1**2)
    return 1 - quad(lambda u: np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi), ratio, np.inf)[0]


def general(
    n: float, m: float, mu: np.ndarray, mu_b: np.ndarray, C: np.ndarray, alpha: float, lam: float, gamma: float
) -> float:
    """Setting (a) with p x p matrices."""
    N, p = n + m, len(mu)
    pi, eye, d, ds = n / N, np.eye(p), 1.0, 1.0
    for _ in range(LIMIT):
        inverse = np.linalg.inv((gamma + pi / (1 + d)) * eye + alpha * (1 - pi) / (1 + ds) * C)
        new, new_s = float(np.trace(inverse)) / N, float(np.trace(C @ inverse)) / N
        gap = abs(new - d) + abs(new_s - ds)
        d, ds = new, new_s
        if gap < 1e-12:
            break
    k, ell, r = pi / (1 + d), alpha * (1 - pi) / (1 + ds), lam * (1 - pi) / (1 + ds)
    mm, bb = np.outer(mu, mu), np.outer(mu_b, mu_b)
    Q = np.linalg.inv(gamma * eye + k * (mm + eye) + ell * (bb + C))
    D = np.linalg.inv((gamma + k) * eye + ell * C)
    CD = C @ D
    a1, a2 = pi / (1 + d) ** 2 * np.trace(D @ D) / N, pi / (1 + d) ** 2 * np.trace(CD @ D) / N
    b1 = alpha * (1 - pi) / (1 + ds) ** 2 * np.trace(CD @ D) / N
    b2 = alpha * (1 - pi) / (1 + ds) ** 2 * np.trace(CD @ CD) / N
    h = (1 - a1) * (1 - b2) - a2 * b1
    E = ((1 - b2) * Q @ (mm + eye) @ Q + b1 * Q @ (bb + C) @ Q) / h
    v = k * mu + r * mu_b
    m1 = float(mu @ Q @ v)
    T1, T2 = (a1 * (1 - b2) + a2 * b1) / h, b1 / (alpha * h)
    m2 = float(v @ E @ v) + T1 * (1 - 2 * m1) + T2 * (alpha - 2 * lam * float(mu_b @ Q @ v))
    return accuracy(m1, m2)


def fitted(n: float, m: float, p: float, n_hat: float, mu: float, alpha: float, lam: float, gamma: float) -> float:
    """Setting (b): three coupled fixed points by iteration, scalar."""
    N, y = n + m, p / n_hat
    pi, d, ds, dg = n / N, 1.0, 1.0, 1.0
    for _ in range(LIMIT):
        k, ell = pi / (1 + d), alpha * (1 - pi) / (1 + ds)
        g1 = 1 / (gamma + k + ell / (1 + dg))
        new, new_s, new_g = p / N * g1, p / N * g1 / (1 + dg), y * ell * g1
        gap = abs(new - d) + abs(new_s - ds) + abs(new_g - dg)
        d, ds, dg = new, new_s, new_g
        if gap < 1e-12:
            break
    k, ell, r = pi / (1 + d), alpha * (1 - pi) / (1 + ds), lam * (1 - pi) / (1 + ds)
    A = gamma + k
    B = ell * (1 - y) + A
    R = math.sqrt(B * B + 4 * y * ell * A)
    g1 = d * N / p
    x1, x3 = g1 * (1 + y * ell * g1) / R, g1 / (R * (1 + y * ell * g1))
    x2 = (ds * N / p - A * x3) / ell
    t1, t2, t3 = p / N * x1, p / N * x2, p / N * x3
    a1, a2 = pi * t1 / (1 + d) ** 2, pi * t3 / (1 + d) ** 2
    b1, b2 = alpha * (1 - pi) * t3 / (1 + ds) ** 2, alpha * (1 - pi) * t2 / (1 + ds) ** 2
    h = (1 - a1) * (1 - b2) - a2 * b1
    mm = mu * mu
    s = mm * g1 / (1 + (k + ell) * mm * g1)
    v = (k + r) / (1 + (k + ell) * mm * g1)
    m1 = (k + r) * s
    T1, T2 = (a1 * (1 - b2) + a2 * b1) / h, b1 / (alpha * h)
    quadratic = ((1 - b2) * (m1 * m1 + v * v * mm * x1) + b1 * (m1 * m1 + v * v * mm * x3)) / h
    return accuracy(m1, quadratic + T1 * (1 - 2 * m1) + T2 * (alpha - 2 * lam * m1))


def synthetic(m: float, p: float, mu: float, alpha: float, lam: float, gamma: float) -> float:
    """Setting (c): the fixed point by iteration, then closed forms."""
    e, d = p / m, 1.0
    for _ in range(LIMIT):
        new = e / (gamma + alpha / (1 + d))
        gap = abs(new - d)
        d = new
        if gap < 1e-12:
            break
    den = alpha * mu * mu + alpha + gamma * (1 + d)
    h = 1 - alpha * e / (alpha + gamma * (1 + d)) ** 2
    m2 = (lam * mu) ** 2 / (h * den) * ((mu * mu + 1) / den - 2 * (1 - h) / alpha) + (1 - h) / h
    return accuracy(lam * mu * mu / den, m2)
