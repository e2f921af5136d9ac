"""Selection of a source that is too large for memory: rows pass by several times, and only compact state is kept.

For every row: 16 bytes of its id and of its normalised text, the tokens that `near` compares (four bytes each), and where
it went. The result is that of `select_rows`, row for row and reason for reason. What needs all rows at once (novelty,
semantic, subsets, balance, learned filters, a pool) is refused. Does not write files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.rows.text import prompt_text, row_text
from tilth.rows.verdict import FAIL, Verdict
from tilth.select.decontaminate import Decontaminator, Hit
from tilth.select.exact import first_of_equals
from tilth.select.filters import Given, merged, no_vectors
from tilth.select.findings import Finding, fault_finding, hit_finding, near_evidence, priorities, shingle_of
from tilth.select.near import MEMORY_BYTES, NearResult, near_settings, near_tokens
from tilth.select.passes import Change, Pass, RowStream
from tilth.select.selection import EXAMPLE_CHARACTERS, EXAMPLES, Steps, gates_after, texts_of
from tilth.select.tokens import Tokens
from tilth.select.words import digest

_KEPT, _FOUND, _EXACT, _NEAR = 0, 1, 2, 3
BLOCK_ROWS = 20_000
"""Rows that are in memory at a time."""
STREAM_BYTES = 10**9
"""Files of this size together are streamed where that is possible."""


def obstacle(steps: Steps) -> str:
    """What keeps a selection from being streamed; empty when nothing does."""
    if steps.novelty is not None:
        return "--novelty"
    if steps.semantic is not None:
        return "--semantic"
    if steps.decontaminate is not None and steps.decontaminate.embedder is not None:
        return "--set cosine"
    if steps.subset:
        return steps.subset[0].name
    return next((filter.name for filter in steps.quality if not filter.alone), "")


class Streamed:
    """What stayed, what went and why, as passes over the source: the same as a `Selection`, in little memory.

    Args:
        rows: the source.
        steps: what to select by; `obstacle` must find none.
        change: see `RowStream`.

    Raises:
        InputError: a row has no text, or no number in the column of ``keep``.
        UsageError: the steps cannot be streamed, or a setting is not valid.
    """

    def __init__(self, rows: Iterable[Row], steps: Steps, change: Change | None = None) -> None:
        if found := obstacle(steps):
            raise UsageError(f"{found} needs all rows at once", todo="leave out --set stream=true")
        self._rows, self._steps = RowStream(rows, change), steps
        self.certificate: dict[str, Any] | None = None
        self.steps: list[dict[str, Any]] = []
        self._found: dict[int, Finding] = {}
        self._noted: dict[int, Verdict] = {}
        self._near: NearResult | None = None
        self._decide()
        self._ids: dict[int, str] = {}
        self.examples: dict[str, list[dict[str, Any]]] = {}
        self._look_up()

    @property
    def kept(self) -> Iterable[Row]:
        """Rows that stay, in order."""
        return Pass(lambda: (row for i, row in enumerate(self._rows) if not self._code[i]))

    @property
    def dropped(self) -> Iterable[tuple[Row, str]]:
        """Rows that go, with their reason, in order."""
        return Pass(lambda: ((row, self._finding(i)[0]) for i, row in enumerate(self._rows) if self._code[i]))

    @property
    def verdicts(self) -> Iterable[tuple[str, Verdict]]:
        """Row id and verdict of each row that goes or is reported."""

        def found() -> Iterator[tuple[str, Verdict]]:
            for i, row in enumerate(self._rows):
                if self._code[i]:
                    yield row.id, self._finding(i)[1]
                elif i in self._noted:
                    yield row.id, self._noted[i]

        return Pass(found)

    @property
    def reasons(self) -> dict[str, int]:
        """Rows dropped by reason, in the order in which the reasons first occur."""
        return dict(Counter(self._finding(i)[0] for i in np.flatnonzero(self._code).tolist()))

    @property
    def counts(self) -> tuple[int, int]:
        """Rows kept and rows dropped."""
        gone = int(np.count_nonzero(self._code))
        return len(self._code) - gone, gone

    @property
    def changed(self) -> dict[str, int]:
        """What has been changed in the rows, by kind."""
        return dict(self._rows.changed)

    def gates(self, before: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """See `Selection.gates`."""
        return gates_after(self.certificate, before)

    def _decide(self) -> None:
        steps, gate = self._steps, self._steps.decontaminate
        hits: list[Hit | None] = []
        reports: list[dict[str, Any]] = [{} for _ in steps.quality]
        went: Counter[int] = Counter()
        asked: Counter[int] = Counter()
        texts_seen, alive = bytearray(), bytearray()
        unit, length = shingle_of(steps.shingle)
        if steps.near is not None:
            near_settings(steps.near, length, unit)
        tokens = Tokens(unit)
        ranks: list[float] = []
        ranked = priorities([], [], steps.keep) is not None
        start = 0
        rows = iter(self._rows)
        while block := list(islice(rows, BLOCK_ROWS)):
            texts = texts_of(block, steps.on, start + 1)
            left = list(range(len(block)))
            if gate is not None:
                parts = [[] if steps.on or (p := prompt_text(row)) is None else [p] for row in block]
                found = gate.check(texts, parts)
                hits += found
                dirty = {i: hit_finding(hit) for i, hit in enumerate(found) if hit is not None}
                self._noted.update((start + i, verdict) for i, (_, verdict) in dirty.items())
                if not steps.report_only:
                    self._found.update((start + i, finding) for i, finding in dirty.items())
                    left = [i for i in left if i not in dirty]
            for k, filter in enumerate(steps.quality):
                given = Given([block[i] for i in left], [texts[i] for i in left], no_vectors, steps.seed)
                faults, report = filter(given)
                asked[k] += len(left)
                went[k] += len(faults)
                reports[k] = merged((reports[k], report))
                self._found.update((start + left[i], fault_finding(filter.step, f)) for i, f in faults.items())
                left = [i for k, i in enumerate(left) if k not in faults]
            if steps.exact:
                texts_seen += b"".join(digest(texts[i]) for i in left)
            if steps.near is not None:
                tokens.add([texts[i] for i in left])
            if ranked:
                ranks += priorities(block, texts, steps.keep, start + 1) or []
            mark = bytearray(len(block))
            for i in left:
                mark[i] = 1
            alive += mark
            start += len(block)
        self._code = np.where(np.frombuffer(bytes(alive), dtype=np.uint8) == 1, _KEPT, _FOUND).astype(np.uint8)
        order = np.array(ranks) if ranked else None
        self._report(gate, hits, asked, went, reports)
        live = np.flatnonzero(self._code == _KEPT)
        if steps.exact:
            live = self._exact(live, texts_seen, order)
        if steps.near is not None:
            self._join(live, tokens, length, order)

    def _report(
        self, gate: Decontaminator | None, hits: list[Hit | None], asked: Counter[int], went: Counter[int],
        reports: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        steps, count = self._steps, len(self._code)
        if gate is not None:
            dropped = 0 if steps.report_only else len(self._noted)
            certificate = gate.certificate(hits)
            self.certificate = {**certificate, "rows_dropped": dropped, "rows_left": len(self._noted) - dropped}
            self._log("decontaminate", gate.methods, count, dropped)
        for k, filter in enumerate(steps.quality):
            self._log(filter.name, filter.threshold, asked[k], went[k], reports[k])

    def _log(self, name: str, threshold: Any, rows: int, dropped: int, report: dict[str, Any] | None = None) -> None:
        self.steps.append({"step": name, "threshold": threshold, "rows": rows, "dropped": dropped, **(report or {})})

    def _exact(self, live: NDArray[np.int64], seen: bytearray, order: NDArray[np.float64] | None) -> NDArray[np.int64]:
        keys = np.frombuffer(bytes(seen), dtype=np.uint64).reshape(-1, 2)
        # a text that is nothing once normalised has the key zero, and stands alone
        real = np.flatnonzero(keys.any(axis=1))
        ranks = np.zeros(len(real)) if order is None else -order[live[real]]
        self._copy_of = np.arange(len(self._code))
        self._copy_of[live[real]] = live[real[first_of_equals(keys[real], ranks)]]
        gone = live[self._copy_of[live] != live]
        self._code[gone] = _EXACT
        self._log("exact", None, len(live), len(gone))
        self._chosen = np.asarray(self._copy_of[live] == live)
        return np.asarray(live[self._chosen])

    def _join(self, live: NDArray[np.int64], tokens: Tokens, length: int, order: NDArray[np.float64] | None) -> None:
        steps = self._steps
        assert steps.near is not None
        self._near = near_tokens(
            tokens, steps.near, n=length, priority=None if order is None else order[live].tolist(),
            memory=MEMORY_BYTES if steps.memory is None else steps.memory,
            chosen=self._chosen if steps.exact else None,
        )  # fmt: skip
        self._live = live
        gone = live[np.array(self._near.survivor, dtype=np.int64) != np.arange(len(live))]
        self._code[gone] = _NEAR
        report = {"shingle": steps.shingle, "complete": self._near.complete}
        self._log("near", float(str(steps.near)), len(live), len(gone), report)

    def _finding(self, i: int) -> Finding:
        code = self._code[i]
        if code == _FOUND:
            return self._found[i]
        if code == _EXACT:
            copy: dict[str, Any] = {"survivor": self._ids.get(int(self._copy_of[i]), ""), "similarity": 1.0}
            return "exact:duplicate", Verdict("exact", FAIL, 1.0, copy, "duplicate")
        assert self._near is not None
        at = int(np.searchsorted(self._live, i))
        live = self._live
        proof = near_evidence(self._near, at, self._steps.near, lambda k: self._ids.get(int(live[k]), ""))
        proof = {"survivor": self._ids.get(int(live[self._near.survivor[at]]), ""), **proof}
        return "near:duplicate", Verdict("near", FAIL, proof["similarity"], proof, "duplicate")

    def _look_up(self) -> None:
        """One pass for the ids of survivors and the texts of examples."""
        dropped = np.flatnonzero(self._code).tolist()
        shown: dict[int, str] = {}
        count: Counter[str] = Counter()
        wanted: set[int] = set()
        for i in dropped:
            reason = self._finding(i)[0]
            count[reason] += 1
            if count[reason] <= EXAMPLES:
                shown[i] = reason
            if self._code[i] == _EXACT:
                wanted.add(int(self._copy_of[i]))
            elif self._code[i] == _NEAR and self._near is not None:
                at = int(np.searchsorted(self._live, i))
                wanted |= {int(self._live[self._near.survivor[at]]), int(self._live[self._near.link[at]])}
        texts: dict[int, tuple[str, str]] = {}
        last = max([*wanted, *shown], default=-1)
        for i, row in enumerate(islice(self._rows, last + 1)):
            if i in wanted:
                self._ids[i] = row.id
            if i in shown:
                texts[i] = row.id, (row_text(row, self._steps.on) or "")[:EXAMPLE_CHARACTERS]
        for i, reason in shown.items():
            id, text = texts[i]
            evidence = dict(self._finding(i)[1].evidence)
            self.examples.setdefault(reason, []).append({"id": id, "text": text, "evidence": evidence})
