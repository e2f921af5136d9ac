"""Two recipes for the engine's tests: one a seed, one a pool; both take their time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tilth.recipes import Candidate, Context, recipe
from tilth.rows import Row


@recipe("slow", family="test", takes=("prompt",), makes=("prompt", "completion"))
async def slow(row: Row, ctx: Context, *, wait: float = 0.02, n: int = 2) -> AsyncIterator[Candidate]:
    """Ask twice in branches, once more after, and wait in between."""

    async def one(i: int, branch: Context) -> Any:
        reply = await branch.ask("generator", f"{row['prompt']} part {i}")
        await asyncio.sleep(wait * ctx.rng("wait", i).random())
        return reply

    replies = await ctx.each(range(n), one)
    last = await ctx.ask("generator", f"{row['prompt']} in the light of {[r.text for r in replies]}")
    made = ctx.make({**row, "completion": last.text}, by=[*replies, last])
    if len(row["prompt"]) % 3 == 0:
        ctx.drop(made, "length:three")
    else:
        yield made


@recipe("slow-pool", family="test", takes=("prompt",), makes=("prompt",), pool=True)
async def slow_pool(rows: list[Row], ctx: Context, *, rounds: int = 5, wait: float = 0.02) -> AsyncIterator[Candidate]:
    """Grow a pool in rounds; every round sees what the last one kept."""
    pool = [row["prompt"] for row in rows]
    for number in range(rounds):

        async def one(i: int, branch: Context, number: int = number) -> Any:
            shown = branch.rng("show").sample(pool, 2)
            reply = await branch.ask("generator", f"round {number} item {i}: {shown}")
            await asyncio.sleep(wait * branch.rng("wait").random())
            return reply

        for reply in await ctx.each(range(4), one, name=f"round-{number}"):
            made = ctx.make({"prompt": reply.text}, of=rows[:1], by=reply, round=number)
            if reply.text.endswith("0"):
                ctx.drop(made, "digit:zero")
            else:
                pool.append(reply.text)
                yield made
        await ctx.round()
