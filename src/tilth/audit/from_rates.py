"""From audited rates to a decision: does adding these synthetic rows help, and what would settle it if that is open?

Knows the theory of two-class linear classifiers and says so: every piece of advice carries its limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.audit.advice import Advice
from tilth.audit.estimate import Rates
from tilth.audit.limits import GUIDE, RIDGE
from tilth.audit.thresholds import Curve
from tilth.audit.verdicts import kept_noise, next_audit, verdict
from tilth.errors import InputError
from tilth.theory.intervals import Interval
from tilth.theory.labels import critical_noise
from tilth.theory.search import Best, best, crossing, law
from tilth.theory.spectrum import Spectrum

Array = NDArray[np.float64]
DRAWS = 2_000


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
    the central interval of the predicted gain lies on one side of 0 and the gain is at least `tilth.audit.verdicts.NOTICEABLE`.

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
    rougher: dict[str, Any] = {k: v for k, v in given.items() if k != "gamma"}
    lighter: dict[str, Any] = {k: v for k, v in given.items() if k != "weight"}
    labels: dict[str, Any] = dict(zip(("epsilon", "rho", "phi"), point, strict=True))
    # Rows that are not kept still count in N, so pruning strengthens the ridge; that alone must not decide.
    held = gamma * (n + rates.counts.alpha * m) / max(n + m, 1e-9)
    same = run(**{**given, "gamma": max(held, 1e-12)}, epsilon=drawn.epsilon, rho=drawn.rho, phi=drawn.phi).accuracy
    shown = {"setting": setting, "n": n, "m": m, "n_hat": n_hat, **{k: v for k, v in fixed.items() if k != "spectrum"}}
    chosen = {
        "amount": best(run, "m", bounds=(1.0, max(10.0 * m, 10.0)), **fewer, **labels),
        "weight": best(run, "weight", **lighter, **labels),
        "gamma": best(run, "gamma", **rougher, **labels),
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
        next_audit=next_audit(rates, gain, word, sensitivity, notes),
        notes=notes,
    )  # fmt: skip
