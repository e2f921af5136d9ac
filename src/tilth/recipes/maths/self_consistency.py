"""self-consistency: rationales to problems without a known answer, kept when most samples agree with them.

1. Ask for `k` worked solutions.
2. The answer that most samples reach is the vote; its share is the confidence.
3. One row a problem, the first sample: kept when it reaches the voted answer and the share is at least `least`, put aside
   when it does not, and put aside as unknown when there is no answer or no majority.

Source: Wang et al. 2023, "Self-Consistency Improves Chain of Thought Reasoning", sections 2 and 3.1; used to make training
data by Huang et al. 2023, "Large Language Models Can Self-Improve", section 3. The vote is no truth: a confident wrong
majority passes. `tilth audit` measures how often.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tilth.recipes.maths.rejection_sampling import MAX_TOKENS, SOLVE
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.agreement import Majority, majority
from tilth.verify.math import canonical, final_answer

TEMPERATURE = 0.7
"""Huang et al. 2023, section 3.1, and Wang et al. 2023, section 3.1 (0.5 to 0.7 by model)."""
LEAST = 0.5
"""Ours: a vote needs half the samples; Huang et al. keep any majority."""


@recipe(
    "self-consistency",
    family="maths",
    cites=(
        "Wang et al. 2023, Self-Consistency Improves Chain of Thought Reasoning in Language Models, arXiv:2203.11171",
        "Huang et al. 2023, Large Language Models Can Self-Improve, arXiv:2210.11610",
    ),
    takes=("prompt",),
    makes=("prompt", "completion"),
    prompts=(SOLVE,),
)
async def self_consistency(
    row: Row,
    ctx: Context,
    *,
    k: int = 5,
    least: float = LEAST,
    plain: bool = False,
    temperature: float = TEMPERATURE,
    max_tokens: int = MAX_TOKENS,
) -> AsyncIterator[Candidate]:
    """Keep a rationale when most of k samples reach its answer (`plain`: the problem alone is the prompt)."""
    asked = row["prompt"] if plain else ctx.fill(SOLVE, problem=row["prompt"])
    replies = await ctx.sample("generator", asked, k, temperature=temperature, max_tokens=max_tokens)
    answers = [None if r.cut else final_answer(r.text) for r in replies]
    verdict = vote(majority(answers), answers[0], least)
    made = ctx.make({**row, "completion": replies[0].text.strip()}, of=row, by=replies, verdicts=[verdict])
    if verdict.passed:
        yield made
    else:
        ctx.drop(made, "reply:cut" if replies[0].cut else verdict.reason)


def vote(found: Majority, answer: str | None, least: float) -> Verdict:
    """What the vote says of one sample's answer."""
    evidence = {"majority": found.answer, "share": found.share, "counts": [list(pair) for pair in found.counts]}
    if answer is None:
        return Verdict("agreement", UNKNOWN, found.share, evidence, "no-answer")
    if found.key is None or found.share < least:
        return Verdict("agreement", UNKNOWN, found.share, evidence, "no-majority")
    return Verdict("agreement", PASS if canonical(answer) == found.key else FAIL, found.share, evidence)
