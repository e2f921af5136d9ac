"""complete: `n` answers to each prompt, the plainest and commonest use.

A row with `prompt` gets `completion`; a row with `messages` gets one more assistant turn. An answer that was cut off by
length or is empty is dropped with that reason, never trusted whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row


@recipe(
    "complete",
    family="basic",
    takes=("prompt|messages",),
    makes=("completion|messages",),
)
async def complete(
    row: Row,
    ctx: Context,
    *,
    n: int = 1,
    system: str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_tokens: int | None = None,
    stop: str | None = None,
    keep_cut: bool = False,
) -> AsyncIterator[Candidate]:
    """Ask for `n` answers to each prompt and keep the whole ones."""
    chat = "prompt" not in row
    for reply in await ctx.sample(
        "generator",
        row["messages" if chat else "prompt"],
        n,
        system=system,
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        stop=stop,
    ):
        if chat:
            columns = {**row, "messages": [*row["messages"], {"role": "assistant", "content": reply.text}]}
        elif isinstance(row["prompt"], str):
            columns = {**row, "completion": reply.text}
        else:
            columns = {**row, "completion": [{"role": "assistant", "content": reply.text}]}
        made = ctx.make(columns, of=row, by=reply)
        if reply.problem and not (reply.cut and keep_cut):
            ctx.drop(made, f"complete:{reply.problem}")
        else:
            yield made
