"""What facts and self-checks share: claims of a completion are held against texts by a judge or a model of entailment.

Knows no prompt, and not what the texts are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.rows.verdict import Verdict
from tilth.verify.entailment import Entailment
from tilth.verify.judging import AskingVerifier, checked
from tilth.verify.verifier import Ask


@dataclass(frozen=True, slots=True)
class ComparingVerifier(AskingVerifier):
    """A verifier whose rows have a completion and a column of texts to hold it against.

    Args:
        nli: ``hf:FOLDER`` of a model of entailment; then no judge is asked.
        temperature: of the judge.
        retries: fresh draws after a reply that cannot be read.
        structured: ask for JSON after a schema rather than for plain text.
        parallel: rows at a time.
    """

    nli: str = ""
    temperature: float = 0.0
    retries: int = 2
    structured: bool = True
    parallel: int = 8
    entailment: Entailment | None = field(init=False, repr=False, compare=False, default=None)
    against: ClassVar[str]
    """The column of texts."""
    bound: ClassVar[str]
    """The setting that is the share from which, or up to which, a row passes."""

    def __post_init__(self) -> None:
        checked(self.id, self.temperature, self.retries, self.parallel)
        share = getattr(self, self.bound)
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise UsageError(f"{self.id}: {self.bound}={share} is not a share", todo="give a number from 0 to 1")
        if self.nli:
            object.__setattr__(self, "entailment", Entailment(self.nli))

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if "completion" not in row and "messages" not in row:
            return "completion"
        return None if self.against in row else self.against

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """See `judge`; without a judge when there is a model of entailment."""
        return await AskingVerifier.verify_rows(self, rows, _nobody if ask is None and self.entailment else ask)


async def _nobody(*_: Any, **__: Any) -> Any:
    """An `ask` that is never called."""
    raise AssertionError("no model is asked")
