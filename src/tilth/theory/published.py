"""The published fixed points with their mistake, kept only so that figures can show what the correction changes.

The code that came with El Firdoussi et al. (ICLR 2025) takes ds = alpha tr(C D^-1)/N where ds = tr(C D^-1)/N is right:
for a pruning indicator q in {0, 1}, E[q/(1+q ds)] = alpha/(1+ds), so alpha belongs in front, not inside. The mistake
does not show where p << N or gamma is large; it moves the interpolation peak from p = n + alpha m to p = n + m. Nothing
in tilth's advice uses this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tilth.theory.arguments import Array, numbers
from tilth.theory.fixed_point import positive_root, solve_wishart
from tilth.theory.labels import prune
from tilth.theory.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Deltas:
    """The three fixed-point values of the fitted setting.

    Args:
        real: d, the real samples' leave-one-out factor.
        fake: ds, the synthetic samples'.
        generator: y L tr(D^-1)/p, that of the samples the generator was fitted on.
    """

    real: Array
    fake: Array
    generator: Array


def deltas(
    *, n: ArrayLike, m: ArrayLike, p: ArrayLike, n_hat: ArrayLike, epsilon: ArrayLike, rho: ArrayLike, phi: ArrayLike,
    gamma: ArrayLike, published: bool,
) -> Deltas:  # fmt: skip
    """The fixed point of setting (b), right or as published (Figure 2).

    Published, t solves the right equations with weight alpha on the synthetic samples and no pruning: there too ds is
    alpha t and L is alpha (1-pi)/(1+ds).
    """
    n, m, p, n_hat, gamma = numbers(n=n, m=m, p=p, n_hat=n_hat, gamma=gamma)
    alpha = prune(epsilon, rho, phi).alpha
    N = n + m
    e, pi, y = p / N, n / N, p / n_hat
    weight, a = (alpha, 1 - pi) if published else (np.ones(()), alpha * (1 - pi))
    d, t = solve_wishart(e=e, pi=pi, a=a, gamma=gamma, weight=weight, y=y)
    L = weight * a / (1 + weight * t)
    return Deltas(d, weight * t, y * L * d / e)


def synthetic(
    *, m: ArrayLike, p: ArrayLike, mu: ArrayLike, epsilon: ArrayLike, rho: ArrayLike, phi: ArrayLike, gamma: ArrayLike
) -> Prediction:
    """Setting (c) as published: the moments at the wrong ds = alpha (p/m)/(gamma + alpha/(1+ds)) (Figure 4).

    Written as published too, since the form that `tilth.theory.assemble` uses holds at the right root only.
    """
    m, p, mu, gamma = numbers(m=m, p=p, mu=mu, gamma=gamma)
    labels = prune(epsilon, rho, phi)
    e = p / m
    alpha, lam = labels.alpha, labels.lam
    ratio = alpha + gamma * (1 + positive_root(gamma, gamma + alpha - alpha * e, alpha * e))
    den = alpha * mu**2 + ratio
    m1 = lam * mu**2 / den
    h = 1 - alpha * e / ratio**2
    m2 = (lam * mu) ** 2 / (h * den) * ((mu**2 + 1) / den - 2 * (1 - h) / alpha) + (1 - h) / h
    return Prediction.of(m1, m2 - m1**2)
