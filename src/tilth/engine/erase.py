"""Erasing what a run holds of one person, everywhere in its folder, and leaving a record that it was done.

The record says when, which rows and how much, and not what was erased. The seed file is the user's own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tilth.engine.project import Numbers, project
from tilth.errors import InputError, UsageError
from tilth.journal.records import Outcome
from tilth.journal.store import Journal
from tilth.journal.upkeep import compact, erase, holding
from tilth.rows.folder import RunFolder

REMADE = ("report.html", "README.md")
"""Files made from the dataset, removed so that they are made anew."""


@dataclass
class Erasure:
    """What was erased.

    Args:
        at: when, in seconds since 1970.
        reason: as the user put it.
        seeds: ids of the seeds whose data are gone.
        rows: rows of the dataset that are gone.
        answers: recorded answers that are gone.
        labels: people's labels of these rows that are gone.
    """

    at: float
    reason: str
    seeds: list[str] = field(default_factory=list)
    rows: int = 0
    answers: int = 0
    labels: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The record as plain JSON."""
        return {name: getattr(self, name) for name in ("at", "reason", "seeds", "rows", "answers", "labels")}


def erase_person(path: str | Path, *, match: str = "", ids: Iterable[str] = (), reason: str = "") -> Erasure:
    """Erase from a run folder every seed of which something holds `match`, or whose id is named, with all it led to.

    Args:
        path: the run folder.
        match: a text, such as a name or an address.
        ids: ids of seeds, as in the lineage.
        reason: for the record; do not repeat the text.

    Raises:
        UsageError: nothing to look for, or the reason repeats the text.
        InputError: nothing was found.
    """
    folder = RunFolder(path).require()
    wanted = set(ids)
    if not match and not wanted:
        raise UsageError("nothing to erase is named", todo="add --match TEXT, or --seed-id ID")
    if match and match in reason:
        raise UsageError(
            "the reason repeats what shall be gone", todo="word it otherwise, for example --reason 'request 12'"
        )
    done = Erasure(time.time(), reason)
    journal = Journal(folder.journal)
    try:
        before = {o.seed: o for o in journal.outcomes() if o.scope != "pool"}
        found = _seeds(journal, before, match, wanted)
        gone = {entry for i, _ in found if i in before for entry in _rows(before[i])}
        answers = erase(journal, found, match)
        pool = [o for o in journal.outcomes() if o.scope == "pool"]
        gone |= _erase_from_pool(journal, pool, match, wanted)
        if not found and not gone and not answers:
            raise InputError(
                "nothing that is recorded holds this", where=str(path), todo="check the spelling; it is exact"
            )
        done.seeds, done.rows, done.answers = [id for _, id in found], len(gone), answers
        done.labels = _erase_labels(folder, gone, match)
        record = [*(journal.meta("erased") or []), done.as_dict()]
        journal.set_meta("erased", record)
        compact(journal)
        _recount(folder, journal, project(journal, folder), record)
    finally:
        journal.close()
    for name in REMADE:
        (folder.path / name).unlink(missing_ok=True)
    return done


def _seeds(journal: Journal, outcomes: dict[int, Outcome], match: str, ids: set[str]) -> list[tuple[int, str]]:
    """Index and id of the seeds to erase."""
    scopes = {i: o.scope for i, o in outcomes.items()}
    asked = "SELECT seed, scope FROM requests UNION SELECT seed, scope FROM waiting"
    for seed, scope in journal.read(f"SELECT seed, scope FROM ({asked}) WHERE seed>=0"):
        scopes.setdefault(seed, str(scope).partition("/")[0])
    held = holding(journal, match) if match else set()
    return sorted((i, s) for i, s in scopes.items() if s != "pool" and (i in held or s in ids))


def _rows(outcome: Outcome) -> list[str]:
    entries = [*outcome.content.get("kept", ()), *outcome.content.get("dropped", ())]
    return [entry[1]["id"] for entry in entries]


def _erase_from_pool(journal: Journal, outcomes: list[Outcome], match: str, ids: set[str]) -> set[str]:
    """Take rows out of a pool's rounds: those that hold the text or come from a named seed, and all their descendants."""
    gone: set[str] = set()
    spelt = orjson.dumps(match)[1:-1] if match else b""
    for outcome in outcomes:
        content = dict(outcome.content)
        for name in ("kept", "dropped"):
            left = []
            for entry in content.get(name, ()):
                lineage = entry[1]
                tied = gone.intersection(lineage["parents"]) or ids.intersection(lineage["seeds"])
                if tied or (spelt and spelt in orjson.dumps(entry)):
                    gone.add(lineage["id"])
                else:
                    left.append(entry)
            if name in content:
                content[name] = left
        journal.put_outcome(Outcome(outcome.seed, outcome.part, outcome.scope, outcome.status, content))
    return gone


def _erase_labels(folder: RunFolder, gone: set[str], match: str) -> int:
    if not folder.labels.is_file():
        return 0
    lines = folder.labels.read_text(encoding="utf-8").splitlines()
    left = [x for x in lines if orjson.loads(x).get("id") not in gone and not (match and match in x)]
    folder.write_text(folder.labels, "".join(f"{x}\n" for x in left))
    return len(lines) - len(left)


def _recount(folder: RunFolder, journal: Journal, numbers: Numbers, record: list[dict[str, Any]]) -> None:
    """The summary's counts after the erasure."""
    if not folder.summary.is_file():
        return
    summary = orjson.loads(folder.summary.read_bytes())
    summary |= {
        "candidates": numbers.candidates, "kept": numbers.kept, "dropped": dict(sorted(numbers.dropped.items())),
        "failed": numbers.failed, "failed_why": dict(sorted(numbers.failures.items())), "unfinished": numbers.unfinished,
        "levels": dict(sorted(numbers.levels.items())),
        "verdicts": {name: dict(sorted(c.items())) for name, c in sorted(numbers.verdicts.items())},
        "erased": [{k: v for k, v in entry.items() if k != "at"} for entry in record],
    }  # fmt: skip
    skipped, seeds = sum(numbers.skipped.values()), summary["seeds"]
    if not any(o.scope == "pool" for o in journal.outcomes()):
        seeds |= {"used": numbers.used, "skipped": skipped, "failed": numbers.seeds_failed}
        seeds |= {"skipped_why": dict(sorted(numbers.skipped.items()))}
        seeds["untouched"] = seeds["total"] - numbers.used - skipped - numbers.unfinished
    folder.write_json(folder.summary, summary)
