"""Whether further samples of the same model agree with an answer, sentence by sentence.

Source: SelfCheckGPT (Manakul et al. 2023, arXiv:2303.08896). A fact that a model is confidently wrong about agrees with itself:
this cannot see it. Who compares is a judge, given as `ask`, or a local model of entailment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilth.rows.row import Row
from tilth.rows.text import last_assistant
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.comparing import ComparingVerifier
from tilth.verify.facts import MAX_CLAIMS, support
from tilth.verify.judging import Asking, Tally
from tilth.verify.segments import sentences
from tilth.verify.verifier import Ask

VERSION = "2"
POINTS = {"supported": 0.0, "contradicted": 1.0, "open": 0.5}
"""SelfCheckGPT's scores of a sample (section 5.5)."""


def disagreement(said: Sequence[str | None]) -> float | None:
    """SelfCheckGPT's score of a sentence: 0 for each sample that supports it, 1 for each that contradicts it, else .5; mean.

    Args:
        said: what was said of the sentence against each sample; None for silence.

    Returns:
        From 0 to 1, or None when nothing was said.
    """
    points = [POINTS[s] for s in said if s is not None]
    return sum(points) / len(points) if points else None


@dataclass(frozen=True, slots=True)
class SelfCheckVerifier(ComparingVerifier):
    """A row passes when its completion's sentences agree with other `samples` of answers to the same prompt.

    Args:
        most: the largest mean disagreement, from 0 to 1.
        nli: ``hf:FOLDER`` of a model of entailment; then no judge is asked.
        temperature: of the judge.
        retries: fresh draws after a reply that cannot be read.
        structured: ask for JSON after a schema rather than for a last line.
        parallel: rows at a time.
    """

    most: float = 0.5
    id: ClassVar[str] = "selfcheck"
    version: ClassVar[str] = VERSION
    against: ClassVar[str] = "samples"
    bound: ClassVar[str] = "most"

    async def judge(self, row: Row, ask: Ask) -> Verdict:
        """pass or fail by the mean over sentences, which is the score; unknown with ``no-answer`` or ``unparsed``."""
        parts = sentences(last_assistant(row) or "")[:MAX_CLAIMS]
        samples = [str(s) for s in row["samples"] or ()]
        if not parts or not samples:
            return Verdict(self.id, UNKNOWN, None, {}, "no-answer", version=VERSION)
        tally = Tally()
        how = Asking(retries=self.retries, structured=self.structured, sampling={"temperature": self.temperature})
        scores: list[float | None] = []
        for part in parts:
            if self.entailment is not None:
                scores.append(disagreement([self.entailment.said(part, sample) for sample in samples]))
            else:
                scores.append(disagreement([await support(ask, part, s, how=how, tally=tally) for s in samples]))
        evidence = {"sentences": scores, **(tally.as_dict() if tally.replies else {})}
        tier = "entailment" if self.entailment else ""
        known = [s for s in scores if s is not None]
        if len(known) < len(scores):
            return Verdict(self.id, UNKNOWN, None, evidence, "unparsed", tier, version=VERSION)
        mean = sum(known) / len(known)
        return Verdict(self.id, PASS if mean <= self.most else FAIL, mean, evidence, "", tier, version=VERSION)
