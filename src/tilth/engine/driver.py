"""Sends a run's unanswered requests through a Batch API until none is left, and survives being killed meanwhile.

Which requests went into which batch stands in the journal; between polls the run folder belongs to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tilth.engine.batch import Imported, collect, lines, request_of, take, waiting_models, with_journal
from tilth.engine.local import Result
from tilth.engine.plan import Plan
from tilth.errors import EndpointError, UsageError
from tilth.journal.store import Journal
from tilth.journal.waiting import WaitingList
from tilth.models.base import ModelError
from tilth.models.batch import Batch
from tilth.models.batchapi import ENDED, BatchApi
from tilth.models.wire import path as path_of
from tilth.rows.folder import RunFolder
from tilth.rows.row import digest

MOST_LINES = 50_000
MOST_BYTES = 150 * 2**20
"""Requests and bytes a batch file may hold (OpenAI allows 50,000 and 200 MB)."""


async def drive(
    path: str | Path, *, every: float = 30.0, say: Callable[[str], None] = lambda text: None, wait: bool = True
) -> tuple[Result, Imported]:
    """Send, watch and take in batches, stage after stage, until nothing waits.

    Args:
        path: the run folder.
        every: seconds between two looks at the service.
        say: told what happens.
        wait: go on until nothing waits; otherwise take what is there, send what is new, and return.

    Raises:
        TilthError: the service refuses; nothing is lost, and the same command goes on.
    """
    folder = RunFolder(path).require()
    plan = Plan.load(folder.plan)
    models = {m.identity: m for m in waiting_models(plan).values() if isinstance(m, Batch)}
    whole = Imported()
    try:
        while True:
            done = await _take_in(folder, plan, models, whole, say)
            result = await asyncio.to_thread(collect, path)
            if result.error is not None:
                return result, whole
            await _send(folder, models, say)
            open_batches = with_journal(folder, lambda journal: WaitingList(journal).batches())
            if not open_batches or not wait:
                whole.waiting = with_journal(folder, lambda journal: WaitingList(journal).count())
                return result, whole
            if not done:
                await asyncio.sleep(every)
    except ModelError as error:
        raise EndpointError(str(error), todo="run the same command again: nothing is lost") from error
    finally:
        for model in models.values():
            await model.close()


async def _send(folder: RunFolder, models: dict[str, Batch], say: Callable[[str], None]) -> int:
    """Put all requests that are in no batch into batches, by model and path."""
    groups: dict[tuple[str, str], list[list[tuple[str, bytes]]]] = {}

    def gather(journal: Journal) -> None:
        size = 0
        for record in WaitingList(journal).unsent():
            line = next(lines([record], models))
            parts = groups.setdefault((record.model, f"/v1{path_of(request_of(record))}"), [[]])
            size = size + len(line) if parts[-1] else len(line)
            if len(parts[-1]) >= MOST_LINES or size > MOST_BYTES:
                parts.append([])
                size = len(line)
            parts[-1].append((record.key, line))

    with_journal(folder, gather)
    count = 0
    for (identity, url), parts in groups.items():
        inner = models[identity].inner
        if inner is None:
            name = models[identity].name
            todo = f"name the service in the plan (batch:openai:{name}), or use tilth requests export and import"
            raise UsageError(f"batch:{name} says no service to send to", where=str(folder.path), todo=todo)
        async with BatchApi(inner.address) as api:
            for part in parts:
                keys = [key for key, _ in part]
                batch = await api.submit(b"".join(line for _, line in part), digest(keys), url)
                with_journal(
                    folder, lambda journal, k=keys, b=f"{identity}|{batch}": WaitingList(journal).set_batch(k, b)
                )  # type: ignore[misc]
                say(f"batch {batch}: {len(keys):,} requests sent")
                count += len(keys)
    return count


async def _take_in(
    folder: RunFolder, plan: Plan, models: dict[str, Batch], whole: Imported, say: Callable[[str], None]
) -> int:
    """Import the results of the batches that have ended; returns how many have."""
    ended = 0
    for name in with_journal(folder, lambda journal: WaitingList(journal).batches()):
        identity, _, batch = name.rpartition("|")
        async with BatchApi(models[identity].inner.address) as api:
            state = await api.state(batch)
            if state["status"] not in ENDED:
                continue
            if state["status"] == "failed":
                said = "; ".join(str(e.get("message")) for e in (state.get("errors") or {}).get("data", ()))
                with_journal(folder, lambda journal, n=name: _free(journal, n))  # type: ignore[misc]
                raise EndpointError(
                    f"the service failed batch {batch}: {said or 'no reason given'}",
                    todo="mend it, and run the same command again",
                )
            found = await api.results(state)
        ended += 1

        def record(journal: Journal, found: list[bytes] = found, name: str = name) -> Imported:
            taken = take(journal, found, plan)
            _free(journal, name)
            return taken

        taken = with_journal(folder, record)
        for field in ("answers", "duplicates", "refused", "again", "unknown", "unreadable"):
            setattr(whole, field, getattr(whole, field) + getattr(taken, field))
        say(
            f"batch {batch} {state['status']}: {taken.answers:,} answers, {taken.refused:,} refused, {taken.again:,} to ask again"
        )
    return ended


def _free(journal: Journal, name: str) -> None:
    """What an ended batch left unanswered is in no batch any more."""
    waits = WaitingList(journal)
    waits.set_batch(waits.in_batch(name), None)
