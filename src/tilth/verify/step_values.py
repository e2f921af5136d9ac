"""What a step is worth, found without people: continue from every prefix of a solution and see how often it ends right.

Source: Wang et al. 2023, "Math-Shepherd", arXiv:2312.08935, section 3.3. A value says as much of the model that continues as
of the step: where it cannot solve the problem at all, nothing is said of the steps. Knows no model; it is given `ask`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import UNKNOWN, Verdict
from tilth.verify.judging import AskingVerifier, checked
from tilth.verify.math import check_answer
from tilth.verify.steps import equations
from tilth.verify.stepwise import doubt_of, is_final, solution_scores, step_verdict, steps_missing, steps_of
from tilth.verify.verifier import Ask

VERSION = "1"
ROLLOUTS = 8
"""Continuations of a prefix (Math-Shepherd, section 3.3; recalled)."""
TAU = 0.5
"""Ours: from this value on a step counts as good rather than neutral."""

CONTINUE = """Somebody began to work out the problem below. Go on from where the work stops, one short step a line, without \
repeating it. End with a line that holds only the final answer, in the form
#### answer

Problem: {problem}

Work so far:
{steps}"""


async def value_of(
    ask: Ask, problem: str, steps: Sequence[str], answer: Any, *, rollouts: int = ROLLOUTS, role: str = "generator",
    **sampling: Any,
) -> float | None:  # fmt: skip
    """The share of continuations from these steps that end with the right answer.

    Args:
        ask: who continues.
        problem: its text.
        steps: the prefix; none for a start from the problem alone.
        answer: the right final answer.
        rollouts: how many continuations.
        role: whom to ask.
        sampling: temperature and the like.

    Returns:
        From 0 to 1, or None when no continuation came to an answer that could be read.
    """
    words = CONTINUE.format(problem=problem, steps="\n".join(steps) or "(nothing yet)")
    replies = await asyncio.gather(*(ask(role, words, **sampling) for _ in range(rollouts)))
    told = [v for r in replies if not r.cut and (v := check_answer(r.text, answer)).outcome != UNKNOWN]
    return sum(v.passed for v in told) / len(told) if told else None


@dataclass(frozen=True, slots=True)
class StepValuesVerifier(AskingVerifier):
    """A model (the role ``generator``) continues from each prefix; a row fails with the first step from which it never ends
    right, or whose arithmetic is wrong.

    Args:
        rollouts: continuations of each prefix.
        tau: from this value on a step is labelled 1, below it 0, at none -1.
        temperature: of the continuations.
        max_tokens: of a continuation.
        parallel: rows at a time.
    """

    rollouts: int = ROLLOUTS
    tau: float = TAU
    temperature: float = 0.7
    max_tokens: int = 1024
    parallel: int = 8
    id: ClassVar[str] = "step-values"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        checked(self.id, self.temperature, 0, self.parallel)
        if type(self.rollouts) is not int or self.rollouts < 1:
            raise UsageError(f"step-values: rollouts={self.rollouts} is not possible", todo="give 1 or more")
        if not isinstance(self.tau, int | float) or not 0 < self.tau <= 1:
            raise UsageError(f"step-values: tau={self.tau} is not possible", todo="give a share above 0, at most 1")

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        return steps_missing(row) or (None if "answer" in row else "answer")

    async def judge(self, row: Row, ask: Ask) -> Verdict:
        """pass, or fail with the first step of value 0; unknown with ``no-answer``, ``many-steps``, ``rollouts`` (no
        continuation could be read) or ``beyond-model`` (the model does not solve the problem from its start either).

        The score is the product of the values. Evidence: ``labels`` and ``values`` up to the first wrong step.
        """
        steps, problem = steps_of(row), prompt_text(row) or ""
        doubt = doubt_of(steps)
        if doubt:
            return Verdict(self.id, UNKNOWN, None, {"steps": len(steps)}, doubt, version=VERSION)
        sampling: dict[str, Any] = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        values: list[float] = []
        for i, step in enumerate(steps):
            if any(not e.right for e in equations(step)):
                values.append(0.0)
                break
            if i == len(steps) - 1 or is_final(step):
                ends = check_answer("\n".join(steps[: i + 1]), row["answer"])
                if ends.outcome == UNKNOWN:
                    return Verdict(self.id, UNKNOWN, None, {"values": values}, "no-answer", version=VERSION)
                values.append(float(ends.passed))
                if not ends.passed or i == len(steps) - 1:
                    break
                continue
            value = await value_of(ask, problem, steps[: i + 1], row["answer"], rollouts=self.rollouts, **sampling)
            if value is None:
                return Verdict(self.id, UNKNOWN, None, {"values": values}, "rollouts", version=VERSION)
            if value == 0 and not values:
                start = await value_of(ask, problem, [], row["answer"], rollouts=self.rollouts, **sampling)
                if not start:
                    return Verdict(self.id, UNKNOWN, None, {"values": [0.0]}, "beyond-model", version=VERSION)
            values.append(value)
            if value == 0:
                break
        labels = [-1 if v == 0 else 1 if v >= self.tau else 0 for v in values]
        found = solution_scores(values)
        evidence = {"values": [round(v, 6) for v in values], **found}
        return step_verdict(self.id, VERSION, labels, steps, found["product"], evidence)
