"""The same plan on a Ray cluster: shards of seeds, each with a journal of its own, gathered into the run's journal.

A shard is a range of seeds that depends on their number alone, so a lost node's shards run again from their journals and
the dataset is the one that `local` makes. A method that works on all seeds together (a pool) is one shard: one worker runs
it whole, in the run folder itself. The run folder must be on a disk that all nodes see, and yet a local one to SQLite: a
cluster on one machine, or a node-local disk that the shards come back to. Ray is imported when it is asked for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilth.engine.local import Result, run_plan
from tilth.engine.plan import Plan
from tilth.engine.seeds import Seeds
from tilth.errors import TilthError, UsageError
from tilth.journal.store import Journal
from tilth.rows.folder import RunFolder

SMALLEST_SHARD, LARGEST_SHARD, SHARDS = 50, 200_000, 64
"""Seeds a shard: about a 64th of all, within these bounds; each worker reads over the seeds before its own."""
LOCK_SECONDS = 60.0
"""How long a shard that starts again waits for the process of its lost node to be gone."""
DIVIDED = ("usd", "tokens", "requests")
"""Ceilings that the shards share out; each may spend its part."""
ON_GPU = ("hf", "vllm")
"""Kinds of models for which a worker gets a GPU of its own, where the cluster has any."""


def run_on_ray(plan: Plan, out: str | Path | None, *, fork: str | Path | None = None, quiet: bool = False) -> Result:
    """Run a plan on the cluster at RAY_ADDRESS, or on one started on this machine.

    Raises:
        UsageError: Ray is not installed.
        TilthError: the run could not start.
    """
    ray, begun = _ray(), time.monotonic()
    recipe = plan.load_recipe()
    here = replace(plan, engine="local")
    folder = RunFolder(out or plan.default_out())
    if recipe.pool:
        return _whole(ray, here, folder, fork, quiet)
    nothing: frozenset[int] = frozenset()
    run_plan(here, folder.path, fork=fork, quiet=True, only=nothing)
    seeds = Seeds(plan, recipe)
    total = seeds.count()
    total = min(total, plan.limit or total)
    with _own(folder) as journal:
        for shard in sorted(folder.path.glob("shards/*")):
            gather(journal, shard)
        todo = list(shards(total, journal.finished()))
        spent = journal.spent()
        started = journal.started()
    errors = _work(ray, here, folder, todo, _left(plan.budget, spent), bool(started), quiet)
    with _own(folder) as journal:
        journal.set_meta("seconds", float(journal.meta("seconds") or 0.0) + time.monotonic() - begun)
    result = run_plan(here, folder.path, quiet=True, only=nothing)
    if errors:
        worst = errors[0]
        return Result(folder, result.summary, worst.exit_code, worst)
    return result


def shards(total: int, finished: Collection[int]) -> Iterator[tuple[int, Sequence[int]]]:
    """Number and unfinished seeds of every shard that has any.

    Args:
        total: seeds of the run.
        finished: seeds that need no work.
    """
    size = min(LARGEST_SHARD, max(SMALLEST_SHARD, -(-total // SHARDS)))
    for number, start in enumerate(range(0, total, size)):
        whole = range(start, min(total, start + size))
        left = [i for i in whole if i not in finished]
        if left:
            yield number, whole if len(left) == len(whole) else left


def gather(journal: Journal, shard: Path) -> None:
    """Move a shard's answers and outcomes into the run's journal and remove the shard; one that is at work is left."""
    if not (shard / "journal.db").is_file():
        return
    try:
        Journal(shard / "journal.db").close()  # recovers its write-ahead log, and refuses while somebody works there
    except UsageError:
        return
    journal.commit()
    with journal.disk():
        journal.db.execute("ATTACH ? AS shard", (str(shard / "journal.db"),))
        journal.db.execute("BEGIN")
        for table in ("requests", "outcomes", "steps"):
            journal.db.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM shard.{table}")
        sent = journal.db.execute("SELECT value FROM shard.meta WHERE name='sent'").fetchone()
        journal.db.execute("COMMIT")
        journal.db.execute("DETACH shard")
    calls = journal.spent()[0]
    journal.set_meta("sent", max(calls, int(journal.meta("sent") or 0) + int(sent[0] if sent else 0)))
    journal.commit()
    shutil.rmtree(shard)


def _work(
    ray: Any,
    plan: Plan,
    folder: RunFolder,
    todo: list[tuple[int, Sequence[int]]],
    budget: Mapping[str, float],
    started: bool,
    quiet: bool,
) -> list[TilthError]:
    """Run the shards; returns what stopped any of them, budgets last."""
    if not todo:
        return []
    with _cluster(ray) as worker:
        at_once = max(1, min(len(todo), _places(ray, plan)))
        own = replace(
            _absolute(plan), concurrency=max(1, plan.concurrency // at_once),
            budget={k: v / len(todo) if k in DIVIDED else v for k, v in budget.items()},
        ).to_dict()  # fmt: skip
        task = worker(work_shard, plan)
        where = str(folder.path.resolve())
        running = [task.remote(own, where, number, seeds, started) for number, seeds in todo]
        errors: list[TilthError] = []
        done = 0
        while running:
            ready, running = ray.wait(running, num_returns=1)
            shard, error = ray.get(ready[0])
            errors += [error] if error is not None else []
            with _own(folder) as journal:
                gather(journal, Path(shard))
            done += 1
            if not quiet:
                print(f"{done} of {len(todo)} shards", file=sys.stderr, flush=True)
        return sorted(errors, key=lambda error: error.exit_code)


def _whole(ray: Any, plan: Plan, folder: RunFolder, fork: str | Path | None, quiet: bool) -> Result:
    """Run a pool on one worker, in the run folder; a lost worker's successor goes on from its journal."""
    if not quiet:
        print(f"{plan.recipe} works on all seeds together: one worker runs it whole", file=sys.stderr, flush=True)
    where = str(folder.path.resolve())
    with _cluster(ray) as worker:
        other = None if fork is None else str(Path(fork).resolve())
        summary, code, error = ray.get(worker(work_whole, plan).remote(_absolute(plan).to_dict(), where, other))
    if error is not None and not summary:
        raise error
    return Result(folder, summary, code, error)


@contextlib.contextmanager
def _cluster(ray: Any) -> Iterator[Callable[[Callable[..., Any], Plan], Any]]:
    """The cluster; gives what makes a remote function of a function and its plan."""
    began = not ray.is_initialized()
    if began:
        path = os.pathsep.join([str(Path.cwd()), *(p for p in sys.path if p)])
        ray.init(
            address=os.environ.get("RAY_ADDRESS"), include_dashboard=None, log_to_driver=False, logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )  # fmt: skip
    try:
        yield lambda work, plan: ray.remote(num_cpus=1, num_gpus=int(_on_gpu(ray, plan)), max_retries=-1)(work)
    finally:
        if began:
            ray.shutdown()


def _on_gpu(ray: Any, plan: Plan) -> bool:
    """Whether each worker needs a GPU: Ray hides them from a worker that asks for none."""
    specs = [m if isinstance(m, str) else str(m.get("spec", "")) for m in plan.models.values()]
    local = any(spec.partition(":")[0] in ON_GPU for spec in specs)
    return local and ray.cluster_resources().get("GPU", 0) >= 1


def _places(ray: Any, plan: Plan) -> int:
    """Workers that the cluster can run at once."""
    return int(ray.cluster_resources().get("GPU" if _on_gpu(ray, plan) else "CPU", 1))


def work_shard(plan: dict[str, Any], folder: str, number: int, seeds: Sequence[int], started: bool) -> tuple[str, Any]:
    """Run one shard, in a worker: resumes where a lost worker stopped; returns its folder and what stopped it."""
    shard = Path(folder) / "shards" / f"{number:05d}"
    shard.parent.mkdir(exist_ok=True)
    own, only = Plan.from_dict(plan), seeds if isinstance(seeds, range) else frozenset(seeds)
    try:
        result = _patiently(lambda: run_plan(own, shard, fork=folder if started else None, quiet=True, only=only))
    except TilthError as error:
        return str(shard), error
    return str(shard), result.error


def work_whole(plan: dict[str, Any], folder: str, fork: str | None) -> tuple[dict[str, Any], int, Any]:
    """Run a pool, in a worker; returns the summary, the exit code and what stopped it."""
    try:
        result = _patiently(lambda: run_plan(Plan.from_dict(plan), folder, fork=fork, quiet=True))
    except TilthError as error:
        return {}, error.exit_code, error
    return dict(result.summary), result.exit_code, result.error


def _patiently(run: Callable[[], Result]) -> Result:
    """Wait while the process of a lost node still holds the folder."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return run()
        except UsageError as error:
            if "another tilth" not in error.found or time.monotonic() > until:
                raise
            time.sleep(0.5)


def _absolute(plan: Plan) -> Plan:
    """The plan with paths that hold on every worker."""
    seeds = None if plan.seeds is None else str(Path(plan.seeds).resolve())
    file, sep, name = plan.recipe.rpartition(":")
    return replace(plan, seeds=seeds, recipe=f"{Path(file).resolve()}:{name}" if sep else plan.recipe)


def _left(budget: Mapping[str, float], spent: tuple[int, int, int, float]) -> dict[str, float]:
    calls, tokens_in, tokens_out, usd = spent
    used = {"requests": calls, "tokens": tokens_in + tokens_out, "usd": usd}
    return {k: max(1e-9, v - used.get(k, 0)) for k, v in budget.items()}


@contextlib.contextmanager
def _own(folder: RunFolder) -> Iterator[Journal]:
    journal = Journal(folder.journal)
    try:
        yield journal
    finally:
        journal.close()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray's own telemetry
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "Ray is not installed", where="engine", todo="pip install 'tilth[ray]', or use --engine local"
        ) from error
    return ray
