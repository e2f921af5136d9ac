"""rejection-sampling: k rationales to each problem; those that reach the known answer by a new route are kept.

1. Ask for `k` worked solutions.
2. Put aside replies that were cut off, and those whose final answer is wrong or cannot be read.
3. Of the right ones keep one for each distinct list of equations (Yuan et al.: many samples repeat one derivation in
   other words); a rationale without equations counts by its words.
4. Keep at most `cap` a problem, so that easy problems do not crowd out hard ones.

Source: Yuan et al. 2023, "Scaling Relationship on Learning Mathematical Reasoning with Large Language Models", section 3.3
(rejection-sampling fine-tuning); the cap is ReST-EM's (Singh et al. 2023). A right answer may still stand on wrong steps:
`--set steps=true` also drops rationales in which a written equation does not hold.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import decide
from tilth.verify.math import check_answer
from tilth.verify.steps import check_steps

TEMPERATURE = 0.7
"""Yuan et al. 2023, section 3.3: samples for rejection sampling are drawn at temperature 0.7."""
MAX_TOKENS = 1024
"""Ours: long enough for any GSM8K rationale; a longer one is cut and dropped."""

SOLVE = Prompt(
    "solve",
    """Work out the problem below. Write one short step a line, with its equation. End with a line that holds only the \
final answer, in the form
#### answer

Problem: {problem}""",
)

_EQUATION = re.compile(r"[-+*/×÷^().,\d\s$%]*\d[-+*/×÷^().,\d\s$%]*=\s*[-$]?[\d.,]+")
_CALCULATOR = re.compile(r"<<.*?>>")


def route(rationale: str) -> str:
    """What makes two rationales the same derivation: their equations in order, or their words where there is none."""
    text = _CALCULATOR.sub("", rationale)
    equations = [re.sub(r"[\s$,]", "", e).rstrip(".") for e in _EQUATION.findall(text)]
    return " ; ".join(equations) if equations else "words: " + " ".join(re.findall(r"\w+", text.lower()))


@recipe(
    "rejection-sampling",
    family="maths",
    cites=(
        "Yuan et al. 2023, Scaling Relationship on Learning Mathematical Reasoning with LLMs, arXiv:2308.01825",
        "Singh et al. 2023, Beyond Human Data (ReST-EM), arXiv:2312.06585",
    ),
    takes=("prompt", "answer"),
    makes=("prompt", "completion", "answer"),
    level=6,
    prompts=(SOLVE,),
)
async def rejection_sampling(
    row: Row,
    ctx: Context,
    *,
    k: int = 4,
    cap: int | None = None,
    distinct: bool = True,
    steps: bool = False,
    temperature: float = TEMPERATURE,
    max_tokens: int = MAX_TOKENS,
) -> AsyncIterator[Candidate]:
    """Sample k rationales, keep the distinct ones that reach the known answer."""
    asked = ctx.fill(SOLVE, problem=row["prompt"])
    seen: dict[str, str] = {}
    for reply in await ctx.sample("generator", asked, k, temperature=temperature, max_tokens=max_tokens):
        text = reply.text.strip()
        verdicts = [check_answer(text, row["answer"])]
        if steps and verdicts[0].passed:
            verdicts.append(check_steps(text))
        made = ctx.make({**row, "completion": text}, of=row, by=reply, verdicts=verdicts)
        reason = decide([v for v in verdicts if v.verifier == "math" or v.outcome == "fail"])
        way = route(text)
        if reply.cut:
            ctx.drop(made, "reply:cut")
        elif reason is not None:
            ctx.drop(made, reason)
        elif distinct and way in seen:
            ctx.drop(made, "distinct:same-route" if text != seen[way] else "distinct:same-text")
        elif cap is not None and len(seen) >= cap:
            ctx.drop(made, "cap:reached")
        else:
            seen[way] = text
            yield made
