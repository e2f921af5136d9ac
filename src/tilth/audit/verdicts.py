"""The verdict on a predicted gain, and what would settle an open one: more labels, or more real rows. Predicts nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilth.audit.estimate import Rates
from tilth.audit.limits import RIDGE
from tilth.audit.probe import Probe
from tilth.theory.intervals import Interval

Array = NDArray[np.float64]
Word = Literal["helps", "hurts", "cannot tell"]
NOTICEABLE = 0.001
"""A predicted difference below a tenth of an accuracy point is called none at all."""
VISIBLE = 0.005
"""Half an accuracy point: what further audit is planned to make visible."""


def next_rows(probe: Probe, word: Word, by_ridge: bool, audit: str) -> str:
    """What would settle a probe's verdict: real rows to score it on; and what the theory says of further audit."""
    if by_ridge:
        return "no audit will settle it: tune gamma first"
    scored, gain = probe.labelled + probe.unlabelled, probe.gain
    if word != "cannot tell":
        return f"the probe on {scored:,} real rows settles it; more would only narrow the intervals"
    aim = max(abs(gain.value), VISIBLE)
    reach = gain.value - gain.lo if gain.value > 0 else gain.hi - gain.value
    more = int(np.ceil(scored * (1.1 * reach / aim) ** 2)) - scored
    if more <= 0:
        return f"nothing will settle it: the difference is below {VISIBLE} either way, too small to matter"
    return f"about {more:,} more real rows, labelled or not, would settle it for the probe; for the theory: {audit}"


def verdict(gain: Interval) -> Word:
    """`helps` or `hurts` when the interval of the gain excludes 0 and the gain is noticeable."""
    if gain.lo > 0 and gain.value >= NOTICEABLE:
        return "helps"
    if gain.hi < 0 and gain.value <= -NOTICEABLE:
        return "hurts"
    return "cannot tell"


def kept_noise(epsilon: Array, rho: Array, phi: Array) -> Array:
    """eps' = rho eps/(phi (1-eps) + rho eps); eps itself where nothing is kept."""
    alpha = phi * (1 - epsilon) + rho * epsilon
    noise: Array = np.where(alpha > 0, rho * epsilon / np.where(alpha > 0, alpha, 1.0), epsilon)
    return noise


def next_audit(
    rates: Rates, gain: Interval, word: Word, sensitivity: Callable[[Array, Array, Array], Array], notes: Sequence[str]
) -> str:
    """How many labels more, and on which side, would bring the gain's interval to one side of 0."""
    c = rates.counts
    if word != "cannot tell":
        return f"{c.labelled} labelled rows settle it; more would only narrow the intervals"
    if RIDGE in notes:
        return "no audit will settle it: tune gamma first"
    aim = max(abs(gain.value), VISIBLE)
    near = abs(gain.value) < VISIBLE
    reach = gain.value - gain.lo if gain.value > 0 else gain.hi - gain.value
    needed = int(np.ceil(c.labelled * (1.1 * reach / aim) ** 2))
    more, pool = needed - c.labelled, c.kept + c.dropped
    if near and more <= 0:
        return f"no audit will settle it: the difference is below {VISIBLE} either way, too small to matter"
    spread = _spread_by_stratum(rates, sensitivity)
    side = "kept" if spread[0] >= spread[1] else "dropped"
    share = max(spread) / max(sum(spread), 1e-300)
    where = f", mostly {side} rows ({share:.0%} of the uncertainty comes from them)" if c.kept and c.dropped else ""
    what = f"would tell whether there is a difference of {VISIBLE} or more" if near else "would settle it"
    text = f"about {max(more, 1):,} more labels {what}{where}"
    return f"{text}; the run has only {pool:,} rows: grow more, or change the verifier" if needed > pool else text


def _spread_by_stratum(rates: Rates, sensitivity: Callable[[Array, Array, Array], Array]) -> tuple[float, float]:
    """Variance of the gain when only the kept, or only the dropped rows' error rate moves by one standard deviation."""
    c, alpha = rates.counts, rates.counts.alpha
    kept, dropped = c.kept_right + c.kept_wrong, c.dropped_right + c.dropped_wrong
    e_k, e_d = (c.kept_wrong + 0.5) / (kept + 1), (c.dropped_wrong + 0.5) / (dropped + 1)
    s_k, s_d = (e_k * (1 - e_k) / (kept + 2)) ** 0.5, (e_d * (1 - e_d) / (dropped + 2)) ** 0.5
    k = np.clip(np.array([e_k - s_k, e_k + s_k, e_k, e_k]), 0, 1)
    d = np.clip(np.array([e_d, e_d, e_d - s_d, e_d + s_d]), 0, 1)
    eps = np.clip(alpha * k + (1 - alpha) * d, 1e-9, 1 - 1e-9)
    g = sensitivity(eps, np.clip(alpha * k / eps, 0, 1), np.clip(alpha * (1 - k) / (1 - eps), 0, 1))
    return float((g[1] - g[0]) ** 2), float((g[3] - g[2]) ** 2)
