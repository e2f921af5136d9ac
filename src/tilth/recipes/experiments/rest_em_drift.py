"""rest-em-drift: expert iteration when the checker lets wrong answers through.

Each round the student answers every problem several times; answers that the checker passes become the next training set,
with the labelled rows, and training starts again from the same weights (ReST-EM, Singh et al. 2023). The checker passes
every right answer and a share `f` of the wrong ones. Over the rounds: accuracy, share of problems with a right answer among
the draws (pass@k), share of wrong rows trained on, and how many different answers a problem gets. Every seed has its own
problems to learn from and one start for all rates; the held-out problems are the run's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
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
    held_out = problems(test, key_of("held out", ctx.seed), "test")
    settings = {**SETTINGS, "max_steps": steps}

    async def one(seed: int, here: Context) -> list[Candidate]:
        own = problems(real, key_of("real", ctx.seed, seed), "real")
        asked = problems(prompts, key_of("asked", ctx.seed, seed), "asked")

        async def look(where: Context, done: int) -> tuple[list[float], Drawn]:
            scores = await measure(where, f"held out {done}", "student", held_out, right)
            return scores, await draw(where, done, asked, draws)

        async def curve(rate: float, where: Context) -> list[Candidate]:
            name, found, wrong = f"f = {rate:g}", [], 0.0
            scores, drawn = start
            for done in range(rounds + 1):
                facts = {"false_positive_rate": rate, "wrong_share": wrong, "pass_at_k": drawn.solved}
                found.append(result(where, name, seed, scores, round=done, distinct=drawn.distinct, **facts))
                if done == rounds:
                    break
                passed = at_most(where, drawn.passed(rate, where.rng("checker", done)), QUOTA, lambda r: r["prompt"])
                wrong = sum(not r["ok"] for r in passed) / max(1, len(passed))
                arm = Arm(f"{name} round {done + 1}", [*own, *passed])
                await student(where, arm, seed, start="nano:student", settings=settings)
                scores, drawn = await look(where, done + 1)
            return found

        await student(here, Arm("start", own), seed, start="nano:student", settings=settings)
        start = await look(here, 0)
        return [row for rows in await here.each(RATES, curve, name="arms") for row in rows]

    for group in await ctx.each(seeds_of(seeds), one, name="seeds"):
        for row in group:
            yield row


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a student answered to the problems of a round.

    Args:
        texts: for each problem its answers, and whether each is right.
    """

    texts: list[tuple[Row, list[tuple[str, bool]]]]

    @property
    def solved(self) -> float:
        """Share of problems with a right answer among the draws."""
        return sum(any(ok for _, ok in found) for _, found in self.texts) / len(self.texts)

    @property
    def distinct(self) -> float:
        """Different answers to a problem, on average."""
        return sum(len(dict(found)) for _, found in self.texts) / len(self.texts)

    def passed(self, rate: float, rng: Random) -> list[dict[str, Any]]:
        """The different answers that a checker with this false-positive rate lets through."""
        return [
            {"prompt": row["prompt"], "completion": text, "ok": ok}
            for row, found in self.texts
            for text, ok in dict(found).items()
            if ok or rng.random() < rate
        ]


async def draw(ctx: Context, done: int, asked: list[Row], draws: int) -> Drawn:
    """Let the student answer every problem several times."""
    drawn = await answers(ctx, f"draw {done}", "student", asked, draws, temperature=0.8)
    return Drawn(
        [
            (row, [(r.text, right(r.text, row).outcome == PASS) for r in rs])
            for row, rs in zip(asked, drawn, strict=True)
        ]
    )
