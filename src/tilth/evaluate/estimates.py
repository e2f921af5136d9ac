"""Estimates from a problem's samples and from several seeds: unbiased pass@k and best-of-n, intervals over seeds.

Intervals of shares are in `tilth.theory.intervals`. Knows no rows and no models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.theory.intervals import Interval


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


def best_of_n(right: Sequence[bool] | Sequence[float], scores: Sequence[float], n: int) -> float:
    """Unbiased chance that the best-scored of `n` samples is right: the mean over all subsets of n of the samples.

    The sample of rank j (from 0, best first) is the best of C(N-1-j, n-1) of the C(N, n) subsets. Equal scores share
    their places, as if a fair draw decided. With the truth as the score this is pass@n; Lightman et al. 2023 (Let's
    Verify Step by Step), section 2, draw such subsets.

    Args:
        right: of each sample, whether it is right (or its value).
        scores: of each sample, higher is better.
        n: samples to choose from, at most as many as there are.

    Raises:
        ValueError: unequal lengths, or not 1 <= n <= samples.
    """
    if len(right) != len(scores) or not 1 <= n <= len(right):
        raise ValueError(f"best of {n} from {len(right)} samples with {len(scores)} scores")
    value, score = np.asarray(right, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    _, group = np.unique(-score, return_inverse=True)
    mean = np.bincount(group, weights=value) / np.bincount(group)
    ranked = mean[np.sort(group)]
    total = len(ranked)
    chance, weights = n / total, []
    for j in range(total - n + 1):
        weights.append(chance)
        chance *= (total - j - n) / max(total - 1 - j, 1)
    return float(np.dot(weights, ranked[: len(weights)]))


@dataclass(frozen=True, slots=True)
class Seeds:
    """Several runs of the same thing that differ in their seed.

    Args:
        values: the figure of each run.
        mean: their mean, and Student's interval for the mean over further seeds, on these problems.
        both: interval for further seeds on further problems, by a bootstrap over both; None without problems' scores.
    """

    values: tuple[float, ...]
    mean: Interval
    both: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; an unbounded end is None."""
        ends = {k: v if math.isfinite(v) else None for k, v in self.mean.to_dict().items()}
        return {"values": list(self.values), "mean": ends, "both": self.both.to_dict() if self.both else None}


def over_seeds(
    runs: Sequence[Sequence[float]] | Sequence[Sequence[bool]], *, confidence: float = 0.95, draws: int = 4_000,
    seed: int = 0,
) -> Seeds:  # fmt: skip
    """The mean over seeds, and how sure it is.

    Args:
        runs: ``[seeds][problems]`` scores, the same problems in each run.
        confidence: of the intervals.
        draws, seed: of the bootstrap, which resamples seeds and problems (Owen, Annals of Applied Statistics 2007: it
            errs on the wide side).

    Raises:
        ValueError: no run, or runs of different lengths.
    """
    table = np.asarray(runs, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError("runs need one score for each of the same problems")
    values = table.mean(axis=1)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    for i in range(draws):
        by_seed = rng.multinomial(len(table), np.full(len(table), 1 / len(table)))
        by_problem = rng.multinomial(table.shape[1], np.full(table.shape[1], 1 / table.shape[1]))
        means[i] = by_seed @ table @ by_problem / table.size
    both = Interval.of_draws(float(values.mean()), means, confidence)
    return Seeds(tuple(float(v) for v in values), Interval.of_mean(values, confidence), both)
