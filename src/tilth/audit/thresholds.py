"""The verifier's curve: how rho and phi move with the threshold on its score. Knows scores and labels, no features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
POINTS = 17
"""Thresholds tried, at equal steps of the keep rate."""


@dataclass(frozen=True, slots=True)
class Curve:
    """rho and phi at each threshold.

    Args:
        thresholds: rows with at least this score are kept; ascending.
        phi, rho: share of right and of wrong rows kept, from the audited rows.
        alpha: share of all rows kept, counted.
    """

    thresholds: Array
    phi: Array
    rho: Array
    alpha: Array

    def to_dict(self) -> dict[str, list[float]]:
        """Plain JSON."""
        return {name: getattr(self, name).tolist() for name in ("thresholds", "phi", "rho", "alpha")}


def curve(scores: Mapping[str, float], words: Mapping[str, str], kept: set[str]) -> Curve | None:
    """The curve from audited rows, each weighted by the rows of its stratum that it stands for.

    Args:
        scores: id to the verifier's score, for all rows of the run that have one.
        words: id to ``right``, ``wrong`` or ``unsure``.
        kept: ids that the verifier kept: the strata of the audit.

    Returns:
        None when there are not both right and wrong audited rows with scores, or the scores take fewer than 3 values.
    """
    values = np.array([v for v in scores.values() if np.isfinite(v)])
    told = [(i, scores[i], word == "right") for i, word in words.items() if i in scores and word in ("right", "wrong")]
    told = [t for t in told if np.isfinite(t[1])]
    truth = np.array([t[2] for t in told], dtype=bool)
    if len(np.unique(values)) < 3 or not truth.any() or truth.all():
        return None
    inside = np.array([t[0] in kept for t in told])
    score = np.array([t[1] for t in told])
    rows = np.array([i in kept for i, v in scores.items() if np.isfinite(v)])
    sizes = {side: float((rows == side).sum()) for side in (True, False)}
    weight = np.array([sizes[bool(side)] / max(float((inside == side).sum()), 1.0) for side in inside])
    at = np.unique(np.quantile(values, np.linspace(0, 0.95, POINTS), method="lower"))
    over = score[None, :] >= at[:, None]
    phi = over[:, truth] @ weight[truth] / weight[truth].sum()
    rho = over[:, ~truth] @ weight[~truth] / weight[~truth].sum()
    # A sum of weights over their total may exceed 1 by rounding.
    return Curve(at, np.minimum(phi, 1.0), np.minimum(rho, 1.0), (values[None, :] >= at[:, None]).mean(axis=1))
