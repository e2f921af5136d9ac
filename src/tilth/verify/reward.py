"""A reward model as judge: a local model with a head for sequences scores answers, or tells which of two it likes better.

A reward has no scale of its own: a threshold for single answers comes from labels (`--labels`), a pair needs none. Rewards
rise with length in many models; `tilth verify` shows the correlation. Knows no training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.rows.text import last_assistant, prompt_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.heads import Head, softmax
from tilth.verify.judge import pair_missing, side
from tilth.verify.judging import answer_missing
from tilth.verify.verifier import Ask

VERSION = "1"


@dataclass(frozen=True, slots=True)
class RewardVerifier:
    """A reward model scores `completion`, or `chosen` and `rejected`; a row passes from `least` on, or when chosen leads.

    Args:
        model: ``hf:FOLDER`` of a sequence classification model.
        least: the smallest passing reward of a single answer; without it single answers are scored and stay unknown.
        margin: a pair passes when chosen leads by more than this; a smaller lead either way is unknown.
        label: for models with several outputs, the name of the one whose probability is the reward.
    """

    model: str = ""
    least: float | None = None
    margin: float = 0.0
    label: str = ""
    head: Head | None = field(init=False, repr=False, compare=False, default=None)
    id: ClassVar[str] = "reward"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("reward needs a model", todo="--set model=hf:FOLDER")
        for name, number in (("least", self.least), ("margin", self.margin)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
                raise UsageError(f"reward: {name}={number} is not a number", todo="give a number")
        if self.margin < 0:
            raise UsageError(f"reward: margin={self.margin} is below 0", todo="give 0 or more")
        object.__setattr__(self, "head", Head(self.model))

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        return pair_missing(row) if {"chosen", "rejected"} & set(row) else answer_missing(row)

    def rewards(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """The reward of each (prompt, answer); None for one that does not fit the model.

        Raises:
            UsageError: the model has several outputs and `label` names none of them.
        """
        head = self.head
        assert head is not None
        names = head.labels
        if len(names) > 1 and self.label.lower() not in names:
            raise UsageError(
                f"the model has {len(names)} outputs",
                where=self.model,
                todo=f"--set label=NAME, one of {', '.join(names)}",
            )
        at = names.index(self.label.lower()) if len(names) > 1 else 0
        outputs = head.outputs([head.conversation(*pair) for pair in pairs])
        return [None if o is None else float(o[0] if len(o) == 1 else softmax(o)[at]) for o in outputs]

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """pass or fail by reward; unknown with ``no-answer``, ``long``, ``no-threshold`` or, of a pair, ``close``.

        The score is the reward, or the lead of chosen.
        """
        texts: list[tuple[str, str]] = []
        for row in rows:
            prompt = prompt_text(row) or ""
            answers = [side(row["chosen"]), side(row["rejected"])] if "chosen" in row else [last_assistant(row) or ""]
            texts += [(prompt, answer) for answer in answers]
        found = iter(zip(texts, self.rewards(texts), strict=True))
        verdicts = []
        for row in rows:
            if "chosen" in row:
                verdicts.append(self._pair(next(found), next(found)))
            else:
                verdicts.append(self._single(*next(found)))
        return verdicts

    def _single(self, text: tuple[str, str], reward: float | None) -> Verdict:
        if not text[1].strip() or reward is None or not math.isfinite(reward):
            return Verdict(self.id, UNKNOWN, None, {}, "no-answer" if not text[1].strip() else "long", version=VERSION)
        evidence = {"least": self.least, "characters": len(text[1])}
        if self.least is None:
            return Verdict(self.id, UNKNOWN, reward, evidence, "no-threshold", version=VERSION)
        return Verdict(self.id, PASS if reward >= self.least else FAIL, reward, evidence, version=VERSION)

    def _pair(
        self, chosen: tuple[tuple[str, str], float | None], rejected: tuple[tuple[str, str], float | None]
    ) -> Verdict:
        (_, a), (_, b) = chosen[0], rejected[0]
        if chosen[1] is None or rejected[1] is None or not a.strip() or not b.strip():
            detail = "long" if a.strip() and b.strip() else "no-answer"
            return Verdict(self.id, UNKNOWN, None, {}, detail, version=VERSION)
        lead = chosen[1] - rejected[1]
        evidence = {"chosen": chosen[1], "rejected": rejected[1], "longer": len(a) - len(b)}
        if abs(lead) <= self.margin:
            return Verdict(self.id, UNKNOWN, lead, evidence, "close", version=VERSION)
        return Verdict(self.id, PASS if lead > 0 else FAIL, lead, evidence, version=VERSION)
