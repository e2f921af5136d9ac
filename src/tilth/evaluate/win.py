"""Two sides' answers before a judge, each pair in both orders: win rate with its interval. Knows no model: given `ask`.

A judge's preference for a place shows and cancels; what it says of one order only and takes back in the other is told
apart from a real tie; a reply that cannot be read counts for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.errors import InputError
from tilth.models.base import ModelError
from tilth.theory.intervals import Interval
from tilth.verify.bias import without_length
from tilth.verify.judge import PREFERENCE, compare
from tilth.verify.judging import Asking
from tilth.verify.verifier import Ask

Pair = tuple[str, str, str]
"""prompt, answer of a, answer of b."""


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often the judge prefers b.

    Args:
        rate: mean preference for b over pairs read in both orders; a tie or a change of mind counts half.
        wins, losses: pairs that b, or a, won in both orders.
        ties: pairs called equal in both orders.
        turned: pairs whose verdict changed with the order.
        unread: pairs without a readable verdict in one of the orders; in no figure.
        first: mean preference for whatever stands first; .5 is none.
        at_equal_length: the rate with the effect of length taken out (Dubois et al. 2024); None below ten pairs.
        preferences: of each pair, None where unread.
    """

    rate: Interval
    wins: int
    losses: int
    ties: int
    turned: int
    unread: int
    first: float
    at_equal_length: float | None
    preferences: tuple[float | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without the single preferences."""
        counts = {k: getattr(self, k) for k in ("wins", "losses", "ties", "turned", "unread", "first")}
        return {"rate": self.rate.to_dict(), **counts, "at_equal_length": self.at_equal_length}


async def win_rate(
    pairs: Sequence[Pair], ask: Ask, *, rubric: str = PREFERENCE, how: Asking | None = None, parallel: int = 16,
    confidence: float = 0.95, seed: int = 0,
) -> WinRate:  # fmt: skip
    """Have a judge compare b's answers with a's.

    Args:
        pairs: prompt, a's answer, b's answer.
        ask: the judge.
        rubric: what counts.
        how: role (``judge``), retries and sampling (temperature 0).
        parallel: pairs at a time.
        confidence, seed: of the bootstrap over pairs.

    Raises:
        InputError: no pairs, or no pair could be read.
    """
    if not pairs:
        raise InputError("no pairs to judge", todo="give two results on the same rows")
    gate = asyncio.Semaphore(parallel)
    asking = how or Asking(sampling={"temperature": 0.0})

    async def one(pair: Pair) -> tuple[float | None, float | None]:
        async with gate:
            try:
                return await compare(ask, pair[0], pair[2], pair[1], rubric=rubric, how=asking)
            except ModelError:
                return None, None

    found = await asyncio.gather(*(one(pair) for pair in pairs))
    read = [(i, t, b) for i, (t, b) in enumerate(found) if t is not None and b is not None]
    if not read:
        raise InputError("no reply of the judge could be read", todo="try another judge, or look at its replies")
    mean = np.array([(there + back) / 2 for _, there, back in read])
    rng = np.random.default_rng(seed)
    drawn = mean[rng.integers(0, len(mean), (4_000, len(mean)))].mean(axis=1)
    lengths = [(len(pairs[i][2]), len(pairs[i][1])) for i, _, _ in read]
    preferences: list[float | None] = [None] * len(pairs)
    for (i, _, _), value in zip(read, mean, strict=True):
        preferences[i] = float(value)
    return WinRate(
        rate=Interval.of_draws(float(mean.mean()), drawn, confidence),
        wins=int((mean == 1).sum()),
        losses=int((mean == 0).sum()),
        ties=sum(1 for _, t, b in read if t == b == 0.5),
        turned=sum(1 for _, t, b in read if t != b),
        unread=len(pairs) - len(read),
        first=float(np.mean([(t + 1 - b) / 2 for _, t, b in read])),
        at_equal_length=without_length(mean.tolist(), lengths)[0] if len(read) >= 10 else None,
        preferences=tuple(preferences),
    )
