"""What several maths methods share: solve a problem that has no known answer by a vote, and read a rationale's steps.

Knows no method and writes no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.maths.rejection_sampling import SOLVE
from tilth.recipes.maths.self_consistency import vote
from tilth.recipes.recipe import Context
from tilth.rows.verdict import Verdict
from tilth.verify.agreement import majority
from tilth.verify.math import canonical, final_answer


@dataclass(frozen=True, slots=True)
class Solved:
    """What a vote over samples says of a problem.

    Args:
        reply: the first sample that reaches the voted answer; the first sample when there is no such answer.
        answer: the voted answer, or an empty string.
        verdict: pass when the vote names an answer with enough samples behind it.
        replies: all samples.
    """

    reply: Reply
    answer: str
    verdict: Verdict
    replies: Sequence[Reply]


async def solve_by_vote(
    ctx: Context, problem: str, samples: int, least: float, *, role: str = "generator", **sampling: Any
) -> Solved:
    """Solve a problem `samples` times and let the final answers vote.

    Args:
        ctx: the run.
        problem: the problem's text.
        samples: how many solutions.
        least: the smallest share of samples that settles the answer.
        role: who solves.
        sampling: temperature and the like.
    """
    replies = await ctx.sample(role, ctx.fill(SOLVE, problem=problem), samples, **sampling)
    answers = [None if r.cut else final_answer(r.text) for r in replies]
    found = majority(answers)
    first = next((i for i, a in enumerate(answers) if a is not None and canonical(a) == found.key), None)
    if first is None:
        named = next((a for a in answers if a is not None), None)
        return Solved(replies[0], "", vote(found, named, least), replies)
    return Solved(replies[first], answers[first] or "", vote(found, answers[first], least), replies)


def solution_steps(rationale: str) -> list[str]:
    """The steps of a rationale: its lines that are not blank, the line of the final answer included."""
    return [line.strip() for line in rationale.splitlines() if line.strip()]
