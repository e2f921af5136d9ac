"""A verifier against known labels: its rates with intervals, scores made into probabilities, and a threshold that is chosen
rather than guessed. Pure functions of scores and labels; they know no file and no model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import UsageError, did_you_mean
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.theory.intervals import Interval, clopper_pearson
from tilth.verify.votes import learn_then_test

Array = NDArray[np.float64]
WAYS = ("isotonic", "platt")
FOLDS = 5
DELTA = 0.1
"""Ours: the promised error rate may be missed with this probability."""
DECIDABLE = ("", "no-threshold")
"""Details of verdicts that a threshold may decide; other unknowns stay unknown whatever their score."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a verifier's verdicts are worth on labelled rows.

    Args:
        right, wrong: labelled rows of each kind.
        unknown: share of them that it did not decide.
        phi: share of right rows that it passes.
        rho: share of wrong rows that it passes.
        precision: share of right rows among those it passes.
        fail_precision: share of wrong rows among those it fails.
        fail_recall: share of wrong rows that it fails.
        auroc: chance that a right row scores higher than a wrong one, ties half; None without scores of both.
    """

    right: int
    wrong: int
    unknown: float
    phi: Interval
    rho: Interval
    precision: Interval
    fail_precision: Interval
    fail_recall: Interval
    auroc: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        names = ("phi", "rho", "precision", "fail_precision", "fail_recall")
        return {
            "right": self.right, "wrong": self.wrong, "unknown": self.unknown, "auroc": self.auroc,
            **{n: getattr(self, n).to_dict() for n in names},
        }  # fmt: skip


def measured(verdicts: Sequence[Verdict], right: Sequence[bool | None]) -> Measured | None:
    """Rates of a verifier on the rows whose label is known; None when there is none.

    Args:
        verdicts: one a row.
        right: whether the row is right; None where nobody said.
    """
    told = [(v, r) for v, r in zip(verdicts, right, strict=True) if r is not None]
    if not told:
        return None
    good = sum(r for _, r in told)
    bad = len(told) - good
    passed, failed = [r for v, r in told if v.outcome == PASS], [r for v, r in told if v.outcome == FAIL]
    scored = [(v.score, r) for v, r in told if v.score is not None]
    return Measured(
        good, bad, 1 - (len(passed) + len(failed)) / len(told),
        clopper_pearson(passed.count(True), good), clopper_pearson(passed.count(False), bad),
        clopper_pearson(passed.count(True), len(passed)), clopper_pearson(failed.count(False), len(failed)),
        clopper_pearson(failed.count(False), bad), auroc([s for s, _ in scored], [r for _, r in scored]),
    )  # fmt: skip


def auroc(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """The chance that a right row scores higher than a wrong one, ties half; None without rows of both kinds."""
    if not any(right) or all(right):
        return None
    values, truth = np.asarray(scores, float), np.asarray(right, bool)
    good, bad = np.sort(values[truth]), values[~truth]
    above = len(good) - np.searchsorted(good, bad, side="right")
    level = np.searchsorted(good, bad, side="right") - np.searchsorted(good, bad, side="left")
    return float((above + level / 2).sum() / (len(good) * len(bad)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a score to the probability that the row is right.

    Args:
        way: ``isotonic`` or ``platt``.
        at, values: isotonic: scores in ascending order and the probability from each on; platt: none, and (slope, offset).
    """

    way: str
    at: tuple[float, ...]
    values: tuple[float, ...]

    def __call__(self, score: float) -> float:
        """The probability."""
        if self.way == "platt":
            slope, offset = self.values
            return _logistic(slope * score + offset)
        place = int(np.searchsorted(self.at, score, side="right")) - 1
        return self.values[max(place, 0)]


def calibrate(scores: Sequence[float], right: Sequence[bool], way: str = "isotonic") -> Calibration:
    """Fit probabilities to labels.

    Args:
        scores: of labelled rows.
        right: their labels; of both kinds.
        way: ``isotonic`` (any rising curve; pool adjacent violators, Zadrozny and Elkan 2002) or ``platt`` (a logistic curve,
            with Platt's 1999 targets, section 2.2, so that few labels do not give certainty).

    Raises:
        UsageError: no such way, or the labels are all of one kind.
    """
    if way not in WAYS:
        raise UsageError(f"no calibration is called '{way}'", todo=did_you_mean(way, WAYS))
    if not any(right) or all(right):
        raise UsageError("calibration needs labels of right and of wrong rows", todo="label more rows: tilth audit DIR")
    return _isotonic(scores, right) if way == "isotonic" else _platt(scores, right)


def _isotonic(scores: Sequence[float], right: Sequence[bool]) -> Calibration:
    blocks: list[list[float]] = []  # first score, sum of labels, number of rows
    for score, label in sorted(zip(scores, map(float, right), strict=True)):
        if blocks and blocks[-1][0] == score:
            blocks[-1][1] += label
            blocks[-1][2] += 1
        else:
            blocks.append([score, label, 1.0])
    merged: list[list[float]] = []
    for block in blocks:
        merged.append(block)
        while len(merged) > 1 and merged[-2][1] * merged[-1][2] >= merged[-1][1] * merged[-2][2]:
            last = merged.pop()
            merged[-1][1] += last[1]
            merged[-1][2] += last[2]
    return Calibration("isotonic", tuple(b[0] for b in merged), tuple(b[1] / b[2] for b in merged))


def _platt(scores: Sequence[float], right: Sequence[bool]) -> Calibration:
    x, y = np.asarray(scores, float), np.asarray(right, bool)
    good, bad = int(y.sum()), int((~y).sum())
    target = np.where(y, (good + 1) / (good + 2), 1 / (bad + 2))
    middle, width = float(x.mean()), float(x.std()) or 1.0
    design = np.stack([(x - middle) / width, np.ones_like(x)], 1)
    beta = np.array([0.0, math.log((good + 1) / (bad + 1))])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        step = np.linalg.solve((design.T * (p * (1 - p))) @ design + 1e-6 * np.eye(2), design.T @ (target - p))
        beta = beta + np.clip(step, -2, 2)
        if float(np.abs(step).max()) < 1e-9:
            break
    slope = float(beta[0]) / width
    return Calibration("platt", (), (slope, float(beta[1]) - slope * middle))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, x))))


def brier_by_folds(scores: Sequence[float], right: Sequence[bool], way: str) -> tuple[float, float] | None:
    """Mean squared error of calibrated probabilities on rows they were not fitted to, and that of the plain share of right.

    Args:
        scores, right: labelled rows.
        way: see `calibrate`.

    Returns:
        Both, by `FOLDS` folds; None when a fold lacks one kind of label.
    """
    ours, plain = [], []
    for fold in range(FOLDS):
        inside = [i for i in range(len(right)) if i % FOLDS != fold]
        labels = [right[i] for i in inside]
        if not any(labels) or all(labels):
            return None
        fitted, share = calibrate([scores[i] for i in inside], labels, way), sum(labels) / len(labels)
        for i in range(fold, len(right), FOLDS):
            ours.append((fitted(scores[i]) - right[i]) ** 2)
            plain.append((share - right[i]) ** 2)
    return sum(ours) / len(ours), sum(plain) / len(plain)


@dataclass(frozen=True, slots=True)
class Rule:
    """How a threshold is chosen.

    Args:
        name: ``best`` (largest phi - rho, Youden's index) or ``noise``.
        alpha: for ``noise``: the share of wrong rows among those kept that is tolerated.
        delta: the probability with which that promise may fail.
    """

    name: str
    alpha: float = 0.0
    delta: float = DELTA


def read_rule(text: str) -> Rule:
    """``best``, ``noise=.05`` or ``noise=.05,delta=.1``.

    Raises:
        UsageError: it is none of these.
    """
    parts = dict(part.strip().partition("=")[::2] for part in text.split(","))
    if text.strip() == "best":
        return Rule("best")
    try:
        alpha, delta = float(parts.pop("noise")), float(parts.pop("delta", DELTA))
        if parts or not 0 < alpha < 1 or not 0 < delta < 1:
            raise ValueError
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"'{text}' is no rule for a threshold", todo="write best, noise=.05 or noise=.05,delta=.1"
        ) from error
    return Rule("noise", alpha, delta)


def choose(scores: Sequence[float], right: Sequence[bool], rule: Rule) -> float | None:
    """The threshold by a rule, or None when there is none.

    ``noise`` is Learn-then-Test: the smallest threshold whose kept rows are wrong at a rate of at most alpha, with probability
    1 - delta over the draw of the labelled rows, which must be a plain random sample. ``best`` promises nothing: it is the
    best on these labels.

    Args:
        scores: of labelled rows; more is better.
        right: their labels.
        rule: see `Rule`.
    """
    if rule.name == "noise":
        return learn_then_test(scores, right, rule.alpha, rule.delta)
    values, truth = np.asarray(scores, float), np.asarray(right, bool)
    if not truth.any() or truth.all():
        return None
    at = np.unique(values)
    below = [np.searchsorted(np.sort(part), at) / len(part) for part in (values[truth], values[~truth])]
    return float(at[int((below[1] - below[0]).argmax())])


def redecided(verdict: Verdict, threshold: float | None, more: Mapping[str, Any]) -> Verdict:
    """A verdict decided by a threshold on its score; unknown with ``no-threshold`` when there is none.

    Args:
        verdict: as the verifier gave it; one that it could not give for another reason stays as it is.
        threshold: pass from this score on.
        more: further evidence.
    """
    if verdict.score is None or (verdict.outcome == UNKNOWN and verdict.detail not in DECIDABLE):
        return verdict
    evidence = {**verdict.evidence, "threshold": threshold, **more}
    outcome = UNKNOWN if threshold is None else PASS if verdict.score >= threshold else FAIL
    detail = "no-threshold" if threshold is None else verdict.detail if outcome == verdict.outcome else ""
    return Verdict(verdict.verifier, outcome, verdict.score, evidence, detail, verdict.tier, verdict.version)
