"""Two models on the same problems: difference, interval and test that use the pairing. Knows no models.

Several runs (seeds) of each side may be given; a problem's score is then its mean over the runs, and the
interval holds for new problems and the given runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tilth.errors import InputError
from tilth.theory.intervals import mcnemar

Scores = Sequence[float] | Sequence[bool] | Sequence[Sequence[float]] | Sequence[Sequence[bool]]


@dataclass(frozen=True, slots=True)
class Paired:
    """The difference b - a.

    Args:
        delta: mean difference over problems.
        lo: lower end of the paired bootstrap interval.
        hi: upper end.
        p: exact McNemar p-value with one run a side; with several, the bootstrap's two-sided p-value for no difference.
        only_a: problems (and runs, paired in order) that a alone got right.
        only_b: the same for b.
        problems: how many.
    """

    delta: float
    lo: float
    hi: float
    p: float
    only_a: int
    only_b: int
    problems: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def compare(a: Scores, b: Scores, *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> Paired:
    """Compare two sides on the same problems.

    Args:
        a: one score (0..1, or right or wrong) a problem; or several runs of that, ``[runs][problems]``.
        b: the same problems in the same order.
        level: of the interval.
        draws: bootstrap resamples of problems.
        seed: of the resampling.

    Raises:
        InputError: the two sides have different numbers of problems, or none.
    """
    left, right = (np.atleast_2d(np.asarray(x, float)) for x in (a, b))
    if left.shape[1] != right.shape[1] or left.size == 0:
        raise InputError(
            f"{left.shape[1]} problems on one side, {right.shape[1]} on the other",
            todo="compare results on the same data",
        )
    difference = right.mean(0) - left.mean(0)
    count = len(difference)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    for start in range(0, draws, 1_000):  # bounded memory
        size = min(1_000, draws - start)
        means[start : start + size] = difference[rng.integers(0, count, (size, count))].mean(1)
    lo, hi = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    runs = min(len(left), len(right))
    only_a = int(((left[:runs] > 0.5) & (right[:runs] <= 0.5)).sum())
    only_b = int(((left[:runs] <= 0.5) & (right[:runs] > 0.5)).sum())
    single = len(left) == len(right) == 1 and set(np.unique(np.r_[left, right])) <= {0.0, 1.0}
    if single:
        p = mcnemar(only_a, only_b)
    else:
        p = min(1.0, 2 * (1 + min(int((means <= 0).sum()), int((means >= 0).sum()))) / (draws + 1))
    return Paired(float(difference.mean()), float(lo), float(hi), float(p), only_a, only_b, count)
