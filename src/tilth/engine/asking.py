"""Between a recipe's question and a model's answer: the journal, the budget, the bound on requests in flight."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from tilth.engine.workshop import Workshop
from tilth.errors import BudgetError, UsageError
from tilth.journal.budget import Budget
from tilth.journal.keys import SHARED, request_hash, request_key
from tilth.journal.records import Record
from tilth.journal.store import Journal
from tilth.journal.waiting import WaitingList
from tilth.models.base import Model, ModelError, Reply, Request, Usage, Waiting, as_messages
from tilth.models.prices import price
from tilth.models.structured import with_parsed

ANSWER_TOKENS = 512
"""Answer length assumed for the budget when a request sets no `max_tokens`."""


@dataclass
class Counts:
    """What was sent and what the journal answered."""

    sent: int = 0
    cached: int = 0
    input: int = 0
    output: int = 0
    usd: float = 0.0
    unpriced: set[str] = field(default_factory=set)


class Asker:
    """Answers requests from the journal, else from a model.

    Args:
        models: role to model.
        journal: where answers are recorded.
        budget: ceilings.
        concurrency: requests in flight at most.
        prices: user's price table, see `tilth.models.prices`.
        journal_only: answer from the journal alone; a miss is a `ModelError` (replay).
        folder: where artefacts are made; a folder of their own that goes with the process when not given.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        journal: Journal,
        budget: Budget,
        *,
        concurrency: int = 64,
        prices: Mapping[str, Any] | None = None,
        journal_only: bool = False,
        folder: Path | None = None,
    ) -> None:
        self.models, self.journal, self.budget = models, journal, budget
        self.journal_only, self.workshop = journal_only, Workshop(folder)
        self.waiting = WaitingList(journal)
        self.counts = Counts()
        self._prices = prices
        self._rates: dict[str, tuple[float, float] | None] = {}
        self._slots = asyncio.Semaphore(concurrency)
        self._settled = asyncio.Condition()
        self._flights: dict[str, asyncio.Future[Reply]] = {}

    def model(self, role: str) -> Model:
        """The model bound to `role`.

        Raises:
            UsageError: none is.
        """
        if role not in self.models:
            raise UsageError(
                f"no model is bound to the role '{role}'",
                todo=f"add --role {role}=SPEC, or --model SPEC for all roles",
            )
        return self.models[role]

    async def answers(
        self,
        role: str,
        messages: str | Sequence[Mapping[str, Any]],
        n: int,
        *,
        scope: str,
        index: int,
        draws: dict[bytes, int],
        row: Mapping[str, Any],
        model: Model | None = None,
        system: str | None = None,
        schema: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        shared: bool = False,
        **sampling: Any,
    ) -> list[Reply]:
        """`n` answers, recorded before they are returned (see `Context.ask`).

        Args:
            scope: row id and branch names.
            index: index of the seed.
            draws: how often each request was asked in this scope; updated.
            row: the seed's columns, for doubles.
            model: who answers, where it is not the one bound to the role.
        """
        model = model or self.model(role)
        turns = as_messages(messages, system)
        scope = SHARED if shared else scope
        base = request_hash(model.identity, turns, sampling, schema, tools, scope)
        start = 0 if shared else draws.get(base, 0)
        draws[base] = start + n
        keys = [request_key(base, start + i) for i in range(n)]
        request = Request(turns, sampling, schema, tuple(tools), n, start, role, row)
        if shared:
            return [await self._shared(model, request, keys, -1)]
        return await self._fetch(model, request, keys, scope, index)

    async def _shared(self, model: Model, request: Request, keys: list[str], seed: int) -> Reply:
        flight = self._flights.get(keys[0])
        if flight is None:
            flight = asyncio.get_running_loop().create_future()
            self._flights[keys[0]] = flight
            try:
                flight.set_result((await self._fetch(model, request, keys, SHARED, seed))[0])
            except BaseException as error:
                del self._flights[keys[0]]
                if isinstance(error, Exception | Waiting):
                    flight.set_exception(error)
                    flight.exception()
                else:
                    flight.cancel()
                raise
        return await asyncio.shield(flight)

    async def _fetch(self, model: Model, request: Request, keys: list[str], scope: str, seed: int) -> list[Reply]:
        found = {i: r for i, key in enumerate(keys) if (r := self.journal.reply(key)) is not None}
        self.counts.cached += len(found)
        replies = {i: _reply(r, keys[i], r.get("by", model.identity)) for i, r in found.items()}
        missing = [i for i in range(len(keys)) if i not in found]
        if missing and self.journal_only:
            raise ModelError(f"the journal has no answer to this request ({keys[missing[0]]})")
        if missing and getattr(model, "waits", False):
            self._wait(model, request, keys, missing, scope, seed)
        for run in _contiguous(missing):
            asked = request if len(run) == request.n else replace(request, n=len(run), draw=request.draw + run[0])
            fresh = await self._send(model, asked)
            first = keys[run[0]]
            records = []
            for i, reply in zip(run, fresh, strict=True):
                replies[i] = reply = _named(reply, keys[i], _who(model, reply))
                records.append(self._record(model, asked, reply, first, scope, seed, draw=request.draw + i))
            self.journal.put(records)
        ordered = [replies[i] for i in range(len(keys))]
        return [with_parsed(r, request.schema) for r in ordered] if request.schema is not None else ordered

    def _wait(
        self, model: Model, request: Request, keys: list[str], missing: list[int], scope: str, seed: int
    ) -> NoReturn:
        """Record the unanswered draws for the next export, each as a request of its own."""
        for i in missing:
            if (refusal := self.waiting.refusal(keys[i])) is not None:
                raise ModelError(refusal)
            usd, tokens = self._guess(model, replace(request, n=1))
            if not self.budget.reserve(usd, tokens):
                raise BudgetError(
                    "the budget is reached by the requests that wait",
                    todo="raise --budget and run the same command again: nothing is lost",
                )
            asked = replace(request, n=1, draw=request.draw + i)
            nothing = Reply("", key=keys[i])
            self.waiting.put([self._record(model, asked, nothing, keys[i], scope, seed, draw=asked.draw)])
        raise Waiting

    def _guess(self, model: Model, request: Request) -> tuple[float, int]:
        """Dollars and tokens set aside for a call."""
        guess = Usage(len(request.text) // 4, request.n * int(request.sampling.get("max_tokens") or ANSWER_TOKENS))
        return self._cost(model.name, guess) or 0.0, guess.input + guess.output

    async def _send(self, model: Model, request: Request) -> list[Reply]:
        usd, tokens = (0.0, 0) if model.local else self._guess(model, request)
        # an endpoint bounds itself, and a call that waits for its retry must not hold a place there
        async with contextlib.nullcontext() if getattr(model, "bounded", False) else self._slots:
            while not self.budget.reserve(usd, tokens):
                async with self._settled:
                    await self._settled.wait()
            spent_usd, spent_tokens = 0.0, 0
            try:
                self.counts.sent += 1
                replies = list(await model.send(request))
                if len(replies) != request.n:
                    raise ModelError(f"{model.name} gave {len(replies)} answers where {request.n} were asked for")
                for reply in replies:
                    spent_usd += self._price(model, reply)
                    spent_tokens += reply.usage.input + reply.usage.output
                    self.counts.input += reply.usage.input
                    self.counts.output += reply.usage.output
                self.counts.usd += spent_usd
                return replies
            finally:
                self.budget.settle(usd, tokens, spent_usd=spent_usd, spent_tokens=spent_tokens)
                if self.budget.limits.tokens is not None or self.budget.limits.usd is not None:
                    async with self._settled:
                        self._settled.notify_all()

    def _price(self, model: Model, reply: Reply) -> float:
        if model.local:
            return 0.0
        name = model_name(_who(model, reply)) if hasattr(model, "members") else model.name
        found = self._cost(name, reply.usage)
        if found is None:
            self.counts.unpriced.add(name)
        return found or 0.0

    def _cost(self, name: str, usage: Usage) -> float | None:
        """US dollars, or None when no price is known."""
        if name not in self._rates:
            self._rates[name] = price(name, self._prices)
        rate = self._rates[name]
        return None if rate is None else (usage.input * rate[0] + usage.output * rate[1]) / 1e6

    def _record(
        self,
        model: Model,
        request: Request,
        reply: Reply,
        first_key: str,
        scope: str,
        seed: int,
        *,
        draw: int,
    ) -> Record:
        body = None
        if reply.key == first_key:
            body = {
                "messages": list(request.messages),
                "sampling": dict(request.sampling),
                "schema": request.schema,
                "tools": list(request.tools),
                "n": request.n,
            }
        plain = plain_reply(reply)
        if reply.model and reply.model != model.identity:
            plain["by"] = reply.model
        return Record(
            reply.key, seed, scope, request.role, model.identity, draw, first_key, body, plain,
            reply.usage.input, reply.usage.output, self._price(model, reply),
        )  # fmt: skip


def model_name(identity: str) -> str:
    """The name in a model's identity, as price tables know it."""
    return identity.rpartition("#")[2].partition("?")[0]


def _who(model: Model, reply: Reply) -> str:
    """Identity of the model that answered: of a pool, the member."""
    return reply.model if hasattr(model, "members") and reply.model else model.identity


def plain_reply(reply: Reply) -> dict[str, Any]:
    """What the journal keeps of a reply, as plain JSON."""
    plain: dict[str, Any] = {"text": reply.text, "finish_reason": reply.finish_reason}
    plain |= {k: v for k in ("logprobs", "reasoning") if (v := getattr(reply, k))}
    if reply.tool_calls:
        plain["tool_calls"] = list(reply.tool_calls)
    return plain


def _named(reply: Reply, key: str, identity: str) -> Reply:
    """The reply with its key and its model (`dataclasses.replace` takes three times as long)."""
    return Reply(
        reply.text, reply.finish_reason, reply.usage, reply.logprobs, reply.tool_calls, reply.reasoning,
        reply.parsed, reply.repaired, identity, key,
    )  # fmt: skip


def _reply(plain: Mapping[str, Any], key: str, identity: str) -> Reply:
    return Reply(
        plain["text"], plain["finish_reason"], logprobs=plain.get("logprobs"), reasoning=plain.get("reasoning", ""),
        tool_calls=tuple(plain.get("tool_calls", ())), model=identity, key=key,
    )  # fmt: skip


def _contiguous(indices: list[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for i in indices:
        if runs and i == runs[-1][-1] + 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs
