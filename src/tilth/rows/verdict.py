"""A verdict: what one verifier says of one row. Three values, because unparseable is neither right nor wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["pass", "fail", "unknown"]
PASS: Outcome = "pass"
FAIL: Outcome = "fail"
UNKNOWN: Outcome = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verifier's word on one row.

    Args:
        verifier: the verifier's id, such as ``math``.
        outcome: ``pass``, ``fail`` or ``unknown``.
        score: a number where the verifier has one.
        evidence: plain JSON that lets a person check the verdict.
        detail: one short machine-readable word for the reason, such as ``timeout``.
        tier: how the check was isolated (sandbox tier) or decided; empty when there is one way only.
        version: the verifier's version.
    """

    verifier: str
    outcome: Outcome
    score: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    tier: str = ""
    version: str = "1"

    @property
    def passed(self) -> bool:
        """Whether the outcome is ``pass``; unknown is not."""
        return self.outcome == PASS

    @property
    def reason(self) -> str:
        """The drop reason ``<verifier>:<outcome>[:<detail>]``."""
        return ":".join(part for part in (self.verifier, self.outcome, self.detail) if part)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, the inverse of `from_dict`."""
        return {
            "verifier": self.verifier, "outcome": self.outcome, "score": self.score, "evidence": dict(self.evidence),
            "detail": self.detail, "tier": self.tier, "version": self.version,
        }  # fmt: skip

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Verdict:
        """A verdict from `as_dict`."""
        return Verdict(**data)


def decide(verdicts: list[Verdict]) -> str | None:
    """The drop reason of a row with these verdicts, or None when it is kept.

    All pass keeps; any fail drops with the first fail; otherwise the first unknown drops.
    """
    for outcome in (FAIL, UNKNOWN):
        for verdict in verdicts:
            if verdict.outcome == outcome:
                return verdict.reason
    return None
