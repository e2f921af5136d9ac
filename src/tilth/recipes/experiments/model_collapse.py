"""model-collapse: generations that learn from their predecessors' output, and what prevents the decline.

Each generation answers the same problems (temperature 1) and the next one learns from that. Four ways to make its training
set: the last generation's answers alone (replace); those and all earlier ones and the real rows (accumulate, Gerstgrasser
et al. 2024); the answers that an exact check passes alone (verify); the passed ones and the real rows (verify + real).
Every generation starts from the same weights and trains for the same steps; every seed has its own real rows and one
generation 0 for all ways, and the held-out problems are the run's. Over the generations: accuracy, share of
different answers, loss of rare words and numbers against the first generation (Shumailov et al. 2024 saw the tails go first).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tilth.recipes.experiments.common import SETTINGS, Arm, key_of, problems, result, right, seeds_of, student
from tilth.recipes.loops.loop import answers, measure
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS
from tilth.select.monitor import tail_loss

WAYS = ("replace", "accumulate", "verify", "verify + real")


@recipe(
    "model-collapse",
    family="experiments",
    cites=("arXiv:2305.17493", "arXiv:2404.01413", "arXiv:2410.08942"),
    takes=("topic",),
    makes=("arm", "seed", "round", "score", "wrong_share", "distinct", "tail_loss", "right"),
    roles=(),
    pool=True,
    topic=True,
)
async def model_collapse(
    rows: list[Row],
    ctx: Context,
    *,
    seeds: int = 5,
    generations: int = 5,
    real: int = 400,
    test: int = 300,
    steps: int = 400,
    temperature: float = 1.0,
) -> AsyncIterator[Candidate]:
    """Generations by four ways of making the next training set."""
    held_out = problems(test, key_of("held out", ctx.seed), "test")
    settings = {**SETTINGS, "max_steps": steps}

    async def one(seed: int, here: Context) -> list[Candidate]:
        own = problems(real, key_of("real", ctx.seed, seed), "real")
        gold = [{"prompt": r["prompt"], "completion": r["completion"]} for r in own]

        async def look(where: Context, done: int) -> tuple[list[float], list[dict[str, Any]]]:
            scores = await measure(where, f"held out {done}", "student", held_out, right)
            drawn = await answers(where, f"draw {done}", "student", own, temperature=temperature)
            made = [
                {"prompt": row["prompt"], "completion": r[0].text, "ok": right(r[0].text, row).outcome == PASS}
                for row, r in zip(own, drawn, strict=True)
            ]
            return scores, made

        async def line(way: str, where: Context) -> list[Candidate]:
            found: list[Candidate] = []
            past: list[dict[str, Any]] = []
            scores, made = first
            for done in range(generations + 1):
                found.append(result(where, way, seed, scores, round=done, **health(first[1], made)))
                if done == generations:
                    break
                past += made
                arm = Arm(f"{way} generation {done + 1}", next_rows(way, gold, made, past))
                await student(where, arm, seed, start="nano:student", settings=settings)
                scores, made = await look(where, done + 1)
            return found

        await student(here, Arm("generation 0", gold), seed, start="nano:student", settings=settings)
        first = await look(here, 0)
        return [row for rows in await here.each(WAYS, line, name="arms") for row in rows]

    for group in await ctx.each(seeds_of(seeds), one, name="seeds"):
        for row in group:
            yield row


def next_rows(
    way: str, gold: list[dict[str, Any]], made: list[dict[str, Any]], past: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What the next generation learns; all of the last one's answers where none of them passes.

    Args:
        way: one of `WAYS`.
        gold: the real rows.
        made: the last generation's answers, with ``ok``.
        past: the answers of all generations so far.
    """
    passed = [m for m in made if m["ok"]]
    sets = {"replace": made, "accumulate": [*gold, *past], "verify": passed, "verify + real": [*gold, *passed]}
    return sets[way] or made


def health(first: list[dict[str, Any]], made: list[dict[str, Any]]) -> dict[str, float]:
    """Share of wrong answers, share of different ones, and rare words lost against the first generation's."""
    texts = [m["completion"] for m in made]
    return {
        "wrong_share": sum(not m["ok"] for m in made) / len(made),
        "distinct": len(set(texts)) / len(texts),
        "tail_loss": tail_loss([m["completion"] for m in first], texts)["tail"]["loss"] or 0.0,
    }
