"""half-correct: what rows with wrong answers still teach.

Students learn the same problems, a share of whose rationales is wrong in content and right in form. Two scores: does an
answer have the asked form (rationale lines and a final ``####`` line), and is it right?

The claim: data of which a third to a half is wrong is still useful (Wang et al. 2023, Self-Instruct, table 2: 54 % of 200
audited rows valid in all fields). Here form and content are separated. Students start without weights (`nano:scratch`),
since one that has seen the form learns nothing about it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tilth.recipes.experiments.common import (
    SETTINGS,
    Arm,
    key_of,
    problems,
    result,
    right,
    seeds_of,
    student,
    with_errors,
)  # fmt: skip
from tilth.recipes.loops.loop import answers
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS

FORM = re.compile(r"(?:-?\d+ [-+*/] -?\d+ = -?\d+\n)+#### -?\d+")
"""Lines of arithmetic, then the final answer."""


@recipe(
    "half-correct",
    family="experiments",
    cites=("arXiv:2212.10560",),
    takes=("topic",),
    makes=("arm", "seed", "score", "form", "right"),
    roles=(),
    pool=True,
    topic=True,
)
async def half_correct(
    rows: list[Row], ctx: Context, *, seeds: int = 5, train: int = 1200, test: int = 300, steps: int = 600
) -> AsyncIterator[Candidate]:
    """Train on rows of which 0, 20, 40, 60 or 100 % are wrong; score form and content apart."""
    pool, held_out = problems(train, key_of("half", ctx.seed), "train"), problems(test, key_of("held out"), "test")
    arms = []
    for share in (0.0, 0.2, 0.4, 0.6, 1.0):
        made = with_errors(pool, share, ctx.rng("errors", str(share)))
        arms.append(Arm(f"{share:.0%} wrong", made, {"wrong_share": share}))

    async def one(job: tuple[Arm, int], own: Context) -> Candidate:
        arm, seed = job
        await student(own, arm, seed, start="nano:scratch", settings={**SETTINGS, "max_steps": steps})
        texts = [r[0].text for r in await answers(own, "held out", "student", held_out, temperature=0)]
        return scored(own, arm, seed, texts, held_out)

    for row in await ctx.each([(arm, seed) for arm in arms for seed in seeds_of(seeds)], one, name="arms"):
        yield row


def scored(ctx: Context, arm: Arm, seed: int, texts: Sequence[str], held_out: Sequence[Mapping[str, Any]]) -> Candidate:
    """The result row of one student."""
    form = [FORM.fullmatch(t.strip()) is not None for t in texts]
    scores = [float(right(t, row).outcome == PASS) for t, row in zip(texts, held_out, strict=True)]
    return result(ctx, arm.name, seed, scores, form=sum(form) / len(form), training_rows=len(arm.rows), **arm.facts)
