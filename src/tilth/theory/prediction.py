"""What a setting returns: the classifier's signed accuracy, risk and the two moments they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tilth.theory.arguments import Array
from tilth.theory.normal import normal_cdf


@dataclass(frozen=True, slots=True)
class Prediction:
    """The law of y w'x on fresh real data, for each parameter point. All arrays have the points' common shape.

    Args:
        accuracy: probability that sign(w'x) = y; signed, so below 1/2 for a classifier that learnt the opposite.
        risk: E (w'x - y)^2 = m2 + 1 - 2 m1.
        m1: E y w'x.
        m2: E (w'x)^2.
    """

    accuracy: Array
    risk: Array
    m1: Array
    m2: Array

    @staticmethod
    def of(m1: Array, variance: Array) -> Prediction:
        """From the mean and the variance of y w'x, which is Gaussian in high dimension.

        A classifier that is zero (nothing was learnt) decides by a coin: accuracy 1/2.
        """
        spread = np.sqrt(variance)
        ratio = m1 / np.where(spread > 0, spread, 1.0)
        return Prediction(normal_cdf(ratio), (1 - m1) ** 2 + variance, m1, variance + m1 * m1)
