"""From audited rates to a decision: does adding these synthetic rows help, and what would settle it if that is open?

Knows the theory of two-class linear classifiers and says so: every piece of advice carries its limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tilth.audit.estimate import Rates
from tilth.audit.limits import GUIDE, LIMITS, RIDGE
from tilth.audit.probe import Probe
from tilth.audit.thresholds import Curve
from tilth.errors import InputError
from tilth.theory.intervals import Interval
from tilth.theory.labels import critical_noise
from tilth.theory.search import Best, best, crossing, law
from tilth.theory.spectrum import Spectrum

Array = NDArray[np.float64]
Word = Literal["helps", "hurts", "cannot tell"]
DRAWS = 2_000
NOTICEABLE = 0.001
"""A predicted difference below a tenth of an accuracy point is called none at all."""
VISIBLE = 0.005
"""Half an accuracy point: what further audit is planned to make visible."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A verdict and what it rests on.

    Args:
        verdict: ``helps``, ``hurts`` or ``cannot tell``.
        epsilon, rho, phi, kept_noise, alpha: the audited rates.
        break_even: label noise before verification, with this verifier, at which the data would stop helping.
        break_even_kept: the same as noise among the kept labels; compare with `kept_noise`.
        predicted: accuracy with the synthetic rows.
        real_only: accuracy without them.
        gain: their difference, drawn jointly.
        basis: ``rates`` (given dimension and mean), ``features`` (measured on real features) or ``guide``.
        settings: numbers the prediction used.
        best: best amount, weight, threshold, where computed (by theory unless its name says otherwise).
        critical: noise at which synthetic rows alone would guess; not to be compared with `epsilon` for a mix.
        next_audit: what further audit would settle the verdict.
        notes: what is particular to this case.
        limits: what holds always.
        theory: the theory's predicted, real_only and gain, where a probe gave those above.
        probe: the probe, on features.
    """

    verdict: Word
    epsilon: Interval
    rho: Interval
    phi: Interval
    kept_noise: Interval
    alpha: Interval
    break_even: Interval
    break_even_kept: Interval
    predicted: Interval
    real_only: Interval
    gain: Interval
    basis: str
    settings: dict[str, Any]
    best: dict[str, Best] = field(default_factory=dict)
    critical: float = 0.5
    next_audit: str = ""
    notes: tuple[str, ...] = ()
    limits: tuple[str, ...] = LIMITS
    theory: dict[str, Interval] = field(default_factory=dict)
    probe: Probe | None = None

    def tried(self, probe: Probe) -> Advice:
        """The same advice with accuracy, gain and verdict taken from a probe; the theory's stay in `theory`."""
        word, notes = verdict(probe.gain), self.notes
        same = Interval.of_draws(float(np.mean(probe.same_ridge)), probe.same_ridge)
        by_ridge = word != "cannot tell" and verdict(same) != word
        if by_ridge:
            word, notes = "cannot tell", (*(n for n in notes if n != RIDGE), RIDGE)
        return replace(
            self,
            verdict=word,
            predicted=probe.predicted,
            real_only=probe.real_only,
            gain=probe.gain,
            theory={name: getattr(self, name) for name in ("predicted", "real_only", "gain")},
            probe=probe,
            next_audit=_next_rows(probe, word, by_ridge, self.next_audit),
            notes=notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: the intervals as ``{value, lo, hi}``."""
        names = (
            "epsilon", "rho", "phi", "kept_noise", "alpha", "break_even", "break_even_kept", "predicted", "real_only",
            "gain",
        )  # fmt: skip
        return {
            "verdict": self.verdict,
            **{name: getattr(self, name).to_dict() for name in names},
            "critical_noise": self.critical,
            "basis": self.basis,
            "settings": self.settings,
            "best": {k: {"value": b.value, "accuracy": b.accuracy, "at_edge": b.at_edge} for k, b in self.best.items()},
            "next_audit": self.next_audit,
            "notes": list(self.notes),
            "limits": list(self.limits),
            "theory": {k: v.to_dict() for k, v in self.theory.items()} or None,
            "probe": self.probe.to_dict() if self.probe else None,
        }

    def text(self) -> str:
        """For a person: a short table, the verdict first."""
        guide = " (two-class guide)" if self.basis == "guide" else ""
        lines = [
            f"verdict: {self.verdict}{guide}",
            f"  noise before verification  {self.epsilon}   break-even {self.break_even}",
            f"  noise among kept labels    {self.kept_noise}   break-even {self.break_even_kept}",
            f"  keep rate {self.alpha}; wrong kept (rho) {self.rho}; right kept (phi) {self.phi}",
            f"  predicted accuracy{guide}  {self.predicted}   real only {self.real_only}   gain {self.gain}",
        ]
        if self.probe:
            rows = f"{self.probe.labelled} labelled and {self.probe.unlabelled} unlabelled real rows"
            t = self.theory
            lines += [
                f"    measured by a probe on {rows}",
                f"    by theory                {t['predicted']}   real only {t['real_only']}   gain {t['gain']}",
            ]
        for name, b in self.best.items():
            edge = ", at the end of the range searched" if b.at_edge else ""
            lines.append(f"  best {name}: {b.value:.4g} (accuracy {b.accuracy:.3f}{edge})")
        lines += [f"  {self.next_audit}"] if self.next_audit else []
        lines += [f"note: {note}" for note in self.notes] + [f"limit: {limit}" for limit in self.limits]
        return "\n".join(lines)


def advise_rates(
    rates: Rates,
    *,
    n: float,
    m: float,
    p: float,
    mu: float,
    gamma: float = 0.1,
    beta: float = 1.0,
    mu_orth: float = 0.0,
    setting: str = "general",
    n_hat: float | None = None,
    spectrum: Spectrum | None = None,
    weight: float = 1.0,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
    guide: bool = False,
    curve: Curve | None = None,
) -> Advice:
    """Advice from rates and the numbers of a two-class problem.

    Jeffreys draws of the audit's error rates go through the theory one by one; the verdict is `helps` or `hurts` when
    the central interval of the predicted gain lies on one side of 0 and the gain is at least `NOTICEABLE`.

    Args:
        rates: of the audit.
        n, m: real rows, and synthetic rows before verification.
        p, mu: dimension, and length of the real class mean (in units of the within-class spread).
        gamma: ridge. weight: of a kept synthetic row.
        beta, mu_orth: the generator's mean shift. spectrum: its covariance (`general` only).
        setting: a name of `tilth.theory.SETTINGS`; n_hat for the fitted ones.
        confidence, draws, seed: of the intervals.
        guide: the rows have no two-class label; say that the figures are a guide.
        curve: the verifier's, for the best threshold.

    Raises:
        UsageError: no such setting.
        InputError: a number is out of its range.
    """
    fixed: dict[str, Any] = {"p": p, "mu": mu, "gamma": gamma, "weight": weight}
    if setting == "general":
        fixed |= {"beta": beta, "mu_orth": mu_orth, "spectrum": spectrum}
    if setting in ("fitted", "fitted-mean"):
        if n_hat is None:
            raise InputError(
                f"setting '{setting}' needs n_hat", todo="say how many samples the generator was fitted on"
            )
        fixed |= {"n_hat": n_hat} | ({"beta": beta, "mu_orth": mu_orth} if setting == "fitted" else {})
    run = law(setting, {k: v for k, v in fixed.items() if k not in ("gamma", "weight")})
    drawn = rates.draws(draws, seed)
    given = {"n": float(n), "m": float(m), "gamma": gamma, "weight": weight}

    def accuracy(eps: Any, rho: Any, phi: Any) -> Array:
        return run(**given, epsilon=eps, rho=rho, phi=phi).accuracy

    point = (rates.epsilon.value, rates.rho.value, rates.phi.value)
    real = float(run(**{**given, "m": 0.0}).accuracy)
    even = crossing(run, {**given, "rho": drawn.rho, "phi": drawn.phi})
    even_at = float(crossing(run, {**given, "rho": point[1], "phi": point[2]}))
    with_rows = accuracy(drawn.epsilon, drawn.rho, drawn.phi)
    fewer: dict[str, Any] = {k: v for k, v in given.items() if k != "m"}
    lighter: dict[str, Any] = {k: v for k, v in given.items() if k != "weight"}
    labels: dict[str, Any] = dict(zip(("epsilon", "rho", "phi"), point, strict=True))
    # Rows that are not kept still count in N, so pruning strengthens the ridge; that alone must not decide.
    held = gamma * (n + rates.counts.alpha * m) / max(n + m, 1e-9)
    same = run(**{**given, "gamma": max(held, 1e-12)}, epsilon=drawn.epsilon, rho=drawn.rho, phi=drawn.phi).accuracy
    shown = {"setting": setting, "n": n, "m": m, "n_hat": n_hat, **{k: v for k, v in fixed.items() if k != "spectrum"}}
    chosen = {
        "amount": best(run, "m", bounds=(1.0, max(10.0 * m, 10.0)), **fewer, **labels),
        "weight": best(run, "weight", **lighter, **labels),
    }
    if curve is not None:
        along = (curve.thresholds, curve.phi, curve.rho)
        rest: dict[str, Any] = {**given, "epsilon": point[0]}
        chosen["threshold"] = best(run, "threshold", curve=along, **rest)
    return conclude(
        rates,
        predicted=(float(accuracy(*point)), with_rows),
        real_only=(real, np.full(len(with_rows), real)),
        break_even=(even_at, even),
        sensitivity=lambda e, r, f: accuracy(e, r, f) - real,
        same_ridge=same - real,
        basis="guide" if guide else "rates",
        settings={k: v for k, v in shown.items() if v is not None},
        chosen=chosen,
        confidence=confidence,
        notes=(*rates.notes, *((GUIDE,) if guide else ())),
    )


def conclude(
    rates: Rates,
    *,
    predicted: tuple[float, Array],
    real_only: tuple[float, Array],
    break_even: tuple[float, Array],
    sensitivity: Callable[[Array, Array, Array], Array],
    same_ridge: Array,
    basis: str,
    settings: dict[str, Any],
    chosen: dict[str, Best],
    confidence: float,
    notes: tuple[str, ...],
) -> Advice:
    """Put the pieces together: intervals, verdict, and what would settle it.

    Args:
        rates: of the audit.
        predicted, real_only, break_even: value at the estimates, and draws; those of the first two belong together.
        sensitivity: the gain at arrays of (eps, rho, phi), to see which stratum's labels matter.
        same_ridge: draws of the gain with the ridge per row trained on, instead of per row before verification.
        basis, settings, chosen, notes: see `Advice`.
        confidence: of the intervals.
    """
    gain = Interval.of_draws(predicted[0] - real_only[0], predicted[1] - real_only[1], confidence)
    rho, phi = rates.rho.value, rates.phi.value
    drawn = rates.draws(len(break_even[1]))
    word = verdict(gain)
    other = verdict(Interval.of_draws(float(np.mean(same_ridge)), same_ridge, confidence))
    if word != "cannot tell" and other != word:
        word, notes = "cannot tell", (*notes, RIDGE)
    return Advice(
        verdict=word,
        epsilon=rates.epsilon, rho=rates.rho, phi=rates.phi, kept_noise=rates.kept_noise, alpha=rates.alpha,
        break_even=Interval.of_draws(*break_even, confidence),
        break_even_kept=Interval.of_draws(
            float(kept_noise(np.asarray(break_even[0]), np.asarray(rho), np.asarray(phi))),
            kept_noise(break_even[1], drawn.rho, drawn.phi),
            confidence,
        ),
        predicted=Interval.of_draws(*predicted, confidence),
        real_only=Interval.of_draws(*real_only, confidence),
        gain=gain,
        basis=basis,
        settings=settings,
        best=chosen,
        critical=float(critical_noise(min(rho, 1.0), min(phi, 1.0))),
        next_audit=_next_audit(rates, gain, word, sensitivity, notes),
        notes=notes,
    )  # fmt: skip


def _next_rows(probe: Probe, word: Word, by_ridge: bool, audit: str) -> str:
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


def _next_audit(
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
