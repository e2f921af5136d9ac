"""Several judges over the same items: kappa, votes, weighted votes, Dawid and Skene's model, beside the best single judge.

A model of judges helps when they are many, independent and better than chance; with weak ones it can be worse than the one
good judge, so `compare` always shows both. Labels are hashable; None is a judge's silence, which is never a vote. Knows no
model and no file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilth.theory.intervals import upper_tail

Label = Hashable
ROUNDS = 200


def kappa(a: Sequence[Label | None], b: Sequence[Label | None]) -> float:
    """Cohen's kappa over the items that both labelled (Cohen 1960)."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    if not pairs:
        return math.nan
    n = len(pairs)
    first, second = Counter(x for x, _ in pairs), Counter(y for _, y in pairs)
    seen = sum(x == y for x, y in pairs) / n
    chance = sum(first[k] * second[k] for k in first) / n**2
    return 1.0 if chance == 1 else (seen - chance) / (1 - chance)


def scores(truth: Sequence[Label], said: Sequence[Label | None]) -> dict[str, float]:
    """Accuracy, and precision, recall and F1 averaged over the labels of `truth`; None counts as wrong.

    Args:
        truth: the right labels.
        said: a judge's, None where nothing could be read.
    """
    kinds = sorted(set(truth), key=repr)
    rows = []
    for kind in kinds:
        hit = sum(t == kind == s for t, s in zip(truth, said, strict=True))
        named, there = sum(s == kind for s in said), sum(t == kind for t in truth)
        p, r = (hit / named if named else 0.0), hit / there
        rows.append((p, r, 2 * p * r / (p + r) if p + r else 0.0))
    precision, recall, f1 = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    right = sum(t == s for t, s in zip(truth, said, strict=True)) / len(truth)
    return {"accuracy": right, "precision": precision, "recall": recall, "f1": f1}


def vote(table: Sequence[Sequence[Label | None]], weights: Sequence[float] | None = None) -> list[Label | None]:
    """The label with the most weight for each item; None for a tie or when nobody spoke.

    Args:
        table: one row an item, one column a judge.
        weights: of the judges; equal by default.
    """
    found: list[Label | None] = []
    for row in table:
        total: Counter[Label] = Counter()
        for judge, label in enumerate(row):
            if label is not None:
                total[label] += 1.0 if weights is None else weights[judge]  # type: ignore[assignment]
        ranked = total.most_common(2)
        tie = len(ranked) > 1 and math.isclose(ranked[0][1], ranked[1][1])
        found.append(None if not ranked or tie else ranked[0][0])
    return found


def log_odds(accuracy: float, labels: int = 2) -> float:
    """The weight of a judge with this accuracy (Nitzan and Paroush 1982): 0 at chance."""
    accuracy = min(max(accuracy, 1e-6), 1 - 1e-6)
    return math.log(accuracy * (labels - 1) / (1 - accuracy))


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """A fitted model.

    Args:
        labels: the labels, in the order of the arrays.
        posterior: probability of each label for each item, shape (items, labels).
        confusion: probability that a judge says the second label when the first is right, (judges, labels, labels).
        prior: of the labels, (labels,).
    """

    labels: tuple[Label, ...]
    posterior: NDArray[np.float64]
    confusion: NDArray[np.float64]
    prior: NDArray[np.float64]

    @property
    def best(self) -> list[Label]:
        """The most probable label of each item."""
        return [self.labels[i] for i in self.posterior.argmax(1)]

    @property
    def accuracies(self) -> list[float]:
        """Each judge's accuracy under the model."""
        return [float(c.diagonal() @ self.prior) for c in self.confusion]


def dawid_skene(table: Sequence[Sequence[Label | None]], *, smoothing: float = 0.01) -> DawidSkene:
    """Judges' confusion tables and items' labels by expectation maximisation, started from the vote.

    Args:
        table: one row an item, one column a judge; None for silence.
        smoothing: added to every count.

    Source:
        Dawid and Skene 1979, Applied Statistics 28(1), equations 2.3 to 2.5.
    """
    labels = tuple(sorted({x for row in table for x in row if x is not None}, key=repr))
    index = {x: i for i, x in enumerate(labels)}
    items, judges, kinds = len(table), len(table[0]) if table else 0, len(labels)
    said = np.zeros((items, judges, kinds))
    for i, row in enumerate(table):
        for j, x in enumerate(row):
            if x is not None:
                said[i, j, index[x]] = 1
    posterior = said.sum(1) + 1e-9
    posterior /= posterior.sum(1, keepdims=True)
    for _ in range(ROUNDS):
        prior = posterior.sum(0) + smoothing
        prior /= prior.sum()
        confusion = np.einsum("ik,ijl->jkl", posterior, said) + smoothing
        confusion /= confusion.sum(2, keepdims=True)
        logs = np.log(prior) + np.einsum("ijl,jkl->ik", said, np.log(confusion))
        logs -= logs.max(1, keepdims=True)
        new = np.exp(logs)
        new /= new.sum(1, keepdims=True)
        if np.abs(new - posterior).max() < 1e-8:
            posterior = new
            break
        posterior = new
    return DawidSkene(labels, posterior, confusion, prior)


def compare(table: Sequence[Sequence[Label | None]], truth: Mapping[int, Label]) -> dict[str, float]:
    """Accuracy on audited items: each way to join judges, beside the best single judge.

    Args:
        table: one row an item, one column a judge.
        truth: audited labels by item. Weights are those of the same audit: an optimistic figure when it is small.

    Returns:
        ``best single judge``, ``vote``, ``weighted vote``, ``dawid-skene``: shares right; silence counts as wrong.
    """
    audited = sorted(truth)
    right = [truth[i] for i in audited]

    def share(said: Sequence[Label | None]) -> float:
        return sum(said[i] == t for i, t in zip(audited, right, strict=True)) / len(audited)

    single = [share([row[j] for row in table]) for j in range(len(table[0]))]
    kinds = len({x for row in table for x in row if x is not None})
    return {
        "best single judge": max(single),
        "vote": share(vote(table)),
        "weighted vote": share(vote(table, [log_odds(a, max(kinds, 2)) for a in single])),
        "dawid-skene": share(dawid_skene(table).best),
    }


def learn_then_test(scores: Sequence[float], right: Sequence[bool], alpha: float, delta: float = 0.1) -> float | None:
    """The smallest threshold whose accepted rows are wrong at a rate of at most `alpha`, with probability 1 - `delta`.

    Thresholds are tested from the strictest down, stopping at the first that cannot be rejected (fixed-sequence testing),
    each by the exact binomial tail.

    Args:
        scores: a judge's scores of audited rows; more is better.
        right: whether each row is right.
        alpha: the error rate among accepted rows that is tolerated.
        delta: the probability of failing.

    Returns:
        The threshold (accept when score >= it), or None when none can be promised.

    Source:
        Angelopoulos, Bates, Candes, Jordan and Lei 2021, arXiv:2110.01052, sections 3 and 5.
    """
    ranked = sorted(zip(scores, right, strict=True), key=lambda pair: -pair[0])
    best, wrong = None, 0
    for n, (score, is_right) in enumerate(ranked, 1):
        wrong += not is_right
        if n < len(ranked) and ranked[n][0] == score:
            continue  # rows of one score are accepted together
        if (1 - alpha) ** n > delta:
            continue  # too few rows to reject anything, whatever they are
        if 1 - upper_tail(wrong + 1, n, alpha) > delta:
            break
        best = score
    return best
