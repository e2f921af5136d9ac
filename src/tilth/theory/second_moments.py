"""The matrix form: real features, whose covariances neither commute nor have closed forms. Knows no data files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tilth.errors import InputError
from tilth.theory.arguments import Array, numbers
from tilth.theory.fixed_point import LIMIT, isotropic
from tilth.theory.labels import prune
from tilth.theory.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Moments:
    """What the matrix form needs to know of real and synthetic features.

    Args:
        real: (p, p) second moment Mr = E x x' of real features.
        fake: (p, p) second moment Ms of synthetic features; labels do not enter.
        mu: (p,) real class mean E y x.
        mu_b: (p,) synthetic class mean, by true labels.
        within: (p, p) within-class covariance B of the test data, usually Mr - mu mu'.
    """

    real: Array
    fake: Array
    mu: Array
    mu_b: Array
    within: Array

    def __post_init__(self) -> None:
        p = len(self.mu)
        for name in ("real", "fake", "within"):
            value = getattr(self, name)
            if value.shape != (p, p) or not np.isfinite(value).all():
                raise InputError(
                    f"'{name}' has shape {value.shape} or holds nan", todo=f"give a finite {p} x {p} matrix"
                )
        if self.mu_b.shape != (p,) or not (np.isfinite(self.mu).all() and np.isfinite(self.mu_b).all()):
            raise InputError("a class mean has another length or holds nan", todo=f"give {p} finite numbers")


def matrix(
    features: Moments, *, n: ArrayLike, m: ArrayLike, epsilon: ArrayLike = 0.0, rho: ArrayLike = 1.0,
    phi: ArrayLike = 1.0, gamma: ArrayLike = 1.0, weight: ArrayLike = 1.0,
) -> Prediction:  # fmt: skip
    """Setting (m): the classifier's law for any second moments.

    With Q = (gamma + k Mr + l w Ms)^-1 the leave-one-out factors are d = tr(Mr Q)/N and ds = w tr(Ms Q)/N; class means
    are part of the second moments here, so no rank-two correction is needed for Q. A fresh sample's variance B enters
    the derivative of the fixed point linearly: a 2 x 2 system gives x and y, the response of the two kinds of residual.

    Args:
        features: the moments.
        n, m, epsilon, rho, phi, gamma, weight: as in `tilth.theory.general`; shapes broadcast.

    Returns:
        Signed accuracy, risk, m1, m2.

    Raises:
        InputError: a parameter is out of its range.
    """
    labels = prune(epsilon, rho, phi)
    values = [*numbers(n=n, m=m, gamma=gamma, weight=weight), labels.alpha, labels.lam]
    points = np.broadcast_arrays(*values)
    shape, flat = points[0].shape, np.stack([v.reshape(-1) for v in points], axis=1)
    out = np.zeros((2, len(flat)))
    for i, (n_i, m_i, gamma_i, w, alpha, lam) in enumerate(flat):
        if n_i > 0 or (m_i > 0 and alpha * w > 0):
            out[:, i] = _point(features, n_i, m_i, gamma_i, w, alpha, lam)
    return Prediction.of(out[0].reshape(shape), out[1].reshape(shape))


def _point(f: Moments, n: float, m: float, gamma: float, w: float, alpha: float, lam: float) -> tuple[float, float]:
    N, p, root = n + m, len(f.mu), float(np.sqrt(w))
    pi, a = n / N, alpha * m / N
    eye = np.eye(p)
    fake = w * f.fake

    def solved(u: Array) -> tuple[Array, Array, Array, Array, Array]:
        """The map's image and Jacobian in (log d, log ds), and Q, Q Mr, Q Ms."""
        d, ds = np.exp(u)
        k, ell = pi / (1 + d), a / (1 + ds)
        Q = np.linalg.inv(gamma * eye + k * f.real + ell * fake)
        QR, QF = Q @ f.real, Q @ fake
        rf = float(np.vdot(QR.T, QF))
        traces = np.maximum([np.trace(QR), np.trace(QF)], 1e-300)
        both = np.array([[np.vdot(QR.T, QR), rf], [rf, np.vdot(QF.T, QF)]])
        jacobian = both * np.array([k * d / (1 + d), ell * ds / (1 + ds)]) / traces[:, None]
        return np.log(traces / N) - u, jacobian, Q, QR, QF

    d0 = float(isotropic(np.asarray(p / N), np.asarray(pi + a), np.asarray(gamma)))
    u = np.log(np.maximum(np.array([d0, d0]), 1e-300))
    gap, jacobian, Q, QR, QF = solved(u)
    for _ in range(LIMIT):
        trial = u + np.linalg.solve(np.eye(2) - jacobian, gap)
        found = solved(trial)
        if not np.abs(found[0]).max() <= np.abs(gap).max():
            trial = u + gap
            found = solved(trial)
        done = np.abs(trial - u).max() <= 1e-11 * (1 + np.abs(trial).max())
        u, (gap, jacobian, Q, QR, QF) = trial, found
        if done:
            break
    d, ds = np.exp(u)
    k, ell, r = pi / (1 + d), a / (1 + ds), root * lam * (m / N) / (1 + ds)
    mu_b = root * f.mu_b
    QB = Q @ f.within
    kd, ld = k / (1 + d), ell / (1 + ds)
    rr, rf, ff = (float(np.vdot(x.T, y)) / N for x, y in ((QR, QR), (QR, QF), (QF, QF)))
    x, y = np.linalg.solve(
        np.array([[1 - kd * rr, -ld * rf], [-kd * rf, 1 - ld * ff]]),
        np.array([float(np.vdot(QR.T, QB)), float(np.vdot(QF.T, QB))]) / N,
    )
    v = Q @ (k * f.mu + r * mu_b)
    own, other = float(f.mu @ v), float(mu_b @ v)
    T1, T2 = kd * x, (m / N) / (1 + ds) ** 2 * y
    real = 1 - 2 * own + float(v @ f.real @ v)
    synthetic = alpha * w - 2 * root * lam * other + alpha * float(v @ fake @ v)
    return own, max(0.0, float(v @ f.within @ v) + T1 * max(0.0, real) + T2 * max(0.0, synthetic))
