"""The verifier's rates from labelled rows: eps, rho, phi, the kept labels' noise and the keep rate, with intervals.

Knows counts only. What the rates mean for training is `tilth.audit.from_rates`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.audit.annotators import Agreement, agreement
from tilth.audit.labels import Label, as_label, consensus
from tilth.audit.strata import refuse_overlap
from tilth.errors import InputError
from tilth.theory.intervals import Interval, clopper_pearson, jeffreys_draws

Array = NDArray[np.float64]
DRAWS = 4_000


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of the run and labels of each kind.

    Args:
        kept, dropped: rows of the run.
        kept_right, kept_wrong, dropped_right, dropped_wrong: labelled rows.
        unsure: labelled rows that count as neither right nor wrong.
        foreign: labels for rows that the run does not have.
    """

    kept: int
    dropped: int
    kept_right: int
    kept_wrong: int
    dropped_right: int
    dropped_wrong: int
    unsure: int = 0
    foreign: int = 0

    @property
    def labelled(self) -> int:
        """Rows labelled right or wrong."""
        return self.kept_right + self.kept_wrong + self.dropped_right + self.dropped_wrong

    @property
    def alpha(self) -> float:
        """The keep rate over all rows."""
        return self.kept / (self.kept + self.dropped)


@dataclass(frozen=True, slots=True)
class Draws:
    """Posterior draws of the rates, all of one shape (size,)."""

    epsilon: Array
    rho: Array
    phi: Array
    kept_noise: Array


@dataclass(frozen=True, slots=True)
class Rates:
    """What an audit says of the labels and the verifier.

    Args:
        epsilon: share of wrong rows before verification.
        rho, phi: share of wrong and of right rows that the verifier keeps.
        kept_noise: share of wrong rows among the kept ones, eps'.
        alpha: share of rows kept; exact for this run, its interval is for more rows of the same kind.
        counts: what the rates come from.
        method: how the intervals were made.
        agreement: of several annotators, if there are.
        notes: what the reader must know.
    """

    epsilon: Interval
    rho: Interval
    phi: Interval
    kept_noise: Interval
    alpha: Interval
    counts: Counts
    method: str
    agreement: Agreement | None = None
    notes: tuple[str, ...] = ()

    def draws(self, size: int = DRAWS, seed: int = 0) -> Draws:
        """Draws of the rates under Jeffreys' prior on the two strata's error rates, for propagation."""
        return draws(self.counts, size, seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        names = ("epsilon", "rho", "phi", "kept_noise", "alpha")
        return {
            **{name: getattr(self, name).to_dict() for name in names},
            "counts": asdict(self.counts) | {"labelled": self.counts.labelled},
            "method": self.method,
            "agreement": asdict(self.agreement) if self.agreement else None,
            "notes": list(self.notes),
        }


def rates(
    labels: Mapping[str, str] | Iterable[Label | Mapping[str, Any]],
    kept_ids: Iterable[str],
    dropped_ids: Iterable[str],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Rates:
    """Rates with intervals from labelled rows.

    With e_k and e_d the error rates among kept and dropped rows and alpha the keep rate over ALL rows,

        eps' = e_k,   eps = alpha e_k + (1-alpha) e_d,   rho = alpha e_k/eps,   phi = alpha (1-e_k)/(1-eps).

    Where the labelled rows are spread over the strata as the run is (to within a row), eps, rho and phi are plain
    shares of labelled rows and get Clopper-Pearson intervals, as eps' always does; otherwise their intervals are
    quantiles of Jeffreys draws of (e_k, e_d). Rows labelled `unsure` are neither right nor wrong and are left out.

    Args:
        labels: row id to label, or labels as read by `tilth.audit.read_labels`.
        kept_ids, dropped_ids: ids of the run's rows.
        confidence: of the intervals.
        seed: of the draws.

    Raises:
        InputError: no row is labelled right or wrong, an id is on both sides, or a label is not a label.
    """
    given = [Label(k, v) for k, v in labels.items()] if isinstance(labels, Mapping) else [as_label(v) for v in labels]
    words = consensus(given)
    kept, dropped = set(kept_ids), set(dropped_ids)
    refuse_overlap(kept, dropped)
    counts = _count(words, kept, dropped)
    if counts.labelled == 0:
        some = (
            f"{len(words)} labels, {counts.unsure} of them unsure and {counts.foreign} for other rows"
            if words
            else "no labels"
        )
        raise InputError(some, todo="label some rows of this run right or wrong")
    return from_counts(counts, confidence=confidence, seed=seed, agreed=agreement(given))


def _count(words: Mapping[str, str], kept: set[str], dropped: set[str]) -> Counts:
    def number(ids: set[str], word: str) -> int:
        return sum(words.get(i) == word for i in ids)

    mine = words.keys() & (kept | dropped)
    return Counts(
        len(kept), len(dropped), number(kept, "right"), number(kept, "wrong"), number(dropped, "right"),
        number(dropped, "wrong"), sum(words[i] == "unsure" for i in mine), len(words) - len(mine),
    )  # fmt: skip


def draws(counts: Counts, size: int = DRAWS, seed: int = 0) -> Draws:
    """Jeffreys draws of both strata's error rates, turned into rates; alpha is known exactly."""
    c, alpha = counts, counts.alpha
    e_k, e_d = jeffreys_draws(
        [(c.kept_wrong, c.kept_wrong + c.kept_right), (c.dropped_wrong, c.dropped_wrong + c.dropped_right)], size, seed
    )
    return _rates_of(alpha, e_k, e_d)


def _rates_of(alpha: float, e_k: Array, e_d: Array) -> Draws:
    eps = alpha * e_k + (1 - alpha) * e_d
    rho = np.where(eps > 0, alpha * e_k / np.where(eps > 0, eps, 1.0), alpha)
    phi = np.where(eps < 1, alpha * (1 - e_k) / np.where(eps < 1, 1 - eps, 1.0), alpha)
    return Draws(eps, np.clip(rho, 0, 1), np.clip(phi, 0, 1), e_k)


def from_counts(counts: Counts, *, confidence: float = 0.95, seed: int = 0, agreed: Agreement | None = None) -> Rates:
    """`rates` from counts alone."""
    c, alpha = counts, counts.alpha
    kept_seen, dropped_seen = c.kept_right + c.kept_wrong, c.dropped_right + c.dropped_wrong
    wrong, right = c.kept_wrong + c.dropped_wrong, c.kept_right + c.dropped_right
    drawn = draws(c, seed=seed)
    keep_rate = clopper_pearson(c.kept, c.kept + c.dropped, confidence)
    kept_noise = clopper_pearson(c.kept_wrong, kept_seen, confidence)
    if not c.kept:
        kept_noise = Interval(0.0, 0.0, 1.0)
    proportional = abs(kept_seen - alpha * c.labelled) <= 1
    if proportional:
        eps = clopper_pearson(wrong, c.labelled, confidence)
        rho = clopper_pearson(c.kept_wrong, wrong, confidence) if wrong else _median(drawn.rho, confidence)
        phi = clopper_pearson(c.kept_right, right, confidence) if right else _median(drawn.phi, confidence)
        method = "Clopper-Pearson on proportionally sampled rows"
    else:
        e_k = c.kept_wrong / kept_seen if kept_seen else 0.5
        e_d = c.dropped_wrong / dropped_seen if dropped_seen else 0.5
        point = _rates_of(alpha, np.array([e_k]), np.array([e_d]))
        eps = Interval.of_draws(float(point.epsilon[0]), drawn.epsilon, confidence)
        rho = Interval.of_draws(float(point.rho[0]), drawn.rho, confidence)
        phi = Interval.of_draws(float(point.phi[0]), drawn.phi, confidence)
        method = "Jeffreys draws of both strata, weighted by the run's kept and dropped rows"
    if not c.dropped or not c.kept:
        rho = phi = Interval(alpha, alpha, alpha)
    return Rates(eps, rho, phi, kept_noise, keep_rate, c, method, agreed, tuple(_notes(c, kept_seen, dropped_seen)))


def _median(values: Array, confidence: float) -> Interval:
    return Interval.of_draws(float(np.median(values)), values, confidence)


def _notes(c: Counts, kept_seen: int, dropped_seen: int) -> Iterable[str]:
    if c.foreign:
        yield f"{c.foreign} labels are for rows that this run does not have; they are left out"
    if c.unsure:
        yield f"{c.unsure} rows are labelled unsure; they count as neither right nor wrong"
    if c.kept and not kept_seen:
        yield "no kept row is labelled right or wrong: the kept labels' noise is unknown"
    if c.dropped and not dropped_seen:
        yield "no dropped row is labelled right or wrong: eps, rho and phi are hardly known"
    if not c.kept:
        yield "the verifier kept no row: there is nothing to train on"
