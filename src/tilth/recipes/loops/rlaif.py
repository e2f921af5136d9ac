"""rlaif: from a policy in words to a model that keeps it, without human labels: revise, fine-tune, compare, DPO.

1. Supervised stage: the model answers each prompt, criticises its answer by principles and revises it
   (`constitutional-ai`); it is fine-tuned on the last revisions. A role `critic`, when bound, criticises and revises.
2. Preference rounds: the fine-tuned model answers each prompt `k` times, the judge compares the answers two by two in both
   orders (`rlaif-pairs`), and DPO from the current model makes the next one.
3. After each stage a held-out set decides whether the new model stays.

Source: Bai et al. 2022, "Constitutional AI", sections 3 and 4; DPO takes the place of a preference model and PPO, as in
Lee et al. 2023, "RLAIF", where labels come from a model in both orders.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tilth.recipes.align.constitutional_ai import CHOOSE, CRITICISE, EXAMPLE, REVISE, THINK, constitutional_ai
from tilth.recipes.align.rlaif_pairs import COMPARE, CRITERION, LETTER, REASON, rlaif_pairs
from tilth.recipes.loops.loop import at_most, split
from tilth.recipes.loops.rounds import ASK, Rounds, checker, mean
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row

BETA = 0.1
"""Strength of DPO's pull towards its reference (Rafailov et al. 2023)."""


@recipe(
    "rlaif",
    family="loops",
    cites=(
        "Bai et al. 2022, Constitutional AI: Harmlessness from AI Feedback, arXiv:2212.08073",
        "Lee et al. 2023, RLAIF: Scaling RL from Human Feedback with AI Feedback, arXiv:2309.00267",
    ),
    takes=("prompt",),
    makes=("prompt", "completion|chosen", "rejected", "margin"),
    roles=("target", "judge"),
    trains=("target",),
    optional_roles=("critic",),
    pool=True,
    prompts=(ASK, CRITICISE, REVISE, CHOOSE, THINK, EXAMPLE, COMPARE, LETTER, REASON),
)
async def rlaif(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 1,
    revisions: int = 1,
    k: int = 2,
    per_prompt: int = 4,
    criterion: str = CRITERION,
    constitution: str | None = None,
    least_margin: float = 0.1,
    think: bool = False,
    held_out: float = 0.2,
    check: str = "maths",
    gate: str = "not-worse",
    patience: int = 1,
    temperature: float = 1.0,
    max_tokens: int = 1024,
    tuning: dict | None = None,  # type: ignore[type-arg]
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Fine-tune on revisions by principles, then DPO on the judge's preferences.

    Args:
        rows: prompts, with what the check reads where the gate is to mean something.
        ctx: the run.
        rounds: of preferences, at most, after the supervised one.
        revisions: of each answer; 0 leaves the supervised stage out.
        k: answers compared a prompt and round.
        per_prompt: pairs of one prompt and round, at most.
        criterion: what the judge goes by.
        constitution: principles in YAML, see constitutional-ai.
        least_margin: smallest margin of a pair.
        think: whether the judge gives its reasons first.
        held_out: share of the seeds that decides.
        check, gate, patience: see `tilth.recipes.loops`.
        temperature, max_tokens: sampling.
        tuning, training: settings of the fine-tuning and of DPO.
    """
    work, held = split(rows, held_out, ctx)
    stages = rounds + bool(revisions)
    loop = await Rounds.start(
        ctx, "target", held, checker(check), gate=gate, rounds=stages, patience=patience, max_tokens=max_tokens
    )

    async def revised(row: Row, one: Context) -> list[Candidate]:
        found = one.map(
            constitutional_ai, [row], emit="sft", revisions=revisions, constitution=constitution,
            temperature=temperature, max_tokens=max_tokens,
        )  # fmt: skip
        return [made async for made in found]

    async def compared(row: Row, one: Context) -> list[Candidate]:
        found = one.map(
            rlaif_pairs, [row], k=k, criterion=criterion, think=think, least_margin=least_margin, held_out_share=0.0,
            length_ratio=None, temperature=temperature, max_tokens=max_tokens,
        )  # fmt: skip
        return [made async for made in found]

    while await loop.begin():
        ctx.play("generator", ctx.model("target"))
        first = bool(revisions) and loop.number == 1
        if loop.number == 1 + bool(revisions):
            loop.afresh()
        name = f"{'revise' if first else 'compare'} {loop.number}"
        made = [one for some in await ctx.each(work, revised if first else compared, name=name) for one in some]
        made = at_most(ctx, made, per_prompt, lambda row: str(row["prompt"]))
        column = "completion" if first else "chosen"
        if loop.collapsed(made, [f"{r['prompt']} {r[column]}" for r in made], len(made) / len(work)):
            continue
        for one in made:
            yield one
        if first:
            changed = mean([float(r["completion"] != r["first_reply"]) for r in made])
            await loop.train("sft", made, settings=tuning)
            await loop.decide({"rows": len(made), "revised": changed})
        else:
            longer = sum(len(str(r["chosen"])) for r in made) / max(1, sum(len(str(r["rejected"])) for r in made))
            await loop.train("dpo", made, settings={"beta": BETA, **(training or {})})
            await loop.decide({"rows": len(made), "length chosen over rejected": longer})
