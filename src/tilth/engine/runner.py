"""Runs one recipe over its seeds on one event loop, recording what becomes of each (see `tilth.journal`)."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilth.engine.asking import Asker
from tilth.engine.context import Harvest, ScopeContext
from tilth.engine.progress import Progress
from tilth.errors import InputError, TilthError, did_you_mean
from tilth.journal.records import Outcome
from tilth.models.base import ModelError, Waiting
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Recipe, Skip
from tilth.rows.row import Row

POOL_END = 1 << 30
"""Part number of a pool's last outcome; its rounds count from 0."""
GRACE_SECONDS = 3.0
"""How long requests in flight may still land after Ctrl-C."""


@dataclass
class Tally:
    """What has happened in this session."""

    done: int = 0
    kept: int = 0
    dropped: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Runner:
    """One run of a recipe.

    Args:
        recipe: the method.
        version: hash of its code.
        asker: who answers.
        settings: the recipe's checked settings.
        prompts: the user's own wordings.
        seed: the run's seed.
        concurrency: seeds in work at most.
        limit: seeds to use at most.
        only: indices of the seeds to use, instead of all.
        progress: where to show it.
    """

    def __init__(
        self,
        recipe: Recipe,
        version: str,
        asker: Asker,
        *,
        settings: Mapping[str, Any] | None = None,
        prompts: Mapping[str, Prompt] | None = None,
        seed: int = 0,
        concurrency: int = 64,
        limit: int | None = None,
        only: Collection[int] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.recipe, self.version, self.asker, self.journal = recipe, version, asker, asker.journal
        self.settings, self.prompts, self.seed = dict(settings or {}), dict(prompts or {}), seed
        self.concurrency, self.limit, self.only = concurrency, limit, only
        self.tally = Tally()
        self.error: TilthError | None = None
        self.interrupted = False
        self.total: int | None = None
        """Seeds that there are, once all were looked at."""
        self._progress = progress or Progress(None, quiet=True)
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def interrupt(self) -> None:
        """Stop cleanly: no new seeds, a short grace for requests in flight (Ctrl-C)."""
        self.interrupted = True
        self._stopping.set()

    def stop(self, error: TilthError) -> None:
        """Stop cleanly because nothing more can be done; the first reason counts."""
        self.error = self.error or error
        self._stopping.set()

    async def run(self, rows: Iterable[Row], first: int = 0) -> None:
        """Work on all seeds that need it, until done or stopped; outcomes are in the journal.

        Args:
            rows: the seeds.
            first: index of the first of them, where those before are not to be used.
        """
        keeper = asyncio.create_task(self._keep_time())
        try:
            if self.recipe.pool:
                await self._race([asyncio.create_task(self._pool(rows))])
            else:
                await self._rows(rows, first)
        finally:
            keeper.cancel()
            self.journal.commit()
            self._progress.close()

    async def _rows(self, rows: Iterable[Row], first: int) -> None:
        last = None if self.only is None else max(self.only, default=-1)
        finished = self.journal.finished()
        slots = asyncio.Semaphore(self.concurrency)
        index = -1
        try:
            for index, row in enumerate(rows, first):
                if self._stopping.is_set() or (self.limit is not None and index >= self.limit):
                    break
                if last is not None and index > last:
                    break
                if index in finished or (self.only is not None and index not in self.only):
                    continue
                await slots.acquire()
                if self._stopping.is_set():
                    break
                task = asyncio.create_task(self._row(index, row))
                self._tasks.add(task)
                task.add_done_callback(lambda t: (slots.release(), self._tasks.discard(t)))  # type: ignore[func-returns-value]
            else:
                self.total = max(index + 1, first)
        except TilthError as error:
            self.stop(error)
        await self._race(list(self._tasks))

    async def _race(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for `tasks`; when the run is stopped give them a grace, then cancel them."""
        stopping = asyncio.create_task(self._stopping.wait())
        work = asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        pending = [task for task in tasks if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=GRACE_SECONDS)
            for task in pending:
                task.cancel()
        await work

    async def _row(self, index: int, row: Row) -> None:
        missing = self.recipe.missing_column(row)
        if missing is not None:
            self._missing(missing, index, row)
            return
        ctx = self._context(row.id, index, row)
        status, why = "done", ""
        try:
            async for item in self.recipe.fn(row, ctx, **self.settings):
                ctx.keep(item)
        except Skip as skip:
            status, why = "skipped", str(skip)
        except Waiting:
            return
        except TilthError as error:
            self.stop(error)
            return
        except Exception as error:
            status, why = "failed", failure(error, self.recipe)
        self._settle(Outcome(index, 0, row.id, status, _content(ctx.take(), row, status, why)))  # type: ignore[arg-type]

    async def _pool(self, rows: Iterable[Row]) -> None:
        try:
            taken: list[Row] = []
            for index, row in enumerate(rows):
                if self.limit is not None and index >= self.limit:
                    break
                missing = self.recipe.missing_column(row)
                if missing is not None:
                    raise _no_column(missing, index, row)
                taken.append(row)
        except TilthError as error:
            self.stop(error)
            return
        if self.journal.meta("pool_seeds") not in (None, len(taken)):
            self.journal.forget_outcomes()  # another limit is another pool: its code runs again over recorded answers
        self.journal.set_meta("pool_seeds", len(taken))
        if 0 in self.journal.finished():
            return
        ctx = self._context("pool", 0, None)
        ctx._on_round = lambda harvest, part: self._settle(
            Outcome(0, part, "pool", "open", _content(harvest, None, "open", ""))
        )
        status, why = "done", ""
        try:
            async for item in self.recipe.fn(taken, ctx, **self.settings):
                ctx.keep(item)
        except Waiting:
            return
        except TilthError as error:
            self.stop(error)
            return
        except Exception as error:
            status, why = "failed", failure(error, self.recipe)
        self._settle(Outcome(0, POOL_END, "pool", status, _content(ctx.take(), None, status, why)))  # type: ignore[arg-type]

    def _context(self, scope: str, index: int, row: Row | None) -> ScopeContext:
        return ScopeContext(
            self.recipe,
            self.version,
            self.asker,
            seed=self.seed,
            scope=scope,
            index=index,
            row=row,
            prompts=self.prompts,
        )

    def _missing(self, column: str, index: int, row: Row) -> None:
        if index == 0:
            self.stop(_no_column(column, index, row))
        else:
            self._settle(Outcome(index, 0, row.id, "skipped", {"skipped": [[row.id, f"no column '{column}'"]]}))

    def _settle(self, outcome: Outcome) -> None:
        try:
            self.journal.put_outcome(outcome)
        except TilthError as error:
            self.stop(error)
            return
        content, tally = outcome.content, self.tally
        tally.done += outcome.status in ("done", "failed")
        tally.skipped += len(content.get("skipped", ()))
        tally.failed += outcome.status == "failed"
        tally.kept += len(content.get("kept", ()))
        tally.dropped += len(content.get("dropped", ()))

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            try:
                if self.journal.due():
                    self.journal.commit()
            except TilthError as error:
                self.stop(error)
            t, c = self.tally, self.asker.counts
            self._progress.tick(
                t.done,
                t.kept,
                t.dropped,
                t.failed,
                tokens=c.input + c.output,
                usd=c.usd,
                doing=self.asker.workshop.doing,
            )


def failure(error: Exception, recipe: Recipe) -> str:
    """A failed row's reason: the model's word, or the exception with the recipe's line that raised it."""
    if isinstance(error, ModelError):
        return f"model: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename == inspect.getsourcefile(recipe.fn)] or list(frames)
    return f"error: {type(error).__name__}: {error} ({Path(own[-1].filename).name}:{own[-1].lineno})"


def _no_column(column: str, index: int, row: Row) -> InputError:
    first = column.split("|")[0]
    quoted = " or ".join(f"'{c}'" for c in column.split("|"))
    return InputError(
        f"no column {quoted}", where=f"seeds, row {index + 1}",
        todo=f"rename one with --map {first}=OLD; the row has: {', '.join(row)}" if row else did_you_mean(first, row),
    )  # fmt: skip


def _content(harvest: Harvest, row: Row | None, status: str, why: str) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if harvest.kept:
        content["kept"] = [_plain(c) for c in harvest.kept]
    if harvest.dropped:
        content["dropped"] = [[*_plain(c), reason] for c, reason in harvest.dropped]
    if harvest.notes:
        content["notes"] = harvest.notes
    if harvest.skipped:
        content["skipped"] = [list(pair) for pair in harvest.skipped]
    if status == "skipped" and row is not None:
        content["skipped"] = [[row.id, why]]
    if status == "failed":
        content["failed"] = [row.id if row is not None else "pool", dict(row or {}), why]
    return content


def _plain(candidate: Candidate) -> list[Any]:
    return [dict(candidate), candidate.lineage.as_dict(), [v.as_dict() for v in candidate.verdicts]]
