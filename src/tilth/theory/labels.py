"""What label noise and pruning do to the labels that training sees. Knows no features and no classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tilth.theory.arguments import Array, numbers


@dataclass(frozen=True, slots=True)
class Labels:
    """The moments of the pair (kept?, label right?) on which everything else depends.

    Args:
        alpha: share of synthetic samples that are kept.
        lam: E[kept * given label * true label], from -alpha to alpha.
    """

    alpha: Array
    lam: Array

    @property
    def kept_noise(self) -> Array:
        """eps' = (1 - lam/alpha)/2: the share of wrong labels among the kept samples; 0 where none is kept."""
        safe = np.where(self.alpha > 0, self.alpha, 1.0)
        return np.clip(np.where(self.alpha > 0, (1 - self.lam / safe) / 2, 0.0), 0.0, 1.0)


def prune(epsilon: ArrayLike, rho: ArrayLike, phi: ArrayLike) -> Labels:
    """The kept share and label agreement after a verifier has pruned samples with noisy labels.

    A label is wrong with probability eps. The verifier keeps a right one with probability phi and a wrong one with
    probability rho. So alpha = phi (1-eps) + rho eps, and each kept wrong label counts -1: lam = phi (1-eps) - rho eps.

    Args:
        epsilon: label noise before pruning, in [0, 1].
        rho: probability that a wrong label is kept, in [0, 1].
        phi: probability that a right label is kept, in [0, 1].

    Raises:
        InputError: a value lies outside [0, 1].
    """
    return kept(*numbers(epsilon=epsilon, rho=rho, phi=phi))


def kept(epsilon: Array, rho: Array, phi: Array) -> Labels:
    """`prune` of checked arrays."""
    right, wrong = phi * (1 - epsilon), rho * epsilon
    return Labels(alpha=right + wrong, lam=right - wrong)


def critical_noise(rho: ArrayLike, phi: ArrayLike) -> Array:
    """eps* = phi/(phi + rho): the noise at which a classifier trained on synthetic samples alone guesses.

    There lam = 0: as many kept labels are wrong as right. It concerns synthetic-only training; with real samples in the
    mix the break-even noise is far lower (`tilth.theory.break_even_noise`). A verifier that keeps nothing (rho = phi
    = 0) is given the value of one with equal rates, 1/2.

    Raises:
        InputError: a value lies outside [0, 1].
    """
    r, f = numbers(rho=rho, phi=phi)
    total = r + f
    return np.where(total > 0, f / np.where(total > 0, total, 1.0), 0.5)
