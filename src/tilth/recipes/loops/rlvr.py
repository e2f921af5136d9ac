"""rlvr: problems that reinforcement learning from a checker can learn from, with what the checker needs.

1. The model writes `samples` answers to each problem, and the check says which are right.
2. Kept are problems that it solves sometimes: at least `low` and at most `high` of the answers right. One that is always or
   never solved gives a group of equal rewards, and so no gradient (GRPO's advantage is the distance from the group's mean).

Nothing is trained here: `tilth export DIR --format grpo` writes the problems, their answers or tests, and a configuration
for `trl grpo` whose rewards are the functions of `tilth.verify.rewards`.

Source: Shao et al. 2024, "DeepSeekMath", section 4.1 (GRPO); Yu et al. 2025, "DAPO", section 3.2, for leaving out groups
that are all right or all wrong. Theirs is decided anew at every step, ours once, before the training.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tilth.recipes.loops.rounds import ASK, asked, checker, verdicts
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS


@recipe(
    "rlvr",
    family="loops",
    cites=(
        "Shao et al. 2024, DeepSeekMath, arXiv:2402.03300",
        "Yu et al. 2025, DAPO: An Open-Source LLM Reinforcement Learning System at Scale, arXiv:2503.14476",
    ),
    takes=("prompt", "answer|tests"),
    makes=("prompt", "answer|tests", "pass_rate"),
    roles=("target",),
    level=6,
    prompts=(ASK,),
)
async def rlvr(
    row: Row,
    ctx: Context,
    *,
    samples: int = 8,
    low: float = 0.1,
    high: float = 0.9,
    check: str = "",
    temperature: float = 1.0,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Keep problems that the model solves sometimes, with its pass rate (`check` is maths, or code where there are tests)."""
    judge = checker(check or ("code" if row.get("tests") else "maths"))
    replies = await ctx.sample("target", asked(ctx, row), samples, temperature=temperature, max_tokens=max_tokens)
    said = (await verdicts(ctx, judge, [row], [replies]))[0]
    rate = sum(v.outcome == PASS for v in said) / samples
    columns = {**{k: v for k, v in row.items() if k != "completion"}, "prompt": asked(ctx, row), "pass_rate": rate}
    made = ctx.make(columns, of=row, by=replies)
    if rate < low:
        ctx.drop(made, "rlvr:too-hard")
    elif rate > high:
        ctx.drop(made, "rlvr:too-easy")
    else:
        yield made
