"""A piece of advice: the verdict, the figures that it rests on, and how it is told. Predicts nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tilth.audit.limits import LIMITS, RIDGE
from tilth.audit.probe import Probe
from tilth.audit.verdicts import Word, next_rows, verdict
from tilth.theory.intervals import Interval
from tilth.theory.search import Best


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
            next_audit=next_rows(probe, word, by_ridge, self.next_audit),
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
