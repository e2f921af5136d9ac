"""The air-gapped path: unanswered requests go out as a file, answers come in as one, and the rows' code runs again.

Each pass over the journal gets every row as far as its recorded answers reach, so a method of s stages is done after s
exports. Knows files, not services: sending them is `driver`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from tilth.engine.asking import model_name, plain_reply
from tilth.engine.local import Result, open_models, run_plan
from tilth.engine.plan import Plan
from tilth.errors import DiskError, InputError
from tilth.journal.budget import Limits
from tilth.journal.records import Record
from tilth.journal.store import Journal
from tilth.journal.waiting import WaitingList
from tilth.models.base import Model, Request
from tilth.models.batch import Batch, read_line, waiting
from tilth.models.prices import cost
from tilth.models.wire import BadBodyError
from tilth.rows.folder import RunFolder

T = TypeVar("T")


@dataclass
class Imported:
    """What became of the lines of a result file.

    Args:
        answers: recorded.
        duplicates: whose request has an answer already.
        refused: requests refused for good: their rows fail.
        again: lines with an error that may pass: exported again.
        unknown: lines of requests that this run does not wait for.
        unreadable: lines that are no results, such as a torn last one.
        waiting: requests that still wait.
    """

    answers: int = 0
    duplicates: int = 0
    refused: int = 0
    again: int = 0
    unknown: int = 0
    unreadable: int = 0
    waiting: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


def collect(path: str | Path, *, again: bool = False, budget: str = "") -> Result:
    """Run the rows' code over the journal; what it asks in vain waits from then on.

    Args:
        path: the run folder.
        again: ask requests again that were refused for good.
        budget: ceilings instead of those in the folder's plan.

    Raises:
        TilthError: it is not a run folder, or its seeds or code have changed.
    """
    folder = RunFolder(path).require()
    plan = Plan.load(folder.plan)
    if budget:
        plan = replace(plan, budget=Limits.parse(budget).as_dict())
    if again:
        with_journal(folder, lambda journal: WaitingList(journal).anew(refused=True))
    return run_plan(plan, path, models=waiting_models(plan), quiet=True)


def waiting_models(plan: Plan) -> dict[str, Model]:
    """The plan's models by role; those with an endpoint do not ask it."""
    return {role: waiting(model) for role, model in open_models(plan, plan.load_recipe()).items()}


def export_requests(path: str | Path, file: str | Path, *, again: bool = False, budget: str = "") -> tuple[int, Result]:
    """Write all unanswered requests of a run as OpenAI-batch JSONL; returns how many, and how the run stands.

    Raises:
        DiskError: the file cannot be written.
    """
    result = collect(path, again=again, budget=budget)
    models = {m.identity: m for m in waiting_models(Plan.load(result.folder.plan)).values() if isinstance(m, Batch)}

    def write(journal: Journal) -> int:
        count = 0
        with Path(file).open("wb") as out:
            for line in lines(WaitingList(journal).unsent(), models):
                out.write(line)
                count += 1
        return count

    try:
        return with_journal(result.folder, write), result
    except OSError as error:
        raise DiskError(f"cannot write ({error.strerror})", where=str(file), todo="choose another file") from error


def lines(records: Iterable[Record], models: dict[str, Batch]) -> Iterator[bytes]:
    """The requests as lines of a batch file."""
    for record in records:
        yield models[record.model].line(record.key, request_of(record))


def request_of(record: Record) -> Request:
    """The request that a record holds."""
    asked = record.request or {}
    return Request(
        tuple(asked["messages"]), asked["sampling"], asked["schema"], tuple(asked["tools"]), 1, record.draw, record.role
    )


def import_answers(path: str | Path, file: str | Path) -> Imported:
    """Take answers from a result file: partial, in any order, with errors and duplicates.

    Raises:
        InputError: the file cannot be read, or not one of its lines is a result.
    """
    folder = RunFolder(path).require()
    plan = Plan.load(folder.plan)
    try:
        with Path(file).open("rb") as source:
            found = with_journal(folder, lambda journal: take(journal, source, plan))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(file), todo="check the path") from error
    if found.unreadable and found.unreadable == sum(found.as_dict().values()) - found.waiting:
        raise InputError(
            "no line is a batch result",
            where=str(file),
            todo='each line is {"custom_id": .., "response": {"body": ..}}',
        )
    return found


def take(journal: Journal, source: Iterable[bytes], plan: Plan) -> Imported:
    """Record the answers in the lines of a result file."""
    found, waits = Imported(), WaitingList(journal)
    for text in source:
        if not text.strip():
            continue
        try:
            line = read_line(text)
            asked = waits.get(line.key)
            if asked is None:
                known = journal.reply(line.key) is not None
                found.duplicates += known
                found.unknown += not known
            elif line.lasting:
                waits.refuse(line.key, line.error)
                found.refused += 1
            elif line.error:
                waits.set_batch([line.key], None)
                found.again += 1
            else:
                _answer(journal, asked, line, plan)
                found.answers += 1
        except BadBodyError:
            found.unreadable += 1
    journal.set_meta("sent", int(journal.meta("sent") or 0) + found.answers)
    journal.commit()
    found.waiting = waits.count()
    return found


def _answer(journal: Journal, asked: Record, line: Any, plan: Plan) -> None:
    reply = line.reply(request_of(asked), asked.model)
    usd = cost(model_name(asked.model), reply.usage, plan.prices) or 0.0
    spent = {"input": reply.usage.input, "output": reply.usage.output, "cost": usd}
    WaitingList(journal).answer(replace(asked, reply=plain_reply(reply), **spent))


def with_journal(folder: RunFolder, use: Callable[[Journal], T]) -> T:
    """Use a run's journal for a moment."""
    journal = Journal(folder.journal)
    try:
        return use(journal)
    finally:
        journal.close()
