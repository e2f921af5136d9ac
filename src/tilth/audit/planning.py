"""How many labels a wanted precision takes, and on which side the next one tells most. Knows counts, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tilth.audit.estimate import Counts, draws
from tilth.audit.strata import LEAST, Stratum
from tilth.errors import UsageError, did_you_mean
from tilth.theory.intervals import clopper_pearson

Figure = Literal["kept_noise", "epsilon", "rho", "phi"]
FIGURES: tuple[Figure, ...] = ("kept_noise", "epsilon", "rho", "phi")


@dataclass(frozen=True, slots=True)
class Needed:
    """What a wanted width takes, if the error rates stay as they look now.

    Args:
        figure: whose interval is meant, one of `FIGURES`.
        width: the wanted width of its interval, and `now`, the width that the labels so far give.
        kept, dropped: further rows of each side to label right or wrong.
        reachable: whether the run has so many rows.
    """

    figure: str
    width: float
    now: float
    kept: int
    dropped: int
    reachable: bool

    @property
    def more(self) -> int:
        """Further labels, both sides together."""
        return self.kept + self.dropped

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "figure": self.figure, "width": self.width, "now": self.now, "kept": self.kept, "dropped": self.dropped,
            "more": self.more, "reachable": self.reachable,
        }  # fmt: skip


def check_figure(figure: str) -> Figure:
    """The figure's name, checked.

    Raises:
        UsageError: no such figure.
    """
    for known in FIGURES:
        if figure == known:
            return known
    raise UsageError(f"an audit has no figure '{figure}'", todo=did_you_mean(figure, FIGURES))


def labels_needed(counts: Counts, width: float, figure: str = "kept_noise", *, confidence: float = 0.95) -> Needed:
    """Further labels until a figure's interval is as narrow as wanted.

    They are split over the strata as Neyman does (Journal of the Royal Statistical Society 1934), in proportion to what
    a stratum's spread adds to the figure; the number is then found by bisection on the interval itself, at the counts
    that are to be expected. Before any label a stratum's error rate is taken as one half, so that the number is large
    at first and shrinks.

    Args:
        counts: labels so far.
        width: wanted width (upper end - lower end).
        figure: one of `FIGURES`.
        confidence: of the interval.

    Raises:
        UsageError: the width is not between 0 and 1, or there is no such figure.
    """
    name = check_figure(figure)
    if not 0 < width < 1:
        raise UsageError(f"a width of {width}", where="--width", todo="give a number between 0 and 1, such as 0.1")
    now = _width(counts, name, confidence)
    room = {side: _rows(counts, side) - _seen(counts, side) for side in ("kept", "dropped")}
    gains = {side: _pull(counts, name, side) if room[side] > 0 else 0.0 for side in ("kept", "dropped")}
    total = sum(gains.values())
    if now <= width or total <= 0:
        return Needed(name, width, now, 0, 0, now <= width)

    def split(labels: int) -> dict[str, int]:
        """Labels so far and `labels` more, spread as Neyman would from the start, none taken back."""
        aim = {s: (labels + counts.labelled) * gains[s] / total for s in gains}
        more = {s: max(0.0, aim[s] - _seen(counts, s)) for s in gains}
        scale = labels / max(sum(more.values()), 1e-9)
        first = {s: min(room[s], round(more[s] * scale)) for s in gains}
        spare = labels - sum(first.values())
        for side in sorted(gains, key=lambda s: -gains[s]):
            extra = max(-first[side], min(spare, room[side] - first[side])) if gains[side] else 0
            first[side], spare = first[side] + extra, spare - extra
        return first

    most = sum(room[s] for s in gains if gains[s])
    if _width(_expected(counts, split(most)), name, confidence) > width:
        last = split(most)
        return Needed(name, width, now, last["kept"], last["dropped"], False)
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        if _width(_expected(counts, split(middle)), name, confidence) > width:
            low = middle
        else:
            high = middle
    found = split(high)
    return Needed(name, width, now, found["kept"], found["dropped"], True)


def next_stratum(counts: Counts, left: Mapping[Stratum, int], figure: str = "kept_noise") -> Stratum | None:
    """The side on which one more label narrows the figure most; each side gets `LEAST` labels first.

    Args:
        counts: labels so far.
        left: rows of each side that nobody has looked at.
        figure: one of `FIGURES`.

    Returns:
        None when no row is left.
    """
    name = check_figure(figure)
    sides: list[Stratum] = [side for side in ("kept", "dropped") if left.get(side, 0) > 0]
    if not sides:
        return None
    starved = [side for side in sides if _seen(counts, side) < LEAST]
    if starved:
        return min(starved, key=lambda s: (_seen(counts, s), s == "dropped"))
    return max(sides, key=lambda s: _pull(counts, name, s) ** 2 / ((_seen(counts, s) + 1) * (_seen(counts, s) + 2)))


def _rows(counts: Counts, side: str) -> int:
    return counts.kept if side == "kept" else counts.dropped


def _seen(counts: Counts, side: str) -> int:
    return counts.kept_right + counts.kept_wrong if side == "kept" else counts.dropped_right + counts.dropped_wrong


def _error(counts: Counts, side: str) -> float:
    """Posterior mean of a stratum's error rate under Jeffreys' prior."""
    wrong = counts.kept_wrong if side == "kept" else counts.dropped_wrong
    return (wrong + 0.5) / (_seen(counts, side) + 1)


def _pull(counts: Counts, figure: Figure, side: str) -> float:
    """|d figure/d error rate of the stratum| times the spread of one label there."""
    a, e_k, e_d = counts.alpha, _error(counts, "kept"), _error(counts, "dropped")
    eps = a * e_k + (1 - a) * e_d
    slopes = {
        "kept_noise": (1.0, 0.0),
        "epsilon": (a, 1 - a),
        "rho": (a * (1 - a) * e_d / eps**2, a * (1 - a) * e_k / eps**2),
        "phi": (a * (1 - a) * (1 - e_d) / (1 - eps) ** 2, a * (1 - a) * (1 - e_k) / (1 - eps) ** 2),
    }[figure]
    error = e_k if side == "kept" else e_d
    return float(slopes[side != "kept"] * (error * (1 - error)) ** 0.5)


def _expected(counts: Counts, more: Mapping[str, int]) -> Counts:
    """The counts after further labels that come out as the error rates so far say."""
    wrong = {s: round(more[s] * _error(counts, s)) for s in ("kept", "dropped")}
    return replace(
        counts,
        kept_wrong=counts.kept_wrong + wrong["kept"], kept_right=counts.kept_right + more["kept"] - wrong["kept"],
        dropped_wrong=counts.dropped_wrong + wrong["dropped"],
        dropped_right=counts.dropped_right + more["dropped"] - wrong["dropped"],
    )  # fmt: skip


def _width(counts: Counts, figure: Figure, confidence: float) -> float:
    if figure == "kept_noise":
        found = clopper_pearson(counts.kept_wrong, _seen(counts, "kept"), confidence)
        return found.hi - found.lo
    values = getattr(draws(counts), figure)
    lo, hi = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(hi - lo)
