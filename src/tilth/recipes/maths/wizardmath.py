"""wizardmath: maths problems evolved upwards and downwards, solved by consensus, with rewards for problem and steps.

In each of `turns` turns
1. a direction is drawn: up (one more condition or step, more concrete) or down (an easier problem, or an easier one of
   another topic);
2. `width` rewrites are asked for; one that is nearly unchanged or gives its own answer away is put aside;
3. each is solved `samples` times: without a consensus it counts as unsolvable and is put aside;
4. with a judge, the rewrites are ranked (`irm`, 1 for the best) and every step of the solution gets a label (`prm`, 1
   when no step is wrong, else 0); `reward` is their product, as in the paper's reinforcement learning;
5. the best survivor stands for the problem in the next turn; without survivors the problem stays as it was.

Source: Luo et al. 2023, "WizardMath: Empowering Mathematical Reasoning for LLMs via Reinforced Evol-Instruct", section
2. The paper trains two reward models and PPO on this data; ours writes the data. Ours solves by consensus of one model
where the paper takes a strong model's word, and a step whose equation does not hold is wrong whatever the judge says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.asked import fault
from tilth.recipes.maths.rejection_sampling import SOLVE
from tilth.recipes.maths.solving import Solved, solution_steps, solve_by_vote
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.select.novelty import rouge_l
from tilth.verify.numbers import tokens
from tilth.verify.parse import final_order, numbered_items
from tilth.verify.replies import is_refusal
from tilth.verify.steps import equations
from tilth.verify.stepwise import is_final

TURNS = 8
"""Turns of evolution (Luo et al. 2023, section 2.2: 15 K problems become 96 K; recalled)."""
UNCHANGED = 0.95
"""Ours: a rewrite with a higher ROUGE-L F to its parent has the same words in the same order; one number may differ."""
LABELS = ("good", "neutral", "wrong")
"""What a judge may say of a step; neutral counts as right, as in Lightman et al. 2023."""

HARDER = Prompt(
    "harder",
    """Make the maths problem below somewhat harder: add a condition or one more step of calculation, or put something \
concrete in the place of something general. It must have exactly one answer that a person can work out from what it \
says. Do not solve it. Write the new problem and nothing else.

Problem: {problem}""",
)
EASIER = Prompt(
    "easier",
    """Make the maths problem below easier: take away a condition or a step of calculation, or write an easier problem \
about something else. It must have exactly one answer that a person can work out from what it says. Do not solve it. \
Write the new problem and nothing else.

Problem: {problem}""",
)
RANK = Prompt(
    "rank",
    """Which of these maths problems is best made? A well-made problem is clear, says everything that is needed, does \
not contradict itself, and has one answer.

{problems}

Give a short reason for each, then one last line that holds only the numbers from best to worst, like: 2 > 1 > 3""",
)
LABEL_STEPS = Prompt(
    "label_steps",
    """Check the solution step by step. Call a step good when it is right and gets closer to the answer, neutral when \
it is right but gets no closer, wrong when it is wrong or rests on a wrong step.

Problem: {problem}

Solution:
{steps}

Write a numbered list with one word for each of the {count} steps: good, neutral or wrong. Write nothing else.""",
)
DIRECTIONS = {"up": HARDER, "down": EASIER}


@dataclass(frozen=True, slots=True)
class Evolved:
    """A rewrite with all that was found out about it; `reason` is None when it survives."""

    text: str
    by: tuple[Reply, ...]
    reason: str | None
    solved: Solved | None = None
    labels: list[str] | None = None


def rewrite_problem(text: str, parent: str) -> str | None:
    """Why a rewrite is put aside before it is solved, or None."""
    if is_refusal(text):
        return "rewrite:refusal"
    if text == parent or (rouge_l(text, parent) > UNCHANGED and tokens(text) == tokens(parent)):
        return "rewrite:unchanged"
    return "rewrite:answer-leaked" if any(is_final(line) for line in text.splitlines()) else None


def labels_of(text: str, steps: str) -> list[str] | None:
    """The judge's labels, a step with an equation that does not hold being wrong in any case.

    Args:
        text: what the judge wrote.
        steps: the solution.

    Returns:
        One label a step, or None when the judge did not give exactly one readable label for each.
    """
    said = [item.strip(" .*`").lower() for item in numbered_items(text)]
    if len(said) != len(solution_steps(steps)) or any(one not in LABELS for one in said):
        return None
    false = {e.step for e in equations(steps) if not e.right}
    return ["wrong" if i in false else one for i, one in enumerate(said)]


@recipe(
    "wizardmath",
    family="maths",
    cites=("Luo et al. 2023, WizardMath: Reinforced Evol-Instruct, arXiv:2308.09583",),
    takes=("prompt",),
    makes=(
        "prompt", "completion", "answer", "parent", "turn", "direction", "steps", "step_labels", "irm", "prm", "reward",
    ),
    optional_roles=("judge",),
    prompts=(HARDER, EASIER, SOLVE, RANK, LABEL_STEPS),
)  # fmt: skip
async def wizardmath(
    row: Row,
    ctx: Context,
    *,
    turns: int = TURNS,
    directions: str = "up down",
    width: int = 2,
    samples: int = 3,
    least: float = 0.6,
    temperature: float = 0.7,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Evolve a maths problem up and down; keep what several solutions agree on, with rewards where a judge is bound."""
    ways = directions.replace(",", " ").split()
    if wrong := next((w for w in ways if w not in DIRECTIONS), None):
        raise UsageError(f"no direction '{wrong}'", where="--set directions", todo=did_you_mean(wrong, DIRECTIONS))
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    parent, problem = row, str(row["prompt"]).strip()
    known = {problem}

    async def evolve(item: tuple[Reply, bool], branch: Context) -> Evolved:
        reply, repeated = item
        text = reply.text.strip()
        reason = fault(reply) or rewrite_problem(text, problem) or ("rewrite:repeated" if repeated else None)
        if reason:
            return Evolved(text, (reply,), reason)
        solved = await solve_by_vote(branch, text, samples, least, **sampling)
        wanted = solved.verdict.passed and "judge" in ctx.roles
        labels, said = await _labelled(branch, text, solved.reply.text) if wanted else (None, ())
        reason = None if solved.verdict.passed else solved.verdict.reason
        return Evolved(text, (*said, reply, *solved.replies), reason, solved, labels)

    for turn in range(1, turns + 1):
        way = ctx.rng("direction", turn).choice(ways)
        rewrites = await ctx.sample("generator", ctx.fill(DIRECTIONS[way], problem=problem), width, **sampling)
        texts = [r.text.strip() for r in rewrites]
        repeated = [text in known or text in texts[:i] for i, text in enumerate(texts)]
        known.update(texts)
        found = await ctx.each(list(zip(rewrites, repeated, strict=True)), evolve, name=f"turn-{turn}")
        irm, ranking = await _ranked(ctx, [e.text for e in found if e.reason is None])
        best: Candidate | None = None
        for item in found:
            solved = item.solved
            columns = {**row, "prompt": item.text, "parent": problem, "turn": turn, "direction": way}
            columns["completion"] = solved.reply.text.strip() if solved else ""
            columns["answer"] = solved.answer if solved else ""
            columns |= {"steps": solution_steps(columns["completion"]), "step_labels": item.labels}
            columns["irm"] = None if item.reason else irm.pop(0)
            columns["prm"] = None if item.labels is None else float("wrong" not in item.labels)
            columns["reward"] = None if None in (columns["irm"], columns["prm"]) else columns["irm"] * columns["prm"]
            verdicts = [solved.verdict] if solved else []
            made = ctx.make(columns, of=parent, by=[*ranking, *item.by], verdicts=verdicts, round=turn)
            if item.reason:
                ctx.drop(made, item.reason)
                continue
            yield made
            if best is None or (made["irm"] or 0) > (best["irm"] or 0):
                best = made
        if best is not None:
            parent, problem = best, best["prompt"]


async def _ranked(ctx: Context, problems: list[str]) -> tuple[list[float | None], list[Reply]]:
    """Rewards for problems by the judge's ranking, 1 for the best of n and 1/n for the last; None when unknown."""
    if "judge" not in ctx.roles or not problems:
        return [None] * len(problems), []
    if len(problems) == 1:
        return [1.0], []
    shown = "\n\n".join(f"Problem {i}:\n{text}" for i, text in enumerate(problems, 1))
    reply = await ctx.ask("judge", ctx.fill(RANK, problems=shown), temperature=0.0)
    order = None if reply.cut else final_order(reply.text, len(problems))
    if order is None:
        ctx.note("rankings unread", 1)
        return [None] * len(problems), [reply]
    return [1 - order.index(i) / len(problems) for i in range(len(problems))], [reply]


async def _labelled(ctx: Context, problem: str, solution: str) -> tuple[list[str] | None, tuple[Reply, ...]]:
    steps = solution_steps(solution)
    shown = "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1))
    asked = ctx.fill(LABEL_STEPS, problem=problem, steps=shown, count=len(steps))
    reply = await ctx.ask("judge", asked, temperature=0.0)
    labels = None if reply.cut else labels_of(reply.text, solution)
    if labels is None:
        ctx.note("step labels unread", 1)
    return labels, (reply,)
