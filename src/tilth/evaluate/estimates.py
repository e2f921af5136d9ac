"""Estimates from counts: intervals for a share, and the unbiased pass@k. Knows no rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True, slots=True)
class Share:
    """A share and its interval.

    Args:
        value: the estimate; nan without trials.
        lo: lower end.
        hi: upper end.
    """

    value: float
    lo: float
    hi: float

    def as_dict(self) -> dict[str, float]:
        """Plain JSON."""
        return {"value": self.value, "lo": self.lo, "hi": self.hi}


def wilson(hits: int, trials: int, level: float = 0.95) -> Share:
    """Wilson's score interval for a share (Wilson 1927): close to nominal on average.

    Args:
        hits: successes.
        trials: independent trials.
        level: nominal coverage.
    """
    _check(hits, trials, level)
    if trials == 0:
        return Share(math.nan, 0.0, 1.0)
    z, p = NormalDist().inv_cdf(0.5 + level / 2), hits / trials
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return Share(p, 0.0 if hits == 0 else max(0.0, middle - half), 1.0 if hits == trials else min(1.0, middle + half))


def clopper_pearson(hits: int, trials: int, level: float = 0.95) -> Share:
    """The exact interval for a share (Clopper and Pearson 1934): coverage is never below `level`.

    Solved by bisection on the binomial tail to 1e-10.

    Args:
        hits: successes.
        trials: independent trials.
        level: least coverage.
    """
    _check(hits, trials, level)
    if trials == 0:
        return Share(math.nan, 0.0, 1.0)
    tail = (1 - level) / 2
    lo = 0.0 if hits == 0 else _solve(lambda p: upper_tail(hits, trials, p) < tail)
    hi = 1.0 if hits == trials else 1 - _solve(lambda q: upper_tail(trials - hits, trials, q) < tail)
    return Share(hits / trials, lo, hi)


def upper_tail(hits: int, trials: int, p: float) -> float:
    """P(X >= hits) of a binomial X."""
    if hits <= 0 or p >= 1:
        return 1.0
    if p <= 0:
        return 0.0
    k = np.arange(hits, trials + 1)
    steps = np.log((trials - k[:-1]) / (k[:-1] + 1)) + math.log(p) - math.log1p(-p)
    first = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
    first += hits * math.log(p) + (trials - hits) * math.log1p(-p)
    return float(min(1.0, np.exp(first + np.concatenate([[0.0], np.cumsum(steps)])).sum()))


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that at least one of `k` samples is right, from `c` right among `n` (Chen et al. 2021, eq. 1).

    Args:
        n: samples drawn.
        c: right ones among them.
        k: samples allowed, at most `n`.

    Raises:
        ValueError: not 0 <= c <= n or not 1 <= k <= n.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} from {c} right of {n}")
    return 1.0 - math.prod((n - c - i) / (n - i) for i in range(k)) if n - c >= k else 1.0


def _solve(below: object) -> float:
    """The point where `below` turns from true to false on [0, 1]."""
    assert callable(below)
    lo, hi = 0.0, 1.0
    while hi - lo > 1e-10:
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if below(middle) else (lo, middle)
    return (lo + hi) / 2


def _check(hits: int, trials: int, level: float) -> None:
    if not 0 <= hits <= trials or not 0 < level < 1:
        raise ValueError(f"{hits} hits of {trials} trials at level {level}")
