"""model-collapse: generations that learn from their predecessors' output, and what prevents the decline.

Each generation answers the same problems (temperature 1) and the next one learns from that. Four ways to make its training
set: the last generation's answers alone (replace); those and all earlier ones and the real rows (accumulate, Gerstgrasser
et al. 2024); the answers that an exact check passes alone (verify); the passed ones and the real rows (verify + real).
Every generation starts from the same weights and trains for the same steps. Over the generations: accuracy, share of
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
    own, held_out = problems(real, key_of("real", ctx.seed), "real"), problems(test, key_of("held out"), "test")
    gold = [{"prompt": r["prompt"], "completion": r["completion"]} for r in own]
    settings = {**SETTINGS, "max_steps": steps}

    async def one(job: tuple[str, int], here: Context) -> list[Candidate]:
        way, seed = job
        found: list[Candidate] = []
        first: list[str] = []
        past: list[dict[str, str]] = []
        await student(here, Arm("generation 0", gold), seed, start="nano:student", settings=settings)
        for done in range(generations + 1):
            scores = await measure(here, f"held out {done}", "student", held_out, right)
            drawn = await answers(here, f"draw {done}", "student", own, temperature=temperature)
            made = [
                {"prompt": row["prompt"], "completion": r[0].text, "ok": right(r[0].text, row).outcome == PASS}
                for row, r in zip(own, drawn, strict=True)
            ]
            texts = [m["completion"] for m in made]
            first = first or texts
            facts: dict[str, Any] = {
                "wrong_share": sum(not m["ok"] for m in made) / len(made),
                "distinct": len(set(texts)) / len(texts),
                "tail_loss": tail_loss(first, texts)["tail"]["loss"] or 0.0,
            }
            found.append(result(here, way, seed, scores, round=done, **facts))
            if done == generations:
                break
            passed = [m for m in made if m["ok"]]
            past += made
            data = {"replace": made, "accumulate": [*gold, *past], "verify": passed, "verify + real": [*gold, *passed]}[
                way
            ]
            arm = Arm(f"{way} generation {done + 1}", data or made)
            await student(here, arm, seed, start="nano:student", settings=settings)
        return found

    for group in await ctx.each([(w, s) for w in WAYS for s in seeds_of(seeds)], one, name="arms"):
        for row in group:
            yield row
