"""Several endpoints behind one role: shares by weight, and the next one where one fails. Knows no HTTP.

Who is asked first follows from the request's content and draw alone, so that a rerun asks the same one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tilth.errors import EndpointError, UsageError
from tilth.models.base import Model, ModelError, Reply, Request
from tilth.models.doubles import hash_uniform

REST_SECONDS = 5.0
LONGEST_REST = 300.0
"""Seconds that a member which is down is left alone: doubled each time it still is, up to the longest."""


class Pool:
    """Members with weights.

    Args:
        members: the models.
        weights: how much of the work each gets first; a weight of 0 is a stand-in, asked only when others fail.
        endpoint_id: stands for the whole pool in journal keys, when its members give the same answers (replicas of one
            model); without it the members' identities and weights do.
    """

    bounded = True
    batchable = False

    def __init__(self, members: Sequence[Model], weights: Sequence[float], endpoint_id: str = "") -> None:
        self.members, self.weights = tuple(members), tuple(weights)
        self.local = all(m.local for m in members)
        names = list(dict.fromkeys(m.name for m in members))
        self.name = names[0] if len(names) == 1 else "+".join(names)
        parts = ",".join(f"{m.identity}*{w:g}" for m, w in zip(members, weights, strict=True))
        self.identity = f"{endpoint_id}#{self.name}" if endpoint_id else f"pool({parts})#{self.name}"
        self._rest_until = [0.0] * len(members)
        self._rests = [0] * len(members)

    async def send(self, request: Request) -> list[Reply]:
        """Answer a request: draw by draw where members differ in weight, so that each draw finds its member.

        Raises:
            EndpointError: no member can be reached.
            ModelError: the last member that could be asked gave up.
        """
        if request.n == 1:
            return await self._one(request)
        draws = [replace(request, n=1, draw=request.draw + i) for i in range(request.n)]
        return [made[0] for made in await asyncio.gather(*(self._one(draw) for draw in draws))]

    async def close(self) -> None:
        """Close all members."""
        for member in self.members:
            await member.close()

    def order(self, request: Request) -> list[int]:
        """The members in the order in which they are asked: a weighted draw without replacement (Efraimidis and
        Spirakis 2006, algorithm A), stand-ins last.
        """

        def key(i: int) -> tuple[bool, float]:
            u = hash_uniform([dict(m) for m in request.messages], request.draw, i)
            return self.weights[i] == 0, -math.log(u + 1e-18) / (self.weights[i] or 1.0)

        return sorted(range(len(self.members)), key=key)

    async def _one(self, request: Request) -> list[Reply]:
        order = self.order(request)
        now = time.monotonic()
        awake = [i for i in order if self._rest_until[i] <= now]
        last: Exception | None = None
        for i in awake or order:
            try:
                made = list(await self.members[i].send(request))
            except EndpointError as error:
                self._rests[i] += 1
                rest = min(LONGEST_REST, REST_SECONDS * 2.0 ** (self._rests[i] - 1))
                self._rest_until[i] = time.monotonic() + rest
                last = error
            except ModelError as error:
                last = last if isinstance(last, ModelError) else error
            else:
                self._rests[i] = 0
                return made
        assert last is not None
        raise last

    @property
    def stats(self) -> Any:
        """Retries of all members together."""
        from tilth.models.endpoint import Stats

        found = Stats()
        for member in self.members:
            own = getattr(member, "stats", None)
            found.sent += getattr(own, "sent", 0)
            found.retried += getattr(own, "retried", 0)
        return found


def open_pool(members: Sequence[Any], settings: Mapping[str, Any], map: Mapping[str, str]) -> Model:
    """A pool from a plan: each member a SPEC, or a mapping of ``spec``, ``weight`` and an endpoint's settings.

    Raises:
        UsageError: no members, a weight that is none, or no member has one above 0.
    """
    from tilth.models.spec import open_bound

    if not members:
        raise UsageError("the pool has no members", where="models", todo="pool: [SPEC, SPEC]")
    shared = dict(settings)
    endpoint_id = str(shared.pop("endpoint_id", ""))
    opened, weights = [], []
    for member in members:
        own = dict(member) if isinstance(member, Mapping) else {"spec": member}
        weight = own.pop("weight", 1.0)
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight < math.inf:
            raise UsageError(f"{weight!r} is not a weight", where="models, pool", todo="for example weight: 2")
        opened.append(open_bound({**shared, **own}, map=map))
        weights.append(float(weight))
    if not any(weights):
        raise UsageError(
            "no member of the pool has a weight above 0", where="models, pool", todo="give one, for example weight: 1"
        )
    made: Model = Pool(opened, weights, endpoint_id)
    return made
