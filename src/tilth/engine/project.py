"""From journal to dataset: the run folder's tables are a projection of the recorded outcomes, in seed order.

A resumed, a replayed and an uninterrupted run have equal outcomes and hence equal tables, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tilth.journal.records import Outcome
from tilth.journal.store import Journal
from tilth.rows.folder import RunFolder, lineage_record, verdict_record
from tilth.rows.lineage import Lineage
from tilth.rows.verdict import Verdict


@dataclass
class Numbers:
    """What the tables hold; `check` asserts that nothing is lost."""

    used: int = 0
    seeds_failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def candidates(self) -> int:
        """Everything that was ever a candidate."""
        return self.kept + sum(self.dropped.values()) + self.failed + self.unfinished

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        content = outcome.content
        if outcome.scope != "pool" and outcome.status in ("done", "failed"):
            self.used += 1
        if outcome.status == "failed":
            self.seeds_failed += 1
            self.failed += 1
            self.failures[content["failed"][2].split(":")[0]] += 1
        for name, value in content.get("notes", {}).items():
            self.notes[name] = self.notes.get(name, 0) + value
        for _, reason in content.get("skipped", ()):
            self.skipped[reason] += 1
        kept = content.get("kept", ())
        self.kept += len(kept)
        for _, lineage, verdicts in kept:
            self.levels[str(lineage["level"])] += 1
            self._tally(verdicts)
        for _, _, verdicts, reason in content.get("dropped", ()):
            self.dropped[reason] += 1
            self._tally(verdicts)

    def _tally(self, verdicts: list[dict[str, Any]]) -> None:
        for verdict in verdicts:
            self.verdicts.setdefault(verdict["verifier"], Counter())[verdict["outcome"]] += 1


def count(journal: Journal) -> Numbers:
    """Count the outcomes of a run."""
    numbers = Numbers(unfinished=journal.started())
    for outcome in journal.outcomes():
        numbers.add(outcome)
    return numbers


def project(journal: Journal, folder: RunFolder) -> Numbers:
    """Write `data/`, `lineage/` and `verdicts/` from the journal; returns what `count` does, without a pass of its own.

    Raises:
        DiskError: no space; what stood there before still stands.
    """
    numbers = Numbers(unfinished=journal.started())
    folder.write_stream(lambda: _records(journal), first=lambda: _records(journal, numbers))
    return numbers


def _records(journal: Journal, numbers: Numbers | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All records; or, while `numbers` counts, those whose types are not known yet."""
    sources: set[str] = set()
    evidence = numbers is None
    for outcome in journal.outcomes():
        if numbers is not None:
            numbers.add(outcome)
        content = outcome.content
        for columns, lineage, verdicts in content.get("kept", ()):
            yield "data/kept", {"id": lineage["id"], **columns}
            if evidence:
                yield from _evidence(lineage, verdicts, sources)
        for columns, lineage, verdicts, reason in content.get("dropped", ()):
            own = {("source_reason" if k == "reason" else k): v for k, v in columns.items()}
            yield "data/dropped", {"id": lineage["id"], "reason": reason, **own}
            if evidence:
                yield from _evidence(lineage, verdicts, sources)
        if "failed" in content:
            id, columns, reason = content["failed"]
            own = {("source_" + k if k in ("id", "reason") else k): v for k, v in columns.items()}
            yield "data/failed", {"id": id, "reason": reason, **own}
        sources.discard(outcome.scope)  # a seed is the source of its own outcome alone: memory stays flat


def _evidence(
    lineage: Mapping[str, Any], verdicts: list[dict[str, Any]], sources: set[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for seed in lineage["seeds"]:
        if seed not in sources:
            sources.add(seed)
            yield "lineage", lineage_record(Lineage(id=seed, seeds=(seed,)))
    yield "lineage", lineage_record(lineage)
    for verdict in verdicts:
        yield "verdicts", verdict_record(lineage["id"], Verdict.from_dict(verdict))
