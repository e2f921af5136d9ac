"""amount-and-mix: how much synthetic data, at which error, beside what theory calls break-even.

`real` gold rows, plus m synthetic rows of which a share eps is wrong. The break-even noise of the theory at the same n, m
and nominal features stands in each result row (`tilth.theory.break_even_noise`): beyond it, the rows should hurt. The theory is
of a linear classifier of two classes on Gaussian features, and this is a language model whose wrong answers differ from each
other, so only sign and order can be compared. `errors` says how they differ: ``varied`` wrong rows have one of many slips;
``shared`` ones have all the same (every difference is one too large); ``opposite`` ones add where the story takes away, which
is the nearest to a wrong label of two classes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from tilth.errors import UsageError, did_you_mean
from tilth.recipes.experiments.common import (
    SETTINGS,
    Arm,
    adds_instead,
    compare_arms,
    key_of,
    numbers,
    one_too_many,
    problems,
    seeds_of,
    with_errors,
)  # fmt: skip
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.theory.search import break_even_noise
from tilth.worlds.arithmetic import STORY

AMOUNTS = "100,300,900"
PERCENT_WRONG = "0,30,60,80"
FEATURES, SIGNAL = 50, 1.0
"""Nominal dimension and class mean of the theory. The break-even moves with them (100 real rows, 300 more, p of 10 to 1,000,
mu of .5 to 2, gamma of .01 to 10: .04 to .39), so a sign is the theory's own only at noises well outside that range."""
ERRORS = {"varied": STORY.corrupt, "shared": one_too_many, "opposite": adds_instead}


@recipe(
    "amount-and-mix",
    family="experiments",
    cites=("arXiv:2410.08942",),
    takes=("topic",),
    makes=("arm", "seed", "score", "synthetic", "epsilon", "right"),
    roles=(),
    pool=True,
    topic=True,
)
async def amount_and_mix(
    rows: list[Row], ctx: Context, *, seeds: int = 5, real: int = 100, test: int = 300, steps: int = 600,
    amounts: str = AMOUNTS, wrong: str = PERCENT_WRONG, errors: str = "varied",
) -> AsyncIterator[Candidate]:  # fmt: skip
    """Real only, then real with 100, 300 and 900 synthetic rows at errors of 0 to 80 %."""
    if errors not in ERRORS:
        raise UsageError(f"no errors are called '{errors}'", where="--set errors", todo=did_you_mean(errors, ERRORS))
    sizes, noises = numbers(amounts, "amounts"), [percent / 100 for percent in numbers(wrong, "wrong", least=0)]
    own = problems(real, key_of("real", ctx.seed), "real")
    pool, held_out = (
        problems(max(sizes), key_of("asked", ctx.seed), "asked"),
        problems(test, key_of("held out"), "test"),
    )
    limits = break_even_noise(n=real, m=np.array(sizes), p=FEATURES, mu=SIGNAL)
    arms = [Arm("real only", own, {"synthetic": 0, "epsilon": 0.0, "errors": errors, "break_even": None})]
    for noise in noises:
        made = with_errors(pool, noise, ctx.rng("errors", str(noise)), ERRORS[errors])
        for amount, limit in zip(sizes, limits, strict=True):
            facts = {"synthetic": amount, "epsilon": noise, "errors": errors, "break_even": round(float(limit), 4)}
            arms.append(Arm(f"+ {amount} at {noise:.0%} wrong", [*own, *made[:amount]], facts))
    for row in await compare_arms(ctx, arms, seeds_of(seeds), held_out, settings={**SETTINGS, "max_steps": steps}):
        yield row
