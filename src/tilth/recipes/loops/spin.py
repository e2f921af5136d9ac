"""spin: a model plays against its last self, told to prefer what was written to what it writes.

1. The current model answers each prompt. The written completion is the chosen one, its own answer the rejected one; where
   the two are the same there is nothing to learn, and the pair is dropped.
2. DPO from the current model, which is also the reference, on this round's pairs and those of the round before.
3. A held-out set decides whether the new model plays on. The loop also ends when the held-out margin, by how much more the
   training raised the written answers than the own ones, is not clearly above 0, or when too few answers still differ.

Source: Chen et al. 2024, "Self-Play Fine-Tuning Converts Weak Language Models to Strong Language Models", algorithm 1 and
equation 4.7, which is DPO's loss; settings from the released code (beta 0.1, pairs of two rounds together from the
second on). The start should be fine-tuned on the same rows: `warm_up` steps do that first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tilth.evaluate.paired import compare
from tilth.models.base import Model
from tilth.recipes.loops.loop import report, split, start_of, train
from tilth.recipes.loops.rounds import ASK, Rounds, asked, checker, mean
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row, digest
from tilth.rows.text import last_assistant

BETA = 0.1
"""Strength of the pull towards the reference (released code)."""
LEAST = 10
"""Ours: fewer pairs than this are not worth a round."""
MARGIN_ROWS = 64
"""Ours: held-out rows on which the margin is measured."""


@recipe(
    "spin",
    family="loops",
    cites=("Chen et al. 2024, Self-Play Fine-Tuning Converts Weak Language Models to Strong, arXiv:2401.01335",),
    takes=("prompt", "completion"),
    makes=("prompt", "chosen", "rejected"),
    roles=("target",),
    trains=("target",),
    pool=True,
    prompts=(ASK,),
)
async def spin(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 3,
    samples: int = 1,
    warm_up: int = 0,
    least: int = LEAST,
    held_out: float = 0.2,
    check: str = "maths",
    gate: str = "not-worse",
    patience: int = 1,
    temperature: float = 1.0,
    max_tokens: int = 256,
    tuning: dict | None = None,  # type: ignore[type-arg]
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Prefer the written answer to the model's own, round after round.

    Args:
        rows: prompts with a written completion, and what the check reads.
        ctx: the run.
        rounds: at most.
        samples: own answers to a prompt and round.
        warm_up: steps of fine-tuning on the written answers before round 1.
        least: end when fewer pairs are left in a round.
        held_out: share of the seeds that decides.
        check, gate, patience: see `tilth.recipes.loops`.
        temperature, max_tokens: sampling of own answers.
        tuning: settings of the fine-tuning.
        training: settings of DPO.
    """
    judge = checker(check)
    work, held = split(rows, held_out, ctx)
    if warm_up:
        written = [{"prompt": asked(ctx, row), "completion": said(row)} for row in work]
        await train(ctx, "target-0", "target", "sft", written, settings={**(tuning or {}), "max_steps": warm_up})
    loop = await Rounds.start(
        ctx, "target", held, judge, gate=gate, rounds=rounds, patience=patience, max_tokens=max_tokens
    )
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    earlier: list[Candidate] = []
    while await loop.begin():
        replies = await loop.ask("own", work, samples, **sampling)
        pairs: list[Candidate] = []
        same = 0
        for row, some in zip(work, replies, strict=True):
            for reply in some:
                text = reply.text.strip()
                columns = {k: v for k, v in row.items() if k != "completion"}
                columns |= {"prompt": asked(ctx, row), "chosen": said(row), "rejected": text}
                made = ctx.make(columns, of=row, by=reply, round=loop.number)
                same += text == said(row)
                if reply.problem:
                    ctx.drop(made, f"reply:{reply.problem}")
                elif text == said(row):
                    ctx.drop(made, "pair:fail:identical")
                else:
                    pairs.append(made)
        figures = {"pairs": len(pairs), "own equals written": same / max(1, len(work) * samples)}
        if len(pairs) < least:
            report(ctx, loop.number, figures)
            for made in pairs:
                ctx.drop(made, "spin:too-few-pairs")
            loop.end("too few pairs")
            continue
        if loop.collapsed(pairs, [f"{p['prompt']} {p['rejected']}" for p in pairs]):
            continue
        for made in pairs:
            yield made
        before, sample = ctx.model("target"), held[:MARGIN_ROWS]
        fresh = await loop.ask("against", sample, **sampling)
        await loop.train("dpo", pairs + earlier, settings={"beta": BETA, **(training or {})})
        earlier = pairs
        texts = [some[0].text.strip() for some in fresh]
        margins = await margin(ctx, loop.number, sample, texts, before, ctx.model("target"))
        accepted = await loop.decide({**figures, "margin": mean(margins)})
        if accepted and margins and compare([0.0] * len(margins), margins, draws=2_000).lo <= 0:
            loop.end("no margin")


def said(row: Mapping[str, Any]) -> str:
    """The written answer."""
    return (last_assistant(row) or "").strip()


async def margin(
    ctx: Context, number: int, rows: Sequence[Row], own: Sequence[str], before: Model, after: Model
) -> list[float]:
    """By how much more the training raised the log-likelihood of written answers than of those it wrote before.

    Args:
        ctx: the run.
        number: of the round.
        rows: held-out rows with a completion.
        own: an answer to each, drawn from `before`.
        before, after: the models of the two sides, as folders.

    Returns:
        Nats a row; rows whose own answer is empty or the written one, or that do not fit the model, are left out.
    """
    from tilth.evaluate.likelihood import open_scorer

    used = [
        (asked(ctx, row), said(row), text) for row, text in zip(rows, own, strict=True) if text not in ("", said(row))
    ]

    def measure() -> list[float]:
        gains = []
        for place in (1, 2):
            texts = [(str(item[0]), item[place]) for item in used]
            old, new = (open_scorer(spec_of(model))(texts) for model in (before, after))
            gains.append([None if a is None or b is None else a.nats - b.nats for a, b in zip(old, new, strict=True)])
        return [round(g - o, 6) for g, o in zip(*gains, strict=True) if g is not None and o is not None]

    async def run() -> list[float]:
        return await ctx.run(measure)

    inputs = [number, before.identity, after.identity, digest([list(item) for item in used])]
    return list(await ctx.step("margin", inputs, run))


def spec_of(model: Model) -> str:
    """The SPEC of a model folder."""
    start = start_of(model)
    return start if start.startswith("nano") else f"{model.identity.partition(':')[0]}:{start}"
