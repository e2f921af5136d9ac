"""safety-steps: preference pairs with swapped labels, pruned by a verifier of known rates, added in five steps.

After the safety experiment of Firdoussi et al. (arXiv:2410.08942, section 5 and figure 8), small and real in an invented
policy: real pairs, synthetic pairs in five parts, labels swapped with probability eps, a swapped pair kept with rho and an
unswapped one with phi, IPO from the same start on real + parts 1..k, replies at temperature 1 labelled by a guard.

Ours differs where the release does not say or is broken: draws are seeded, the guard is the world's own rule, helpfulness
on allowed requests stands beside safety (refusing everything is safe and useless), log-probabilities are summed over tokens
(`average_log_prob: no`), and each row has the sign that theory gives from its own eps, rho, phi and counts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

from tilth.recipes.experiments.common import key_of, seeds_of
from tilth.recipes.experiments.policy_base import lapsed, requests
from tilth.recipes.loops.loop import answers, train
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.theory.labels import prune
from tilth.theory.settings import predict
from tilth.worlds.policy import POLICY

CURVES = {
    "strong, eps .1": (0.1, 0.1, 0.9), "strong, eps .5": (0.5, 0.1, 0.9),
    "weak, eps .1": (0.1, 0.5, 0.5), "weak, eps .5": (0.5, 0.5, 0.5),
}  # fmt: skip
"""eps, rho, phi. The paper does not state the rates behind its words; its scripts show (.5, .5) and (.2, .9)."""
PARTS = 5
FEATURES, SIGNAL = 50, 1.0
"""Nominal dimension and class mean for the theory's sign."""


@recipe(
    "safety-steps",
    family="experiments",
    cites=("arXiv:2410.08942", "arXiv:2310.12036"),
    takes=("topic",),
    makes=("arm", "seed", "round", "score", "safe", "helpful", "kept_noise", "right"),
    roles=(),
    pool=True,
    topic=True,
)
async def safety_steps(
    rows: list[Row],
    ctx: Context,
    *,
    seeds: int = 5,
    pool: int = 300,
    steps: int = 120,
    beta: float = 0.5,
    lr: float = 2e-4,
) -> AsyncIterator[Candidate]:
    """Four curves of five steps each, all from one start a seed."""

    async def one(seed: int, own: Context) -> list[Candidate]:
        sets = requests(key_of("policy", ctx.seed, seed), pool)
        start = await lapsed(own, sets.know, seed)
        found = [await measured(own, "start", seed, sets.test, {"round": 0, "synthetic": 0})]
        real = [pair(row, own.rng("pair", row.id)) for row in sets.real]
        settings = {
            "max_steps": steps, "learning_rate": lr, "beta": beta, "average_log_prob": "no", "save_steps": 0, "seed": seed,
        }  # fmt: skip

        async def arm(job: tuple[str, int], here: Context) -> Candidate:
            curve, step = job
            eps, rho, phi = CURVES.get(curve, (0.0, 1.0, 1.0))
            made = pruned(sets.pool, eps, rho, phi, own.rng("noise", curve))
            part = [p for p in made if p["part"] <= step]
            await train(here, f"{curve} {step} {seed}".replace(" ", "-"), "student", "ipo", [*real, *part], start=start,
                        settings=settings)  # fmt: skip
            facts = {"round": step, "synthetic": len(part), "epsilon": eps, "rho": rho, "phi": phi}
            return await measured(
                here, curve, seed, sets.test, facts | theory(len(real), len(sets.pool) * step // PARTS, eps, rho, phi)
            )

        jobs = [("real only", 0), *((curve, step) for curve in CURVES for step in range(1, PARTS + 1))]
        return found + await own.each(jobs, arm, name="arms")

    for group in await ctx.each(seeds_of(seeds), one, name="seeds"):
        for row in group:
            yield row


def pair(row: Row, rng: Random) -> dict[str, Any]:
    """What the policy wants, and its opposite."""
    return {"prompt": row["prompt"], "chosen": row["completion"], "rejected": POLICY.corrupt(row["prompt"], rng)}


def pruned(pool: list[Row], eps: float, rho: float, phi: float, rng: Random) -> list[dict[str, Any]]:
    """Pairs with labels swapped and a simulated verifier's choice among them, each with its part from 1."""
    kept = []
    for i, row in enumerate(pool):
        made, swapped = pair(row, rng), rng.random() < eps
        if swapped:
            made["chosen"], made["rejected"] = made["rejected"], made["chosen"]
        if rng.random() < (rho if swapped else phi):
            kept.append({**made, "part": 1 + i * PARTS // len(pool), "swapped": swapped})
    return kept


def theory(n: int, m: int, eps: float, rho: float, phi: float) -> dict[str, Any]:
    """The kept noise, and the accuracy that theory gives with and without the synthetic rows."""
    if m == 0:
        return {"kept_noise": 0.0, "predicted_gain": 0.0}
    given = {"p": FEATURES, "mu": SIGNAL, "gamma": 1.0, "n": n}
    with_, without = (
        predict("general", {**given, "m": m, "epsilon": eps, "rho": rho, "phi": phi}),
        predict("general", {**given, "m": 0}),
    )
    gain = float(with_.accuracy) - float(without.accuracy)
    return {"kept_noise": float(prune(eps, rho, phi).kept_noise), "predicted_gain": round(gain, 4)}


async def measured(ctx: Context, arm: str, seed: int, test: list[Row], facts: dict[str, Any]) -> Candidate:
    """The result row of one model: share of safe replies to forbidden requests, of helpful ones to allowed, and of both."""
    replies = await answers(ctx, "held out", "student", test, temperature=1.0)
    good = [POLICY.check(row["prompt"], r[0].text) is True for row, r in zip(test, replies, strict=True)]
    safe = [ok for ok, row in zip(good, test, strict=True) if row["forbidden"]]
    helpful = [ok for ok, row in zip(good, test, strict=True) if not row["forbidden"]]
    figures = {"safe": sum(safe) / len(safe), "helpful": sum(helpful) / len(helpful)}
    return ctx.make(
        {"arm": arm, "seed": seed, "score": sum(good) / len(good), **figures, **facts, "right": [int(g) for g in good]}
    )
