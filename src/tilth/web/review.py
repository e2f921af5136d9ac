"""A review in progress: which row comes next, what was said, and how precise the rates are by now.

Everything lasting is in the run folder's `labels.jsonl` and `audit/fixes.jsonl`; each answer is on the disk before the
next row is given, so a killed server loses nothing. Knows no HTTP.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilth.audit.annotators import Agreement, agreement
from tilth.audit.estimate import Counts, Rates, from_counts
from tilth.audit.fixes import NAME as FIXES
from tilth.audit.fixes import add_fix, undo_fix
from tilth.audit.labels import Label, add_label, consensus, read_labels, undo_label
from tilth.audit.planning import Needed, check_figure, labels_needed, next_stratum
from tilth.audit.strata import Stratum, ranked, sample
from tilth.errors import InputError, UsageError
from tilth.report import tables
from tilth.rows.folder import RunFolder
from tilth.rows.lineage import Lineage
from tilth.theory.intervals import Interval, clopper_pearson

SHARED_EVERY = 5
"""With a wanted width, every fifth row of an annotator is one that somebody else has labelled: agreement is known."""
AHEAD = 64
"""Rows read from the tables at once."""
POINTS = 80
"""Points of the curve that shows how the interval shrank."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a review is.

    Args:
        done: rows that this annotator has labelled.
        goal: rows to label by this annotator, as far as is known.
        everyone: labelled rows, by anybody.
        rates: of all labels; None before the first right or wrong.
        needed: what the wanted width still takes; None when no width is wanted.
    """

    done: int
    goal: int
    everyone: int
    rates: Rates | None
    needed: Needed | None


class Review:
    """A run's rows under review.

    Args:
        folder: the run folder.
        size: rows of the sample.
        seed: of the sample.
        width: wanted width of `figure`'s interval; when given, rows are chosen one by one until it is reached.
        figure: one of `tilth.audit.planning.FIGURES`.

    Raises:
        UsageError: not a run folder, or no such figure.
        InputError: a row is both kept and dropped.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        size: int = 200,
        seed: int = 0,
        width: float | None = None,
        figure: str = "kept_noise",
    ) -> None:
        self.folder = folder.require()
        self.size, self.seed, self.width, self.figure = size, seed, width, check_figure(figure)
        sides = {side: sorted(tables.ids_of(folder, f"data/{side}")) for side in ("kept", "dropped")}
        self._ranked: dict[Stratum, list[str]] = {side: ranked(sides[side], seed) for side in ("kept", "dropped")}
        self._order = [s.id for s in sample(sides["kept"], sides["dropped"], size, seed)] if any(sides.values()) else []
        self._side: dict[str, Stratum] = {i: side for side, ids in self._ranked.items() for i in ids}
        if width is not None:
            labels_needed(self._counts({}), width, figure)
        self._rows: dict[str, dict[str, Any]] = {}
        self._labels: list[Label] = []
        self._size_read = -1
        self._agreed: tuple[int, Agreement | None] = (0, None)
        self._given: dict[str, str] = {}
        self._asked: dict[str, str] = {}
        self._seen: set[tuple[str, str]] = set()

    # -- what there is
    def labels(self) -> list[Label]:
        """All labels that stand, read again when the file has grown."""
        path = self.folder.labels
        size = path.stat().st_size if path.is_file() else 0
        if size != self._size_read:
            self._agreed = (-1, None)
            self._labels = read_labels(self.folder.labels, torn=True) if size else []
            self._size_read = size
        return self._labels

    def row(self, id: str) -> dict[str, Any]:
        """A row's columns, without id and reason.

        Raises:
            InputError: the run has no such row.
        """
        if id not in self._side:
            raise InputError(f"the run has no row '{id}'", where=str(self.folder.path), todo="open the page anew")
        if id not in self._rows:
            self._load(id)
        return {k: v for k, v in self._rows[id].items() if k not in ("id", "reason")}

    def stratum(self, id: str) -> Stratum:
        """Whether the verifier kept a row."""
        return self._side[id]

    def _load(self, id: str) -> None:
        at = self._order.index(id) if id in self._order else -1
        wanted = self._order[at : at + AHEAD] if at >= 0 else [id]
        if at < 0:
            ids = self._ranked[self._side[id]]
            start = ids.index(id)
            wanted = ids[start : start + AHEAD]
        for name in ("data/kept", "data/dropped"):
            for record in tables.lookup(self.folder, name, wanted):
                self._rows[str(record["id"])] = record

    # -- which row comes next
    def next_id(self, annotator: str) -> str | None:
        """The row to show, the same until it is labelled; None when there is nothing left to label."""
        if annotator in self._asked:
            return self._asked[annotator]
        mine = {v.id for v in self.labels() if v.annotator == annotator}
        given = self._given.get(annotator)
        if given is None or given in mine:
            given = self._choose(annotator, mine)
            if given is None:
                self._given.pop(annotator, None)
            else:
                self._given[annotator] = given
        return given

    def skip(self, annotator: str) -> str | None:
        """Another row for now: the one given is put to the end."""
        if annotator in self._asked:
            return self._asked.pop(annotator)
        given = self._given.pop(annotator, None)
        if given is None:
            return None
        for ids in (self._order, *self._ranked.values()):
            if given in ids:
                ids.remove(given)
                ids.append(given)
        return given

    def show(self, annotator: str, id: str) -> None:
        """Give this annotator a certain row next, even one that is labelled: the last word counts."""
        if id in self._side:
            self._asked[annotator] = id

    def more(self, rows: int = 50) -> None:
        """Enlarge the sample; a larger sample contains the smaller one."""
        self.size += rows
        kept, dropped = self._ranked["kept"], self._ranked["dropped"]
        if not self._side:
            return
        found = [s.id for s in sample(kept, dropped, self.size, self.seed)]
        there = set(self._order)
        self._order += [id for id in found if id not in there]

    def _choose(self, annotator: str, mine: set[str]) -> str | None:
        if self.width is None:
            return next((id for id in self._order if id not in mine), None)
        words = consensus(self.labels())
        needed = labels_needed(self._counts(words), self.width, self.figure)
        if needed.more == 0:
            return None
        taken = {id for who, id in self._given.items() if who != annotator}
        if len(mine) % SHARED_EVERY == SHARED_EVERY - 1:
            shared = next((v.id for v in self.labels() if v.id in self._side and v.id not in mine), None)
            if shared is not None:
                return shared
        gone = {id for id in (*words, *taken) if id in self._side}
        left = {s: len(ids) - sum(self._side[i] == s for i in gone) for s, ids in self._ranked.items()}
        side = next_stratum(self._counts(words), left, self.figure)
        return next((id for id in self._ranked[side] if id not in gone), None) if side is not None else None

    # -- what is said
    def reveal(self, annotator: str, id: str) -> None:
        """Remember that an annotator has asked for the evidence: what follows is not blind."""
        self._seen.add((annotator, id))

    def revealed(self, annotator: str, id: str) -> bool:
        """Whether this annotator has asked for the evidence of this row."""
        return (annotator, id) in self._seen

    def label(self, id: str, word: str, annotator: str) -> None:
        """Store a label.

        Raises:
            InputError: the run has no such row, or the label is none.
            DiskError: it cannot be written.
        """
        self.row(id)
        self.labels()
        add_label(self.folder.labels, id, word, annotator, blind=not self.revealed(annotator, id))
        for given in (self._given, self._asked):
            if given.get(annotator) == id:
                del given[annotator]

    def fix(self, id: str, columns: Mapping[str, Any], annotator: str) -> str:
        """Store a corrected row, and that the row as it stood is wrong.

        Args:
            id: the row that was corrected.
            columns: the columns that were changed.
            annotator: who.

        Returns:
            the new row's id.

        Raises:
            UsageError: nothing was changed.
            DiskError: it cannot be written.
        """
        row = self.row(id)
        changed = {k: v for k, v in columns.items() if k in row and row[k] != v}
        if not changed:
            raise UsageError("nothing was changed", todo="change a text, or choose right, wrong or unsure")
        record = next(iter(tables.lookup(self.folder, "lineage", [id])), None)
        parent = Lineage(id)
        if record is not None:
            told = {k: tables.from_json(v) if k in ("sampling", "events") else v for k, v in record.items()}
            parent = Lineage.from_dict(told)
        plain = {k: tables.without_nulls(v) for k, v in row.items() if v is not None}
        made = add_fix(self.folder.path / FIXES, parent, {**plain, **changed}, annotator)
        self.label(id, "wrong", annotator)
        return made.id

    def undo(self, annotator: str) -> str | None:
        """Take back this annotator's latest label; its row is given again.

        Returns:
            the row, or None when nothing is left to undo.

        Raises:
            DiskError: it cannot be written.
        """
        mine = [v.id for v in self.labels() if v.annotator == annotator and v.id in self._side]
        if not mine:
            return None
        fixes = self.folder.path / FIXES
        if fixes.is_file() and f'"parent":"{mine[-1]}"'.encode() in fixes.read_bytes():
            undo_fix(fixes, mine[-1], annotator)
        undo_label(self.folder.labels, mine[-1], annotator)
        self._asked.pop(annotator, None)
        self._given[annotator] = mine[-1]
        return mine[-1]

    # -- how precise it is
    def progress(self, annotator: str) -> Progress:
        """How far the review is."""
        labels = self.labels()
        words = consensus(labels)
        counts = self._counts(words)
        found = from_counts(counts, agreed=self._agreement(labels)) if counts.labelled else None
        mine = {v.id for v in labels if v.annotator == annotator and v.id in self._side}
        done = len(mine)
        needed = labels_needed(counts, self.width, self.figure) if self.width is not None else None
        everyone = len(words.keys() & self._side.keys())
        goal = done + (needed.more if needed is not None else sum(id not in mine for id in self._order))
        return Progress(done, goal, everyone, found, needed)

    def _agreement(self, labels: list[Label]) -> Agreement | None:
        """How far the annotators agree; computed once for the same labels."""
        if self._agreed[0] != len(labels):
            self._agreed = (len(labels), agreement(labels))
        return self._agreed[1]

    def shrinking(self) -> list[tuple[int, Interval]]:
        """Noise of the kept rows after each label of a kept row, thinned to `POINTS`."""
        votes: dict[str, dict[str, str]] = {}
        counts = Counter[str]()
        trace: list[tuple[int, int]] = []
        for label in self.labels():
            if self._side.get(label.id) == "kept":
                mine = votes.setdefault(label.id, {})
                counts[_majority(mine)] -= 1
                mine[label.annotator] = label.label
                counts[_majority(mine)] += 1
                trace.append((counts["wrong"], counts["wrong"] + counts["right"]))
        step = max(1, -(-len(trace) // POINTS))
        kept = [i for i in range(len(trace)) if i % step == 0 or i == len(trace) - 1]
        return [(i + 1, _share(*trace[i])) for i in kept]

    def _counts(self, words: Mapping[str, str]) -> Counts:
        def number(side: Stratum, word: str) -> int:
            return sum(w == word and self._side.get(i) == side for i, w in words.items())

        kept, dropped = (len(self._ranked[side]) for side in ("kept", "dropped"))
        unsure = sum(w == "unsure" for i, w in words.items() if i in self._side)
        return Counts(
            kept, dropped, number("kept", "right"), number("kept", "wrong"), number("dropped", "right"),
            number("dropped", "wrong"), unsure,
        )  # fmt: skip


def _majority(votes: Mapping[str, str]) -> str:
    """The consensus of one row's votes, as `tilth.audit.labels.consensus` has it."""
    right, wrong = (sum(v == word for v in votes.values()) for word in ("right", "wrong"))
    return "unsure" if right == wrong else "right" if right > wrong else "wrong"


@functools.lru_cache(4096)
def _share(hits: int, trials: int) -> Interval:
    return clopper_pearson(hits, trials)
