"""Several judges over the same rows, joined by a vote, by their mean, or by Dawid and Skene's model of who can be trusted.

More judges are not better by themselves: three weak ones can outvote a good one. Where labels are known, the verb shows each
way to join beside the best single judge. Knows no model; it is given `ask`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tilth.errors import UsageError, did_you_mean
from tilth.rows.row import Row
from tilth.rows.text import last_assistant, prompt_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.judge import HIGH, LOW, RUBRIC, compare, pair_missing, score, side
from tilth.verify.judging import Asking, AskingVerifier, Tally, answer_missing, checked
from tilth.verify.verifier import Ask
from tilth.verify.votes import dawid_skene, vote

VERSION = "1"
JOINS = ("majority", "mean", "dawid-skene")
LEAST_JUDGES = {"majority": 2, "mean": 2, "dawid-skene": 3}
"""Two judges' error rates cannot be told apart from their labels alone; three can (Dawid and Skene 1979)."""


@dataclass(frozen=True, slots=True)
class PanelVerifier(AskingVerifier):
    """Several models judge each row: its `completion` from 1 to 5, or its `chosen` against `rejected` in both orders.

    Args:
        judges: roles, each bound to a model; by default all that the command line binds.
        join: ``majority`` of passes and fails, ``mean`` of the scores, or ``dawid-skene``.
        least: the smallest passing score, of a judge or of the mean.
        rubric: what the numbers mean.
        temperature: of the judges.
        retries: fresh draws after a reply that cannot be read.
        structured: ask for JSON after a schema rather than for a last line.
        parallel: rows at a time.
    """

    judges: Sequence[str] = ()
    join: str = "majority"
    least: float = 4
    rubric: str = RUBRIC
    temperature: float = 0.0
    retries: int = 2
    structured: bool = True
    parallel: int = 8
    id: ClassVar[str] = "panel"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        checked(self.id, self.temperature, self.retries, self.parallel)
        if self.join not in JOINS:
            raise UsageError(f"panel: no way to join is called '{self.join}'", todo=did_you_mean(self.join, JOINS))
        if not isinstance(self.least, int | float) or not LOW <= self.least <= HIGH:
            raise UsageError(f"panel: least={self.least} is off the scale", todo=f"give a number from {LOW} to {HIGH}")
        if isinstance(self.judges, str) or len(set(self.judges)) < LEAST_JUDGES[self.join]:
            raise UsageError(
                f"panel: {self.join} needs {LEAST_JUDGES[self.join]} judges or more",
                todo="bind them by name: --role first=SPEC --role second=SPEC --role third=SPEC",
            )

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        return pair_missing(row) if {"chosen", "rejected"} & set(row) else answer_missing(row)

    async def judge(self, row: Row, ask: Ask) -> Verdict:
        """What each judge says, as evidence; joined over all rows by `verify_rows`."""
        pair = "chosen" in row
        if not pair and not (last_assistant(row) or "").strip():
            return Verdict(self.id, UNKNOWN, None, {}, "no-answer", version=VERSION)
        tally, said = Tally(), {}
        for name in self.judges:
            how = Asking(name, self.retries, self.structured, {"temperature": self.temperature})
            if pair:
                both = await compare(
                    ask, prompt_text(row) or "", side(row["chosen"]), side(row["rejected"]), how=how, tally=tally
                )
                said[name] = None if both[0] is None or both[1] is None else (both[0] + both[1]) / 2
            else:
                said[name] = await score(
                    ask, prompt_text(row) or "", last_assistant(row) or "", rubric=self.rubric,
                    reference=str(row.get("reference") or ""), how=how, tally=tally,
                )  # fmt: skip
        return Verdict(
            self.id, UNKNOWN, None, {"judges": said, "pair": pair, **tally.as_dict()}, "unparsed", version=VERSION
        )

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """pass or fail as the judges say together; unknown with ``no-answer``, ``unparsed`` (nobody, or for the mean at
        most half of them, could be read) or ``tie``. The score is the share of passes, the mean, or the probability of a
        pass. Evidence: what each judge said.

        Raises:
            UsageError: there is nobody to ask.
        """
        verdicts = await AskingVerifier.verify_rows(self, rows, ask)
        table = [self.labels(v) for v in verdicts]
        if self.join == "mean":
            return [self._mean(v) for v in verdicts]
        if self.join == "majority":
            # Half of all judges, the silent ones included: one that speaks alone is no majority.
            named = vote(table)
            joined = [
                n if n and 2 * row.count(str(n)) > len(row) else None for n, row in zip(named, table, strict=True)
            ]
            shares = [
                sum(x == PASS for x in row) / n if (n := sum(x is not None for x in row)) else None for row in table
            ]
        else:
            model = dawid_skene(table)
            spoken = [any(x is not None for x in row) for row in table]
            joined = [best if heard else None for best, heard in zip(model.best, spoken, strict=True)]
            at = model.labels.index(PASS) if PASS in model.labels else None
            shares = [
                None if not heard else 0.0 if at is None else round(float(row[at]), 6)
                for row, heard in zip(model.posterior, spoken, strict=True)
            ]
        return [
            self._joined(v, label, share, row)
            for v, label, share, row in zip(verdicts, joined, shares, table, strict=True)
        ]

    def labels(self, verdict: Verdict) -> list[str | None]:
        """Each judge's pass or fail; None where a judge was not read or does not decide."""
        said: Mapping[str, float | None] = verdict.evidence.get("judges") or {}
        if verdict.evidence.get("pair"):
            words = [
                {1.0: PASS, 0.0: FAIL}.get(s) if (s := said.get(name)) is not None else None for name in self.judges
            ]
            return list(words)
        scores = [said.get(name) for name in self.judges]
        return [None if s is None else PASS if s >= self.least else FAIL for s in scores]

    def _joined(self, verdict: Verdict, label: Any, share: float | None, row: Sequence[str | None]) -> Verdict:
        if label not in (PASS, FAIL):
            detail = verdict.detail if 2 * sum(x is not None for x in row) <= len(row) else "tie"
            return Verdict(self.id, UNKNOWN, share, verdict.evidence, detail, version=VERSION)
        return Verdict(self.id, label, share, verdict.evidence, version=VERSION)

    def _mean(self, verdict: Verdict) -> Verdict:
        said = [s for s in (verdict.evidence.get("judges") or {}).values() if s is not None]
        if 2 * len(said) <= len(self.judges):
            return verdict
        mean = sum(said) / len(said)
        if verdict.evidence.get("pair"):
            outcome = PASS if mean > 0.5 else FAIL if mean < 0.5 else UNKNOWN
        else:
            outcome = PASS if mean >= self.least else FAIL
        return Verdict(self.id, outcome, mean, verdict.evidence, "tie" if outcome == UNKNOWN else "", version=VERSION)
