"""star: a model learns from its own rationales that reach the right answer, and from hinted ones where they do not.

1. The model writes one rationale to each problem; those that reach the known answer are kept.
2. Rationalisation: of each problem it failed, it is told the answer and writes again. What reaches the answer is kept
   and stored without the hint; a text that speaks of the hint is dropped.
3. The ORIGINAL model, not the last one, is trained on everything kept, for a number of steps that grows by a fifth every
   round. A held-out set decides whether the result answers in the next round.

Source: Zelikman et al. 2022, "STaR: Bootstrapping Reasoning With Reasoning", section 3 and appendix A (steps 40, growing
by 1.2; rationales of at most 96 tokens, from the released code).

A model that was never instructed needs to be shown the two forms. The paper shows examples in the prompt: write them into
the wordings `ask` and `hint`. A model too small to read examples is taught by `warm_up` steps on the first `labelled` seeds
that have a `completion`, with and without the hint; the original is then what that makes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tilth.recipes.loops.loop import answers, split, train
from tilth.recipes.loops.rounds import ASK, Rounds, asked, checker, mean, verdicts
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS

STEPS = 40
"""Training steps of the first round (released code)."""
GROWTH = 1.2
"""Each round has so many times the steps of the one before (released code)."""

HINT = Prompt(
    "hint",
    """{problem}

You may know that it comes to {answer}. Write the way there as if nobody had told you, one step a line, and end with
#### {answer}""",
)
_TELLS = re.compile(
    r"\b(?:hint(?:ed)?|(?:given|known|told|provided|correct|stated) (?:final )?answer|was told)\b", re.I
)


def speaks_of_hint(text: str) -> bool:
    """Whether a rationale gives away that its answer was known."""
    return _TELLS.search(text) is not None


@recipe(
    "star",
    family="loops",
    cites=("Zelikman et al. 2022, STaR: Bootstrapping Reasoning With Reasoning, arXiv:2203.14465",),
    takes=("prompt", "answer"),
    makes=("prompt", "completion", "answer", "source"),
    roles=("target",),
    trains=("target",),
    pool=True,
    level=6,
    prompts=(ASK, HINT),
)
async def star(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 4,
    steps: int = STEPS,
    growth: float = GROWTH,
    rationalise: bool = True,
    labelled: int = 0,
    warm_up: int = 0,
    held_out: float = 0.2,
    check: str = "maths",
    gate: str = "not-worse",
    patience: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 512,
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Train the original model, round after round, on rationales that reached the answer."""
    judge = checker(check)
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    work, held = split(rows, held_out, ctx)
    if warm_up:
        shown = [row for row in work if row.get("completion")][:labelled]
        lessons = [{"prompt": asked(ctx, row), "completion": row["completion"]} for row in shown]
        lessons += [{"prompt": hinted(ctx, row), "completion": row["completion"]} for row in shown if rationalise]
        await train(ctx, "target-0", "target", "sft", lessons, settings={**(training or {}), "max_steps": warm_up})
    original = ctx.model("target")
    loop = await Rounds.start(
        ctx, "target", held, judge, gate=gate, rounds=rounds, patience=patience, max_tokens=max_tokens
    )

    async def attempt(
        name: str, some: Sequence[Row], source: str
    ) -> tuple[list[Candidate], list[tuple[Candidate, str]], list[Row]]:
        put = hinted if source == "rationalised" else asked
        replies = await answers(ctx, f"{name} {loop.number}", "target", some, prompt=lambda r: put(ctx, r), **sampling)
        said = await verdicts(ctx, judge, some, replies)
        right, wrong, failed = [], [], []
        for row, (reply,), (verdict,) in zip(some, replies, said, strict=True):
            made = loop.made(row, reply, [verdict], source=source)
            if verdict.outcome == PASS and not (source == "rationalised" and speaks_of_hint(reply.text)):
                right.append(made)
            else:
                failed.append(row)
                wrong.append((made, "hint:told" if verdict.outcome == PASS else verdict.reason))
        return right, wrong, failed

    while await loop.begin():
        direct, wrong, failed = await attempt("answer", work, "direct")
        hints: list[Candidate] = []
        if rationalise and failed:
            hints, more, _ = await attempt("hint", failed, "rationalised")
            wrong += more
        for made, reason in wrong:
            ctx.drop(made, reason)
        kept = direct + hints
        figures = {"solved": len(direct) / len(work), "rationalised": len(hints) / len(work)}
        if loop.collapsed(kept, [str(r["prompt"]) + str(r["completion"]) for r in kept], len(kept) / len(work)):
            continue
        for made in kept:
            yield made
        settings = {**(training or {}), "max_steps": round(steps * growth ** (loop.number - 1))}
        await loop.train("sft", kept, start=original, settings=settings)
        await loop.decide({**figures, "held out before": mean(loop.scores)})


def hinted(ctx: Context, row: Row) -> str:
    """A problem with its answer told."""
    return ctx.fill(HINT, problem=row["prompt"], answer=row["answer"])
