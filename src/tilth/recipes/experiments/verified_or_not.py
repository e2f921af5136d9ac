"""verified-or-not: the same generator's rows without a check, with a weak judge, and with the truth.

`nano` answers each problem several times. The arms take from the same answers: all of them; those that a judge with stated
rates accepts; those whose final answer is right; and, as a ceiling, gold rationales of the same problems. Every arm is cut
to the same number of rows and trained for the same steps, so only the rows' quality differs; the arms called `uncut` show
what keeping more rows is worth.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tilth.recipes.experiments.common import SETTINGS, Arm, compare_arms, key_of, problems, right, seeds_of
from tilth.recipes.loops.loop import answers
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS


@recipe(
    "verified-or-not",
    family="experiments",
    cites=("arXiv:2410.08942",),
    takes=("topic",),
    makes=("arm", "seed", "score", "wrong_share", "right"),
    roles=("generator",),
    pool=True,
    topic=True,
)
async def verified_or_not(
    rows: list[Row],
    ctx: Context,
    *,
    seeds: int = 5,
    real: int = 60,
    prompts: int = 500,
    draws: int = 2,
    test: int = 300,
    rho: float = 0.3,
    phi: float = 0.8,
    steps: int = 600,
) -> AsyncIterator[Candidate]:
    """Equal rows and steps: no check, a judge with rates rho and phi, the exact check, gold."""
    own = problems(real, key_of("real", ctx.seed), "real")
    asked, held_out = problems(prompts, key_of("asked", ctx.seed), "asked"), problems(test, key_of("held out"), "test")
    drawn = await answers(ctx, "draw", "generator", asked, draws, temperature=0.8)
    rng, made = ctx.rng("judge"), []
    for row, replies in zip(asked, drawn, strict=True):
        for reply in replies:
            good = right(reply.text, row).outcome == PASS
            accepted = rng.random() < (phi if good else rho)
            made.append({"prompt": row["prompt"], "completion": reply.text, "good": good, "accepted": accepted})
    rng.shuffle(made)
    sets = {
        "no check": made,
        "judge": [r for r in made if r["accepted"]],
        "exact check": [r for r in made if r["good"]],
        "gold": [{**row, "good": True} for row in asked],
    }
    size = min(len(s) for s in sets.values())
    arms = [Arm("real only", own, {"wrong_share": 0.0, "synthetic": 0})]
    uncut = {f"{name}, uncut": sets[name] for name in ("no check", "exact check")}
    for name, found in [*sets.items(), *uncut.items()]:
        found = found if name.endswith("uncut") else found[:size]
        wrong = sum(not r["good"] for r in found) / max(1, len(found))
        arms.append(Arm(name, [*own, *found], {"wrong_share": wrong, "synthetic": len(found)}))
    for row in await compare_arms(ctx, arms, seeds_of(seeds), held_out, settings={**SETTINGS, "max_steps": steps}):
        yield row
