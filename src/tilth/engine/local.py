"""The local engine: from a plan to a run folder that can be stopped, killed, resumed and replayed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tilth.engine.asking import Asker
from tilth.engine.plan import EXECUTION, Plan
from tilth.engine.progress import Progress
from tilth.engine.project import count, project
from tilth.engine.runner import Runner
from tilth.engine.summary import run_summary, write_minimal_card
from tilth.errors import TilthError, UsageError
from tilth.journal.budget import Budget, Limits
from tilth.journal.store import Journal
from tilth.journal.upkeep import copy_erased
from tilth.journal.waiting import WaitingList
from tilth.models.base import Model
from tilth.recipes.recipe import Recipe
from tilth.recipes.registry import recipe_version
from tilth.rows.folder import RunFolder
from tilth.rows.read import Source, open_source
from tilth.rows.row import Row, digest, source_id

SCAN_BYTES = 256 * 2**20
"""Seed files up to this size are read once before the first request, so that a bad line costs nothing."""

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


class Seeds:
    """The seeds of a plan: a file, a folder or one topic."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        self.total: int | None = None
        self._source: Source | None = None
        self._topic: list[Row] = []
        first = recipe.takes[0].split("|")[0] if recipe.takes else ""
        self._text_as = first
        if plan.seeds is None:
            topic = str(plan.set["topic"])
            self.hash = digest("topic", topic)
            self._topic, self.total = [Row({"topic": topic}, source_id(self.hash, 0))], 1
        else:
            self._source = open_source(plan.seeds, plan.map)
            self.hash = self._source.hash
            if sum(f.stat().st_size for f in self._source.files) <= SCAN_BYTES:
                self.total = sum(1 for _ in self._source)

    def __iter__(self) -> Iterable[Row]:  # type: ignore[override]
        for row in self._source if self._source is not None else self._topic:
            if self._text_as and self._text_as not in row and tuple(row) == ("text",):
                row = Row({self._text_as: row["text"]}, row.id)
            yield row


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
    frozen = _frozen(recipe, seeds, {r: m.identity for r, m in sorted(models.items())})
    journal: Journal | None = None
    try:
        journal = Journal(folder.journal)
        _freeze(folder, plan, frozen, journal)
    except TilthError:
        if journal is not None:
            journal.close()
        if created:
            _remove(folder)
        raise
    try:
        if fork is not None and journal.meta("forked") is None:
            journal.set_meta("forked", {"from": str(fork), "answers": journal.copy_answers(RunFolder(fork).journal)})
        return asyncio.run(
            _run(plan, recipe, frozen, seeds, models, folder, journal, quiet, journal_only, only=only, close=opened)
        )
    finally:
        journal.close()


def open_models(plan: Plan, recipe: Recipe) -> dict[str, Model]:
    """Open the models that a plan binds to a recipe's roles; equal SPECs share one model."""
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
    return found


async def _run(
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
    asker = Asker(models, journal, budget, concurrency=plan.concurrency, prices=plan.prices, journal_only=journal_only)
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
            await runner.run(seeds)  # type: ignore[arg-type]
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
        numbers = count(journal)
        if recipe.pool:
            numbers.used = (
                min(todo or 0, seeds.total or 0) - sum(numbers.skipped.values())
                if journal.spent()[0] or numbers.candidates
                else 0
            )
        project(journal, folder)
        total = seeds.total if seeds.total is not None else sum(1 for _ in seeds)  # type: ignore[call-overload]
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


def _frozen(recipe: Recipe, seeds: Seeds, identities: Mapping[str, str]) -> dict[str, Any]:
    """The hashes that a run folder remembers."""
    return {"version": recipe_version(recipe), "seeds": seeds.hash, "models": dict(identities)}


def _freeze(folder: RunFolder, plan: Plan, frozen: Mapping[str, Any], journal: Journal) -> None:
    """Write the plan into a folder where nothing was recorded yet, or insist that it is the one frozen there."""
    if folder.plan.is_file() and not journal.empty():
        import yaml

        there = Plan.load(folder.plan)
        old = yaml.safe_load(folder.plan.read_text(encoding="utf-8")).get("frozen", {})
        changed = _differences({**there.content(), **old}, {**plan.content(), **frozen})
        if changed:
            raise UsageError(
                "the run folder holds a run of another plan: " + "; ".join(changed), where=str(folder.path),
                todo=f"choose another --out, and add --fork {folder.path} to reuse its recorded answers",
            )  # fmt: skip
    folder.write_text(folder.plan, plan.dump(frozen))


def plan_differences(a: str | Path, b: str | Path) -> list[str]:
    """What differs between the frozen plans of two run folders, in words."""
    import yaml

    plans = [yaml.safe_load(RunFolder(p).require().plan.read_text(encoding="utf-8")) for p in (a, b)]
    flat = [
        {**{k: v for k, v in p.items() if k not in EXECUTION and k != "frozen"}, **p.get("frozen", {})} for p in plans
    ]
    return _differences(*flat)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    said = {"version": "the method's code changed", "seeds": "the seed file's content changed"}
    found = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if a == b:
            continue
        if isinstance(a, Mapping) or isinstance(b, Mapping):
            a, b = a or {}, b or {}
            found += [
                f"{key}.{k}: {_brief(a.get(k))} -> {_brief(b.get(k))}"
                for k in dict.fromkeys([*a, *b])
                if a.get(k) != b.get(k)
            ]
        else:
            found.append(said.get(key) or f"{key}: {_brief(a)} -> {_brief(b)}")
    return found


def _brief(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _remove(folder: RunFolder) -> None:
    """Take a folder away that was made for a run that could not start."""
    for name in ("tilth.json", "plan.yaml", ".lock", "journal.db", "journal.db-wal", "journal.db-shm"):
        (folder.path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.path.rmdir()


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


def replay(path: str | Path, out: str | Path, *, quiet: bool = True) -> Result:
    """Rebuild a run's dataset from its journal alone into `out`: every row's code runs again over the recorded answers.

    Raises:
        TilthError: `path` is not a run, or its seeds or code have changed.
    """
    there = RunFolder(path).require()
    plan = replace(Plan.load(there.plan), budget={}, limit=Plan.load(there.plan).limit)
    recipe = plan.load_recipe()
    import yaml

    old = yaml.safe_load(there.plan.read_text(encoding="utf-8"))["frozen"]
    seeds = Seeds(plan, recipe)
    models: dict[str, Model] = {role: Recorded(identity) for role, identity in old["models"].items()}
    frozen = _frozen(recipe, seeds, old["models"])
    changed = _differences({"seeds": old["seeds"]}, {"seeds": seeds.hash})
    if changed:
        raise UsageError("cannot replay: " + changed[0], where=str(path), todo="bring the seed file back")
    folder = RunFolder(out).create()
    journal = Journal(folder.journal)
    try:
        _freeze(folder, plan, frozen, journal)
        journal.copy_answers(there.journal)
        copy_erased(journal, there.journal)
        return asyncio.run(_run(plan, recipe, frozen, seeds, models, folder, journal, quiet, True, close=False))
    finally:
        journal.close()


class Recorded:
    """A model that is only a name: its answers stand in the journal."""

    local = True

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.name = identity.rpartition("#")[2] or identity

    async def send(self, request: Any) -> Any:
        """Never called: a replay answers from the journal alone."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to release."""
