"""An `ask` straight over models, for verifying plain files: bounded concurrency, counted draws, nothing recorded.

Recipes do not use this: there the run's own `ask` answers, with its journal and budget.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tilth.errors import UsageError
from tilth.models.base import Model, Reply, Request, as_messages
from tilth.rows.row import Row, digest
from tilth.verify.verifier import Prompt


@dataclass(slots=True)
class Usage:
    """What was sent so far."""

    sent: int = 0
    input: int = 0
    output: int = 0


@dataclass(slots=True)
class ModelAsk:
    """Asks models by role; identical requests of one row are successive draws.

    Args:
        models: role to model; the role ``*`` stands for every other.
        gate: bounds the requests in flight.
        row: the row that is asked about, for doubles.
        usage: what was sent, shared by all rows.
    """

    models: Mapping[str, Model]
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))
    row: Row | None = None
    usage: Usage = field(default_factory=Usage)
    draws: Counter[str] = field(default_factory=Counter)

    def of(self, row: Row) -> ModelAsk:
        """The same, asking about `row`."""
        return ModelAsk(self.models, self.gate, row, self.usage)

    async def __call__(self, role: str, messages: Prompt, *, schema: Any = None, **sampling: Any) -> Reply:
        """One answer.

        Raises:
            UsageError: no model is bound to the role.
            ModelError: this request failed for good.
            EndpointError: no request can succeed.
        """
        model = self.models.get(role) or self.models.get("*")
        if model is None:
            raise UsageError(f"no model answers the role '{role}'", todo="name one with --model SPEC")
        turns = as_messages(messages)
        key = digest(role, list(turns), sampling, schema)
        draw = self.draws[key]
        self.draws[key] += 1
        request = Request(turns, sampling, schema, draw=draw, role=role, row=self.row or {})
        async with self.gate:
            reply = (await model.send(request))[0]
        self.usage.sent += 1
        self.usage.input += reply.usage.input
        self.usage.output += reply.usage.output
        return reply
