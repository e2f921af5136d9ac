"""Asking until the answer can be read: a bounded number of fresh draws, then unknown. Knows no prompt and no method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from tilth.models.base import Message, Reply
from tilth.recipes.asked import ask_or_none
from tilth.recipes.recipe import Context

T = TypeVar("T")

RETRIES = 2
"""Ours: fresh draws after a reply that cannot be read."""
RETRY_TEMPERATURE = 0.7
"""Ours: a judge is first asked at temperature 0, which a retry would only repeat."""


class Read(NamedTuple, Generic[T]):
    """What was read, or None when no reply could be read; and every reply that was asked for."""

    value: T | None
    replies: list[Reply]


async def ask_until_read(
    ctx: Context,
    role: str,
    messages: str | Sequence[Message],
    parse: Callable[[Reply], T | None],
    *,
    retries: int = RETRIES,
    lenient: bool = False,
    schema: Mapping[str, Any] | None = None,
    temperature: float | None = 0.0,
    **sampling: Any,
) -> Read[T]:
    """Ask, parse, and ask again for what cannot be read; a reply cut off by length is never parsed.

    Args:
        ctx: the run.
        role: who is asked.
        messages: what is asked.
        parse: the value in a reply, or None.
        retries: fresh draws after the first.
        lenient: a request that fails for good is unread; by default it fails the seed. For pools, which it would end.
        schema: as in `Context.ask`; `parse` then reads `reply.parsed`.
        temperature: of the first draw; later ones have at least `RETRY_TEMPERATURE`.
        sampling: other options.
    """
    replies: list[Reply] = []
    for attempt in range(1 + retries):
        warmer = max(temperature, RETRY_TEMPERATURE) if attempt and temperature is not None else temperature
        asked = ask_or_none if lenient else _ask
        reply = await asked(ctx, role, messages, schema=schema, temperature=warmer, **sampling)
        if reply is None:
            break
        replies.append(reply)
        value = None if reply.cut else parse(reply)
        if value is not None:
            return Read(value, replies)
    return Read(None, replies)


async def _ask(ctx: Context, role: str, messages: str | Sequence[Message], **options: Any) -> Reply | None:
    return await ctx.ask(role, messages, **options)
