"""The local engine: from a plan to a run folder that can be stopped, killed, resumed and replayed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.engine.asking import Asker
from tilth.engine.freeze import freeze, frozen_facts
from tilth.engine.plan import Plan
from tilth.engine.progress import Progress
from tilth.engine.project import project
from tilth.engine.runner import Runner
from tilth.engine.seeds import Seeds
from tilth.engine.summary import run_summary, write_minimal_card
from tilth.errors import TilthError
from tilth.journal.budget import Budget, Limits
from tilth.journal.store import Journal
from tilth.journal.waiting import WaitingList
from tilth.models.base import Model, need_weights
from tilth.recipes.recipe import Recipe
from tilth.rows.folder import RunFolder
from tilth.rows.row import digest

COLLECT_EVERY = 50_000
"""Objects made and not gone again between two searches for garbage cycles while a run works (Python's own is 700)."""
ROWS_A_REQUEST = 2
"""Seeds in work for each request in flight at an endpoint that bounds itself: the rest wait for retries or run their
code.
"""


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Args:
        folder: the run folder.
        summary: what `summary.json` holds.
        exit_code: see docs/concepts.md.
        error: why it stopped early, or None.
    """

    folder: RunFolder
    summary: Mapping[str, Any]
    exit_code: int
    error: TilthError | None = None


def run_plan(
    plan: Plan,
    out: str | Path | None = None,
    *,
    fork: str | Path | None = None,
    models: Mapping[str, Model] | None = None,
    quiet: bool = False,
    journal_only: bool = False,
    only: Collection[int] | None = None,
) -> Result:
    """Run a plan, or go on with it where an earlier run of the same plan stopped.

    Args:
        plan: what to run and how.
        out: run folder; `Plan.default_out` when not given.
        fork: run folder whose recorded answers are reused after a change of content.
        models: role to model, instead of those that the plan names (for tests and Python callers).
        quiet: no progress.
        journal_only: answer from the journal alone (replay).
        only: indices of the seeds to use, instead of all (estimates).

    Returns:
        the result; its exit code is 0, 4 (budget), 5 (failed rows) or 130 (interrupted), or that of the error that
        ended it.

    Raises:
        TilthError: the run could not start.
    """
    recipe = plan.load_recipe()
    if plan.engine == "ray":
        from tilth.engine.rayed import run_on_ray

        return run_on_ray(plan, out, fork=fork, quiet=quiet)
    seeds = Seeds(plan, recipe)
    opened = models is None
    models = dict(models) if models is not None else open_models(plan, recipe)
    folder = RunFolder(out or plan.default_out())
    created = not folder.path.exists()
    folder.create()
    frozen = frozen_facts(recipe, seeds, {r: m.identity for r, m in sorted(models.items())})
    journal: Journal | None = None
    try:
        journal = Journal(folder.journal)
        freeze(folder, plan, frozen, journal)
    except TilthError:
        if journal is not None:
            journal.close()
        if created:
            _remove(folder)
        raise
    try:
        if fork is not None and journal.meta("forked") is None:
            journal.set_meta("forked", {"from": str(fork), "answers": journal.copy_answers(RunFolder(fork).journal)})
        with _few_collections():
            return asyncio.run(
                run_frozen(
                    plan, recipe, frozen, seeds, models, folder, journal, quiet, journal_only, only=only, close=opened
                )
            )
    finally:
        journal.close()


def open_models(plan: Plan, recipe: Recipe) -> dict[str, Model]:
    """Open the models that a plan binds to a recipe's roles; equal SPECs share one model.

    Raises:
        UsageError: there is no such model, or one that the recipe trains has no weights here.
    """
    from tilth.models.spec import open_bound

    roles = [*recipe.roles, *(r for r in recipe.optional_roles if r in plan.models)]
    by_spec: dict[str, Model] = {}
    found = {}
    for role in roles:
        spec = plan.models.get(role) or plan.models["*"]
        name = spec if isinstance(spec, str) else digest(spec)
        if name not in by_spec:
            by_spec[name] = open_bound(spec, map=plan.map, concurrency=plan.concurrency)
        found[role] = by_spec[name]
    for role in recipe.trained_roles(plan.set):
        if role in found:
            need_weights(found[role], role)
    return found


async def run_frozen(
    plan: Plan,
    recipe: Recipe,
    frozen: Mapping[str, Any],
    seeds: Seeds,
    models: Mapping[str, Model],
    folder: RunFolder,
    journal: Journal,
    quiet: bool,
    journal_only: bool,
    *,
    close: bool,
    only: Collection[int] | None = None,
) -> Result:
    start = time.monotonic()
    before = float(journal.meta("seconds") or 0.0)
    calls, tokens_in, tokens_out, usd = journal.spent()
    budget = Budget(
        Limits.parse(plan.budget),
        usd=usd,
        tokens=tokens_in + tokens_out,
        requests=int(journal.meta("sent") or calls),
        seconds=before,
    )
    asker = Asker(
        models,
        journal,
        budget,
        concurrency=plan.concurrency,
        prices=plan.prices,
        journal_only=journal_only,
        folder=folder.path,
    )
    if any(getattr(model, "waits", False) for model in models.values()):
        WaitingList(journal).anew()
    todo = seeds.total if plan.limit is None or seeds.total is None else min(plan.limit, seeds.total)
    runner = Runner(
        recipe,
        str(frozen["version"]),
        asker,
        settings=recipe.settings({k: v for k, v in plan.set.items() if k in recipe.params}),
        prompts=plan.wordings(recipe),
        seed=plan.seed,
        concurrency=plan.concurrency
        * (ROWS_A_REQUEST if any(getattr(m, "bounded", 0) for m in models.values()) else 1),
        limit=plan.limit,
        only=only,
        progress=Progress(todo, quiet=quiet),
    )
    with _signals(runner):
        try:
            first = min(only, default=0) if only and not recipe.pool else 0
            await runner.run(seeds.since(first), first)
        except TilthError as stopped:
            runner.stop(stopped)
        finally:
            if close:
                await asyncio.gather(*(m.close() for m in {id(m): m for m in models.values()}.values()))
    seconds = before + time.monotonic() - start
    error = runner.error
    try:
        journal.set_meta("seconds", seconds)
        journal.set_meta("sent", int(journal.meta("sent") or 0) + asker.counts.sent)
        journal.commit()
        numbers = project(journal, folder)
        if recipe.pool:
            numbers.used = (
                min(todo or 0, seeds.total or 0) - sum(numbers.skipped.values())
                if journal.spent()[0] or numbers.candidates
                else 0
            )
        seeds.total = seeds.total if runner.total is None else runner.total
        total = seeds.count()
        summary = run_summary(plan, recipe, frozen, numbers, asker, models, total, seconds, _state(runner, journal))
        folder.write_json(folder.summary, summary)
        write_minimal_card(folder, plan, recipe, summary)
    except TilthError as failed:
        return Result(folder, {}, failed.exit_code, error or failed)
    return Result(folder, summary, _exit_code(runner, numbers.failed), error)


def _exit_code(runner: Runner, failed: int) -> int:
    if runner.error is not None:
        return runner.error.exit_code
    if runner.interrupted:
        return 130
    return 5 if failed else 0


def _state(runner: Runner, journal: Journal) -> str:
    if runner.interrupted:
        return "interrupted"
    if runner.error is None and WaitingList(journal).count():
        return "waiting for answers"
    return "stopped: " + runner.error.found if runner.error is not None else "finished"


def _remove(folder: RunFolder) -> None:
    """Take a folder away that was made for a run that could not start."""
    for name in ("tilth.json", "plan.yaml", ".lock", "journal.db", "journal.db-wal", "journal.db-shm"):
        (folder.path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.path.rmdir()


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Collect garbage cycles a hundredth as often: rows and requests make none, and looking for them is a tenth of a
    run's work.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def _signals(runner: Runner) -> Any:
    loop = asyncio.get_running_loop()
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, runner.interrupt)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
