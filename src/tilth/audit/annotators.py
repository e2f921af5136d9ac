"""How far annotators agree beyond chance: Cohen's kappa and Krippendorff's alpha, with intervals. Reads no files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.audit.labels import VALUES, Label, as_label
from tilth.theory.intervals import Interval

Array = NDArray[np.float64]
DRAWS = 200


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far annotators agree on rows that more than one has labelled.

    Args:
        annotators: number of annotators.
        rows: rows with two or more annotators.
        observed: share of agreeing pairs of labels.
        kappa: Cohen's kappa, averaged over pairs of annotators by shared rows; None when chance alone would agree.
        alpha: Krippendorff's alpha for nominal labels; None when all labels are equal.
        kappa_interval, alpha_interval: 95 % intervals, by a bootstrap over the shared rows.
    """

    annotators: int
    rows: int
    observed: float
    kappa: float | None
    alpha: float | None = None
    kappa_interval: Interval | None = None
    alpha_interval: Interval | None = None


def agreement(labels: Iterable[Label | Mapping[str, Any]], *, draws: int = DRAWS, seed: int = 0) -> Agreement | None:
    """Cohen's kappa (Educational and Psychological Measurement, 1960) over all pairs of annotators, and alpha.

    `unsure` is a category of its own here: two people who are both unsure agree. Each annotator's last word counts.

    Args:
        labels: of any rows and annotators.
        draws, seed: of the bootstrap.

    Returns:
        None when no row has two annotators.
    """
    by: dict[str, dict[str, str]] = defaultdict(dict)
    for label in map(as_label, labels):
        by[label.annotator][label.id] = label.label
    people = sorted(by)
    count = Counter(id for words in by.values() for id in words)
    ids = sorted(id for id, times in count.items() if times > 1)
    if not ids:
        return None
    table = [[by[a].get(id) for a in people] for id in ids]
    codes = np.array([[VALUES.index(w) if w is not None else -1 for w in row] for row in table])
    even = np.ones(len(ids))
    rng = np.random.default_rng(seed)
    kappas, alphas = [], []
    for _ in range(draws):
        weights = rng.multinomial(len(ids), even / len(ids)).astype(float)
        kappas.append(_kappa(codes, weights)[1])
        alphas.append(_alpha(codes, weights))
    observed, kappa = _kappa(codes, even)
    alpha = _alpha(codes, even)
    return Agreement(len(people), len(ids), observed, kappa, alpha, _interval(kappa, kappas), _interval(alpha, alphas))


def krippendorff_alpha(table: Sequence[Sequence[str | None]]) -> float | None:
    """Krippendorff's alpha for nominal data (Content Analysis, 1980; chapter 12): 1 - observed/expected disagreement.

    A unit with u values adds, for each ordered pair of its values, 1/(u-1) to the coincidence matrix o. With its row
    sums n_c and their sum n, alpha = 1 - (n-1) (n - sum o_cc) / (n^2 - sum n_c^2). Units with one value say nothing.

    Args:
        table: one row a unit, one column an annotator, None where nothing was said.

    Returns:
        None when all values are equal, since then none could have disagreed.
    """
    values = sorted({word for row in table for word in row if word is not None})
    codes = np.array([[values.index(w) if w is not None else -1 for w in row] for row in table])
    return _alpha(codes, np.ones(len(codes)))


def _alpha(codes: NDArray[np.int64], weights: Array) -> float | None:
    kinds = int(codes.max(initial=0)) + 1
    each = np.stack([(codes == k).sum(axis=1) for k in range(kinds)], axis=1).astype(float)
    said = each.sum(axis=1)
    scale = np.where(said > 1, weights / np.maximum(said - 1, 1), 0.0)
    agree = float((scale[:, None] * each * (each - 1)).sum())
    sums = (scale * (said - 1)) @ each
    total = float(sums.sum())
    expected = total**2 - float(sums @ sums)
    return None if expected <= 1e-9 else 1 - (total - 1) * (total - agree) / expected


def _kappa(codes: NDArray[np.int64], weights: Array) -> tuple[float, float | None]:
    """Share of agreeing pairs, and kappa."""
    pairs = agree = weighted = weight = 0.0
    for i, j in combinations(range(codes.shape[1]), 2):
        a, b = codes[:, i], codes[:, j]
        use = weights * ((a >= 0) & (b >= 0))
        rows = float(use.sum())
        if rows <= 0:
            continue
        same = float(use @ (a == b))
        chance = sum(float(use @ (a == k)) * float(use @ (b == k)) for k in range(len(VALUES))) / rows**2
        pairs, agree = pairs + rows, agree + same
        if chance < 1 - 1e-12:
            weighted += rows * (same / rows - chance) / (1 - chance)
            weight += rows
    return agree / pairs if pairs else 1.0, weighted / weight if weight else None


def _interval(value: float | None, draws: list[float | None]) -> Interval | None:
    told = [d for d in draws if d is not None]
    return None if value is None or not told else Interval.of_draws(value, np.array(told))
