"""Intervals and exact tests for shares and means, without SciPy: the one home of these formulas. Knows no rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the interval around it.

    Args:
        value: the estimate.
        lo, hi: ends of the interval.
    """

    value: float
    lo: float
    hi: float

    @staticmethod
    def of_draws(value: float, draws: NDArray[np.float64], confidence: float = 0.95) -> Interval:
        """The central interval of posterior draws around an estimate, widened to hold the estimate."""
        lo, hi = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(value, min(value, float(lo)), max(value, float(hi)))

    @staticmethod
    def of_mean(values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> Interval:
        """Student's interval of the mean of independent values (Student, Biometrika 1908); unbounded for one value."""
        x = np.asarray(values, dtype=np.float64)
        if len(x) < 2:
            return Interval(float(x.mean()) if len(x) else math.nan, -math.inf, math.inf)
        half = t_quantile(0.5 + confidence / 2, len(x) - 1) * float(x.std(ddof=1)) / math.sqrt(len(x))
        return Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half)

    def to_dict(self) -> dict[str, float]:
        """Plain JSON."""
        return {"value": self.value, "lo": self.lo, "hi": self.hi}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.lo:.3f}, {self.hi:.3f}]"


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for a, b > 0.

    Gauss's continued fraction (Abramowitz & Stegun 26.5.8), evaluated by the modified Lentz method on the side of the
    mean where it converges fast. Relative error about 1e-13.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1), tiny)
    total = d
    for i in range(1, 10_000):
        even = i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i))
        odd = -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1))
        for term in (even, odd):
            d = 1 / _away(1 + term * d, tiny)
            c = _away(1 + term / c, tiny)
            total *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * total / a


def _away(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def beta_quantile(q: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = q, by bisection to 1e-12."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if beta_cdf(middle, a, b) < q:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def clopper_pearson(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """The exact interval of a share (Clopper & Pearson, Biometrika 1934): never covers less than it says.

    Args:
        hits: rows counted.
        trials: rows looked at; with none the interval is [0, 1].
        confidence: coverage.
    """
    if trials == 0:
        return Interval(0.5, 0.0, 1.0)
    tail = (1 - confidence) / 2
    lo = beta_quantile(tail, hits, trials - hits + 1) if hits else 0.0
    hi = beta_quantile(1 - tail, hits + 1, trials - hits) if hits < trials else 1.0
    return Interval(hits / trials, lo, hi)


def wilson(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """The score interval of a share (Wilson, JASA 1927): close to nominal on average.

    Args:
        hits: rows counted.
        trials: rows looked at; with none the interval is [0, 1].
        confidence: nominal coverage.
    """
    if trials == 0:
        return Interval(0.5, 0.0, 1.0)
    z, p = NormalDist().inv_cdf(0.5 + confidence / 2), hits / trials
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    lo = 0.0 if hits == 0 else max(0.0, middle - half)
    return Interval(p, lo, 1.0 if hits == trials else min(1.0, middle + half))


def upper_tail(hits: int, trials: int, p: float) -> float:
    """P(X >= hits) of a binomial X with chance `p`: the incomplete beta function I_p(hits, trials - hits + 1)."""
    return 1.0 if hits <= 0 else 0.0 if hits > trials else beta_cdf(p, hits, trials - hits + 1)


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of McNemar's test: a fair coin on the problems where the two differ.

    Args:
        only_a: problems that a alone got right.
        only_b: problems that b alone got right.
    """
    n = only_a + only_b
    return 1.0 if n == 0 else min(1.0, 2 * upper_tail(max(only_a, only_b), n, 0.5))


def t_quantile(q: float, degrees: float) -> float:
    """The q-quantile of Student's t with `degrees` of freedom, from the beta quantile (Abramowitz & Stegun 26.7.1)."""
    if q == 0.5:
        return 0.0
    x = beta_quantile(2 * min(q, 1 - q), degrees / 2, 0.5)
    return math.copysign(math.sqrt(degrees * (1 - x) / x), q - 0.5)


def jeffreys(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """The interval of a share under Jeffreys' prior Beta(1/2, 1/2), with ends 0 and 1 where all or none hit.

    Brown, Cai & DasGupta, Statistical Science 2001, section 4.
    """
    if trials == 0:
        return Interval(0.5, 0.0, 1.0)
    tail = (1 - confidence) / 2
    lo = beta_quantile(tail, hits + 0.5, trials - hits + 0.5) if hits else 0.0
    hi = beta_quantile(1 - tail, hits + 0.5, trials - hits + 0.5) if hits < trials else 1.0
    return Interval(hits / trials, lo, hi)


def jeffreys_draws(counts: Sequence[tuple[int, int]], size: int, seed: int) -> NDArray[np.float64]:
    """Posterior draws of independent shares under Jeffreys' prior.

    Args:
        counts: hits and trials of each share.
        size: number of draws.
        seed: same seed, same draws.

    Returns:
        (len(counts), size).
    """
    rng = np.random.default_rng(seed)
    return np.stack([rng.beta(h + 0.5, t - h + 0.5, size) for h, t in counts])
