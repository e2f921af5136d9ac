"""A random forest for yes and no (Breiman 2001, "Random Forests"), and the area under the ROC curve. Plain NumPy.

Small on purpose: thousands of rows, hundreds of features. Out-of-bag predictions say how good it is without a test set. Does
not know what the features are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CUTS = 12
"""Thresholds tried on a feature at a node, evenly spaced among its values there."""


@dataclass(frozen=True, slots=True)
class Node:
    """A question (feature above threshold?) with its two answers, or a leaf with the share of yes."""

    share: float
    feature: int = -1
    threshold: float = 0.0
    low: Node | None = None
    high: Node | None = None


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees, and for each training row the mean vote of the trees that did not see it (nan where all did)."""

    trees: tuple[Node, ...]
    out_of_bag: Floats

    def predict(self, x: Floats) -> Floats:
        """Mean share of yes over the trees.

        Args:
            x: (n, d) features.

        Returns:
            (n,) in [0, 1].
        """
        total = np.zeros(len(x))
        for tree in self.trees:
            total += _votes(tree, x)
        return total / len(self.trees)


def grow(x: Floats, y: Bools, *, trees: int = 100, depth: int = 8, leaf: int = 2, seed: int = 0) -> Forest:
    """Grow a forest on bootstrap samples; each node looks at a random sqrt(d) of the features.

    Args:
        x: (n, d) features.
        y: (n,) labels.
        trees: how many trees.
        depth: questions on a path at most.
        leaf: rows in a leaf at least.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    x, n = np.asarray(x, np.float64), len(x)
    votes, counts = np.zeros(n), np.zeros(n)
    grown = []
    for _ in range(trees):
        rows = rng.integers(0, n, n)
        tree = _grow(x[rows], y[rows], depth, leaf, rng)
        out = np.setdiff1d(np.arange(n), rows)
        votes[out] += _votes(tree, x[out])
        counts[out] += 1
        grown.append(tree)
    with np.errstate(invalid="ignore"):
        return Forest(tuple(grown), votes / counts)


def auc(scores: Floats, labels: Bools) -> float:
    """The chance that a random yes scores above a random no, ties counting half; nan without both.

    Args:
        scores: (n,).
        labels: (n,).
    """
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.bincount(group, ranks) / sizes)[group]
    yes = int(labels.sum())
    no = len(labels) - yes
    return float((ranks[labels].sum() - yes * (yes + 1) / 2) / (yes * no)) if yes and no else float("nan")


def _grow(x: Floats, y: Bools, depth: int, leaf: int, rng: np.random.Generator) -> Node:
    share = float(y.mean())
    if depth == 0 or len(y) < 2 * leaf or share in (0.0, 1.0):
        return Node(share)
    features = rng.choice(x.shape[1], max(1, round(x.shape[1] ** 0.5)), replace=False)
    best: tuple[float, int, float] | None = None
    said = y.astype(np.float64)
    for feature in features.tolist():
        column = np.sort(x[:, feature])
        cuts = column[np.linspace(0, len(y) - 1, CUTS + 2, dtype=int)[1:-1]]
        high = x[:, feature, None] > cuts
        above = high.sum(axis=0)
        below = len(y) - above
        yes = said @ high
        possible = (above >= leaf) & (below >= leaf)
        with np.errstate(divide="ignore", invalid="ignore"):
            gini = (yes - yes**2 / above + (said.sum() - yes) - (said.sum() - yes) ** 2 / below) / len(y)
        gini = np.where(possible, gini, np.inf)
        at = int(gini.argmin())
        if possible[at] and (best is None or gini[at] < best[0]):
            best = float(gini[at]), feature, float(cuts[at])
    if best is None or best[0] >= share * (1 - share):
        return Node(share)
    _, feature, threshold = best
    high = x[:, feature] > threshold
    return Node(
        share,
        feature,
        threshold,
        _grow(x[~high], y[~high], depth - 1, leaf, rng),
        _grow(x[high], y[high], depth - 1, leaf, rng),
    )


def _votes(tree: Node, x: Floats) -> Floats:
    out = np.empty(len(x))
    waiting = [(tree, np.arange(len(x)))]
    while waiting:
        node, rows = waiting.pop()
        if node.low is None or node.high is None:
            out[rows] = node.share
            continue
        high = x[rows, node.feature] > node.threshold
        waiting += [(node.low, rows[~high]), (node.high, rows[high])]
    return out
