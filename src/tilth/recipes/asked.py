"""Questions whose failure costs one candidate, not the whole pool.

For recipes that see all seeds at once: there, an error that reached the engine would end the run. Knows no method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilth.models.base import Message, ModelError, Reply
from tilth.recipes.recipe import Context


async def ask_or_none(ctx: Context, role: str, messages: str | Sequence[Message], **options: Any) -> Reply | None:
    """One answer, or None when the model could not give any."""
    try:
        return await ctx.ask(role, messages, **options)
    except ModelError:
        return None


async def sample_or_none(
    ctx: Context, role: str, messages: str | Sequence[Message], n: int, **options: Any
) -> Sequence[Reply | None]:
    """`n` answers to one prompt, or `n` times None when the model could not give them."""
    try:
        return await ctx.sample(role, messages, n, **options)
    except ModelError:
        return [None] * n


def fault(reply: Reply | None) -> str | None:
    """Why a reply cannot be used at all: ``model:failed``, ``reply:cut`` or ``reply:empty``; None when it can."""
    if reply is None:
        return "model:failed"
    return f"reply:{reply.problem}" if reply.problem else None


def given(*replies: Reply | None) -> list[Reply]:
    """The replies that came, for `ctx.make(by=...)`."""
    return [reply for reply in replies if reply is not None]
