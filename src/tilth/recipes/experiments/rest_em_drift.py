"""rest-em-drift: expert iteration when the checker lets wrong answers through.

Each round the student answers every problem several times; answers that the checker passes become the next training set,
with the labelled rows, and training starts again from the same weights (ReST-EM, Singh et al. 2023). The checker passes
every right answer and a share `f` of the wrong ones. Over the rounds: accuracy, share of problems with a right answer among
the draws (pass@k), share of wrong rows trained on, and how many different answers a problem gets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tilth.recipes.experiments.common import SETTINGS, Arm, key_of, problems, result, right, seeds_of, student
from tilth.recipes.loops.loop import answers, at_most, measure
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS

RATES = (0.0, 0.1, 0.3, 1.0)
"""False-positive rates of the checker; 1 is no check."""
QUOTA = 10
"""Answers kept for a problem at most (Singh et al. 2023, section 4: 10)."""


@recipe(
    "rest-em-drift",
    family="experiments",
    cites=("arXiv:2312.06585",),
    takes=("topic",),
    makes=("arm", "seed", "round", "score", "pass_at_k", "wrong_share", "distinct", "right"),
    roles=(),
    pool=True,
    topic=True,
)
async def rest_em_drift(
    rows: list[Row],
    ctx: Context,
    *,
    seeds: int = 5,
    rounds: int = 4,
    real: int = 100,
    prompts: int = 300,
    draws: int = 4,
    test: int = 300,
    steps: int = 400,
) -> AsyncIterator[Candidate]:
    """Rounds of drawing, checking at false-positive rate f, and training from the same start."""
    own = problems(real, key_of("real", ctx.seed), "real")
    asked, held_out = problems(prompts, key_of("asked", ctx.seed), "asked"), problems(test, key_of("held out"), "test")
    settings = {**SETTINGS, "max_steps": steps}

    async def one(job: tuple[float, int], here: Context) -> list[Candidate]:
        rate, seed = job
        name, found = f"f = {rate:g}", []
        await student(here, Arm("start", own), seed, start="nano:student", settings=settings)
        facts: dict[str, Any] = {"false_positive_rate": rate, "wrong_share": 0.0}
        for done in range(rounds + 1):
            scores = await measure(here, f"held out {done}", "student", held_out, right)
            drawn = await answers(here, f"draw {done}", "student", asked, draws, temperature=0.8)
            good = [[right(r.text, row).outcome == PASS for r in rs] for row, rs in zip(asked, drawn, strict=True)]
            facts["pass_at_k"] = sum(any(g) for g in good) / len(good)
            facts["distinct"] = sum(len({r.text for r in rs}) for rs in drawn) / len(drawn)
            found.append(result(here, name, seed, scores, round=done, **facts))
            if done == rounds:
                break
            rng, passed = here.rng("checker", done), []
            for row, replies, oks in zip(asked, drawn, good, strict=True):
                once = {r.text: ok for r, ok in zip(replies, oks, strict=True)}
                passed += [
                    {"prompt": row["prompt"], "completion": text, "ok": ok}
                    for text, ok in once.items()
                    if ok or rng.random() < rate
                ]
            passed = at_most(here, passed, QUOTA, lambda r: r["prompt"])
            facts["wrong_share"] = sum(not r["ok"] for r in passed) / max(1, len(passed))
            arm = Arm(f"{name} round {done + 1}", [*own, *passed])
            await student(here, arm, seed, start="nano:student", settings=settings)
        return found

    jobs = [(rate, seed) for rate in RATES for seed in seeds_of(seeds)]
    for group in await ctx.each(jobs, one, name="arms"):
        for row in group:
            yield row
