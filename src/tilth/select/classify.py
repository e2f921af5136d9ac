"""A quality score learnt from judged rows: a linear model on hashed words, or a random forest on embeddings.

The linear one is in the manner of fastText's classifier (Joulin et al. 2017) with logistic loss; the forest on embeddings
is phi-1's filter (Gunasekar et al. 2023, section 2.1). Both are a few lines of NumPy and deterministic by seed. Scores of
judged rows are out of fold, so that the figures (AUC, precision) are of rows not learnt from. Knows no rows.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import InputError, UsageError
from tilth.select.embed import Embedder
from tilth.select.words import words

Floats = NDArray[np.float64]
Fit = Callable[[NDArray[np.float32], NDArray[np.bool_]], Callable[[NDArray[np.float32]], Floats]]
FEATURES = 1 << 12
KINDS = ("linear", "forest")
CUTS = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
FOLDS = 5
GOOD = frozenset(("true", "1", "1.0", "good", "right", "yes", "keep", "pass", "high"))
BAD = frozenset(("false", "0", "0.0", "bad", "wrong", "no", "drop", "fail", "low"))


@dataclass(frozen=True, slots=True)
class Scored:
    """What a classifier says.

    Args:
        scores: for each text the share of good ones expected among texts like it, in [0, 1].
        report: kind, judged rows, out-of-fold AUC, base rate and precision at the kept share (plain JSON).
        judged: for each judged text its score by a model that did not learn from it.
    """

    scores: list[float]
    report: dict[str, Any]
    judged: list[float]


def judged(labels: Sequence[Any]) -> NDArray[np.bool_]:
    """Good or bad of each judged row.

    Raises:
        InputError: a label is neither, or all are alike.
    """
    out = []
    for number, label in enumerate(labels, 1):
        word = str(label).strip().lower()
        if word not in GOOD | BAD:
            todo = "label good / bad, right / wrong, true / false or 1 / 0"
            raise InputError(f"the label '{label}' is neither good nor bad", where=f"judged row {number}", todo=todo)
        out.append(word in GOOD)
    found = np.array(out, dtype=bool)
    if not found.any() or found.all():
        raise InputError("all judged rows have the same label", todo="judge rows of both kinds")
    return found


def score_texts(
    texts: Sequence[str],
    judged_texts: Sequence[str],
    labels: Sequence[Any],
    *,
    kind: str = "linear",
    embedder: Embedder | None = None,
    share: float = 0.5,
    folds: int = FOLDS,
    seed: int = 0,
) -> Scored:
    """Learn from judged texts and score others.

    Args:
        texts: n texts.
        judged_texts, labels: what was judged, see `judged`.
        kind: ``linear`` or ``forest`` (needs an embedder).
        embedder: who embeds for the forest; it embeds judged and other texts together.
        share: kept share at which precision is reported.
        folds: for the figures; 0 leaves them and the scores of judged rows out, which is several times faster.
        seed: of folds, bootstrap and feature draws.

    Raises:
        UsageError: no such kind. InputError: fewer than 10 judged rows, or labels that say nothing.
    """
    if kind not in KINDS or (kind == "forest" and embedder is None):
        raise UsageError(f"there is no classifier '{kind}'", todo=f"use {' or '.join(KINDS)}")
    good = judged(labels)
    if len(good) < 2 * FOLDS:
        raise InputError(f"{len(good)} judged rows are too few", todo=f"judge at least {2 * FOLDS}")
    both = [*judged_texts, *texts]
    fit: Fit
    if kind == "linear":
        fit, features = _linear, np.stack([_hashed(text) for text in judged_texts])
    else:
        assert embedder is not None
        vectors = embedder.embed(both)
        fit, features = _forest(seed), vectors[: len(good)]
    order = np.random.default_rng(seed).permutation(len(good))
    out_of_fold = np.zeros(len(good))
    for fold in range(folds):
        held = np.isin(np.arange(len(good)), order[fold::folds])
        if good[~held].all() or not good[~held].any():
            out_of_fold[held] = good[~held].mean()
            continue
        out_of_fold[held] = fit(features[~held], good[~held])(features[held])
    model = fit(features, good)
    if kind == "linear":
        parts = [np.stack([_hashed(t) for t in texts[i : i + 1024]]) for i in range(0, len(texts), 1024)]
        scores = np.concatenate([model(part) for part in parts] or [np.zeros(0)])
    else:
        scores = model(vectors[len(good) :])
    if not folds:
        return Scored(scores.tolist(), {"classifier": kind, "judged": len(good), "good": int(good.sum())}, [])
    top = np.argsort(-out_of_fold, kind="stable")[: max(1, round(share * len(good)))]
    report = {
        "classifier": kind, "judged": len(good), "good": int(good.sum()), "base_rate": float(good.mean()),
        "auc": auc(out_of_fold, good), "kept_share": share, "precision_at_share": float(good[top].mean()),
    }  # fmt: skip
    return Scored(scores.tolist(), report, out_of_fold.tolist())


def auc(scores: Floats, good: NDArray[np.bool_]) -> float:
    """The chance that a good row scores above a bad one, ties counted half (Mann-Whitney)."""
    ordered = np.sort(scores[~good])
    below = np.searchsorted(ordered, scores[good], side="left")
    upto = np.searchsorted(ordered, scores[good], side="right")
    return float((below + upto).mean() / 2 / len(ordered))


def _hashed(text: str) -> NDArray[np.float32]:
    """Words and word pairs in `FEATURES` buckets, log counts, unit length."""
    found = words(text)
    row = np.zeros(FEATURES, dtype=np.float32)
    for term, count in Counter([*found, *map(" ".join, pairwise(found))]).items():
        row[zlib.crc32(term.encode("utf-8", "surrogatepass")) % FEATURES] += np.log1p(count)
    return row / max(1e-12, float(np.linalg.norm(row)))


def _linear(x: NDArray[np.float32], good: NDArray[np.bool_]) -> Callable[[NDArray[np.float32]], Floats]:
    """Logistic regression with a small ridge, by accelerated gradient (Nesterov 1983)."""
    target = good.astype(np.float32)
    ridge = 1e-3
    step = 1.0 / (0.25 * max(1e-9, float(np.linalg.norm(x, ord="fro") ** 2) / len(x)) + 0.25 + ridge)
    weights, bias = np.zeros(x.shape[1], dtype=np.float32), float(np.log(target.mean() / (1 - target.mean())))
    ahead, ahead_bias = weights.copy(), bias
    for k in range(200):
        error = _logistic(x @ ahead + ahead_bias) - target
        fresh: Any = ahead - step * (x.T @ error / len(x) + ridge * ahead)
        fresh_bias = ahead_bias - step * float(error.mean())
        momentum = k / (k + 3)
        ahead, ahead_bias = fresh + momentum * (fresh - weights), fresh_bias + momentum * (fresh_bias - bias)
        weights, bias = fresh, fresh_bias
    return lambda rows: _logistic(rows @ weights + bias)


def _logistic(z: Any) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -40, 40))))


def _forest(seed: int, trees: int = 60, depth: int = 8, least: int = 3) -> Fit:
    """A random forest (Breiman 2001): bootstrapped trees, the root of d features at each split, Gini on quantile cuts."""

    def fit(x: NDArray[np.float32], good: NDArray[np.bool_]) -> Callable[[NDArray[np.float32]], Floats]:
        rng = np.random.default_rng(seed)
        tried = max(1, round(x.shape[1] ** 0.5))

        def grow(rows: NDArray[np.int64], level: int) -> Any:
            labels = good[rows]
            share = float(labels.mean())
            if level == 0 or len(rows) < 2 * least or share in (0.0, 1.0):
                return share
            features = rng.choice(x.shape[1], size=tried, replace=False)
            values = x[np.ix_(rows, features)]
            cuts = np.quantile(values, CUTS, axis=0).astype(np.float32)
            left = values[None] <= cuts[:, None]
            below = left.sum(axis=1)
            good_below = np.einsum("cnf,n->cf", left.astype(np.float32), labels.astype(np.float32))
            above, good_above = len(rows) - below, labels.sum() - good_below
            with np.errstate(divide="ignore", invalid="ignore"):
                gini = good_below * (1 - good_below / below) + good_above * (1 - good_above / above)
            gini = np.where((below >= least) & (above >= least), gini, np.inf)
            cut, chosen = divmod(int(gini.argmin()), tried)
            if not np.isfinite(gini[cut, chosen]):
                return share
            low = left[cut, :, chosen]
            return (
                int(features[chosen]), float(cuts[cut, chosen]), grow(rows[low], level - 1), grow(rows[~low], level - 1)
            )  # fmt: skip

        forest = [grow(rng.integers(0, len(x), len(x)), depth) for _ in range(trees)]

        def predict(rows: NDArray[np.float32]) -> Floats:
            total = np.zeros(len(rows))
            for tree in forest:
                _walk(tree, rows, np.arange(len(rows)), total)
            return total / trees

        return predict

    return fit


def _walk(node: Any, x: NDArray[np.float32], rows: NDArray[np.int64], total: Floats) -> None:
    if not isinstance(node, tuple):
        total[rows] += node
        return
    feature, cut, low, high = node
    left = x[rows, feature] <= cut
    _walk(low, x, rows[left], total)
    _walk(high, x, rows[~left], total)
