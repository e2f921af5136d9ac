"""The model that both safety experiments start from: it has learnt an invented policy, and was then talked out of it.

A language model that is tuned for safety knows much of what it is tuned to do; a toy from scratch does not, and pairs alone
do not teach it (measured: 560 clean pairs moved a student without that knowledge by nothing). So the start knows the rules
from one set of requests, and lapses on a second pass over them with mostly wrong replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tilth.models.base import Model
from tilth.recipes.loops.loop import train
from tilth.recipes.recipe import Context
from tilth.rows.row import Row
from tilth.worlds.policy import POLICY

LAPSE: Mapping[str, Any] = {"max_steps": 60, "learning_rate": 5e-4, "warmup_steps": 5, "save_steps": 0}
LAPSED = 0.7
"""Share of wrong replies in the second pass."""
SIZES = {"test": 200, "know": 400, "real": 50}
"""Requests held out, known to the start, and with true preferences; what is left of 1,944 is the synthetic pool."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Disjoint requests of the world."""

    test: list[Row]
    know: list[Row]
    real: list[Row]
    pool: list[Row]


def requests(seed: int, pool: int) -> Requests:
    """The world's requests in all styles equally, cut into sets."""
    rows = POLICY.problems(sum(SIZES.values()) + pool, seed, rare=1 / 9)
    sets: dict[str, list[Row]] = {}
    at = 0
    for name, size in [*SIZES.items(), ("pool", pool)]:
        sets[name] = [Row(row, f"{name}-{i}") for i, row in enumerate(rows[at : at + size])]
        at += size
    return Requests(**sets)


async def knowing(ctx: Context, know: Sequence[Row], seed: int) -> Model:
    """A small model that has learnt the policy."""
    gold = [{"prompt": r["prompt"], "completion": r["completion"]} for r in know]
    settings = {"max_steps": 800, "save_steps": 0, "seed": seed}
    return await train(ctx, f"knows-{seed}", "student", "sft", gold, start="nano:scratch", settings=settings)


async def lapsed(ctx: Context, know: Sequence[Row], seed: int) -> Model:
    """The knowing model after a pass over mostly wrong replies."""
    rng: Random = ctx.rng("lapse", seed)
    wrong = [
        {
            "prompt": r["prompt"],
            "completion": POLICY.corrupt(r["prompt"], rng) if rng.random() < LAPSED else r["completion"],
        }
        for r in know
    ]
    knows = await knowing(ctx, know, seed)
    return await train(ctx, f"lapsed-{seed}", "student", "sft", wrong, start=knows, settings={**LAPSE, "seed": seed})
