"""Selection over rows: the steps in their one order, each dropped row with its reason and the evidence for it.

Order, whatever the order of flags: decontaminate, quality, exact, novelty, near, semantic, subset, balance. Rows are
conserved: kept + dropped = rows, in the order of the file. An existing pool stands before the rows: it is compared with,
and neither kept nor dropped. Does not read or write files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import Verdict
from tilth.select.decontaminate import Decontaminator
from tilth.select.exact import exact_groups
from tilth.select.filters import Filter, Given
from tilth.select.findings import (
    Finding,
    failed,
    fault_finding,
    hit_finding,
    near_evidence,
    priorities,
    shingle_of,
)
from tilth.select.near import MEMORY_BYTES, near_groups
from tilth.select.novelty import Novelty, novelty_pass
from tilth.select.selection import EXAMPLE_CHARACTERS, EXAMPLES, Selection, Steps, texts_of

if TYPE_CHECKING:
    from tilth.select.partition import Partitions


def select_rows(
    rows: Sequence[Row],
    steps: Steps,
    pool: Sequence[Row] = (),
    partitions: Partitions | None = None,
    chained: Sequence[int] = (),
) -> Selection:
    """Run the steps over rows.

    Args:
        rows: in the order of the file.
        steps: what to select by.
        pool: rows that are there already; rows like them are dropped, they themselves are not part of the result.
        chained: for each row of the pool one that it is known to hang together with, see `near_groups`.
        partitions: do decontamination, filters of single rows, exact and near in partitions; the result is the same.

    Returns:
        Kept and dropped rows with reasons and evidence.

    Raises:
        InputError: a row has no text, or no number in the column of ``keep``.
        UsageError: a threshold or rule is not valid.
    """
    run = _Run([*pool, *rows], steps, len(pool), partitions, chained)
    certificate = run.decontaminate(steps.decontaminate) if steps.decontaminate is not None else None
    for filter in steps.quality:
        run.filter(filter)
    if steps.exact:
        run.step("exact", None, run.exact)
    if steps.novelty is not None:
        run.step("novelty", steps.novelty, run.novelty)
    if steps.near is not None:
        run.step("near", float(str(steps.near)), run.near)
    if steps.semantic is not None:
        run.step("semantic", steps.semantic, run.semantic)
    for filter in steps.subset:
        run.filter(filter)
    own = range(len(pool), len(run.rows))
    dropped = [i for i in own if i in run.found]
    judged = [(i, verdict) for i in own if (verdict := run.verdict(i)) is not None]
    examples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for i in dropped:
        reason, why = run.found[i]
        if len(examples[reason]) < EXAMPLES:
            text = run.texts[i][:EXAMPLE_CHARACTERS]
            examples[reason].append({"id": run.rows[i].id, "text": text, "evidence": dict(why.evidence)})
    return Selection(
        [run.row(i) for i in own if i not in run.found],
        [(run.rows[i], run.found[i][0]) for i in dropped],
        [(run.rows[i].id, verdict) for i, verdict in judged],
        certificate,
        run.log,
        dict(examples),
    )


class _Run:
    """The state of one selection: which rows have been dropped so far, and what the steps said."""

    def __init__(
        self, rows: list[Row], steps: Steps, pool: int, partitions: Partitions | None, chained: Sequence[int]
    ) -> None:
        self.rows, self.steps, self.pool, self.partitions, self.chained = rows, steps, pool, partitions, chained
        self.texts = texts_of(rows, steps.on)
        self.found: dict[int, Finding] = {}
        self.noted: dict[int, Verdict] = {}
        self.extra: dict[int, dict[str, Any]] = {}
        self.log: list[dict[str, Any]] = []
        self._report: dict[str, Any] = {}
        self.priority = priorities(rows, self.texts, steps.keep)

    @cached_property
    def vectors(self) -> Any:
        """Embeddings of all rows, unit length, computed when a step first needs them."""
        from tilth.select.embed import column_vectors, open_embedder

        kind, _, name = self.steps.embed.partition(":")
        if kind == "column" and name:
            return column_vectors(self.rows, name)
        return open_embedder(self.steps.embed, self.steps.record).embed(self.texts)

    def verdict(self, i: int) -> Verdict | None:
        """The verdict on a row that was dropped or reported."""
        return self.found[i][1] if i in self.found else self.noted.get(i)

    def step(
        self, name: str, threshold: Any, run: Callable[[list[int]], dict[int, Finding]], pool: bool = True
    ) -> None:
        """Run one step over the rows left (and the pool) and log it."""
        alive = [i for i in range(0 if pool else self.pool, len(self.rows)) if i not in self.found]
        self._report = {}
        fresh = run(alive)
        self.found.update(fresh)
        count = len(alive) - (self.pool if pool else 0)
        self.log.append({"step": name, "threshold": threshold, "rows": count, "dropped": len(fresh), **self._report})

    def filter(self, filter: Filter) -> None:
        """Run a filter over the rows left; the pool does not take part."""

        def faults(alive: list[int]) -> dict[int, Finding]:
            rows, texts = [self.rows[i] for i in alive], [self.texts[i] for i in alive]
            if self.partitions is not None and filter.alone:
                found, self._report = self.partitions.filtered(filter, rows, texts, self.steps.seed)
            else:
                found, self._report = filter(Given(rows, texts, lambda: self.vectors[alive], self.steps.seed))
            return {alive[i]: fault_finding(filter.step, fault) for i, fault in found.items()}

        self.step(filter.name, filter.threshold, faults, pool=False)

    def decontaminate(self, gate: Decontaminator) -> dict[str, Any]:
        """Drop (or only report) rows that hit a benchmark; the certificate."""
        rows, texts = self.rows[self.pool :], self.texts[self.pool :]
        parts = [[] if self.steps.on or (prompt := prompt_text(row)) is None else [prompt] for row in rows]
        hits = gate.check(texts, parts) if self.partitions is None else self.partitions.hits(gate, texts, parts)
        dirty = {self.pool + i: hit_finding(hit) for i, hit in enumerate(hits) if hit is not None}
        dropped = {} if self.steps.report_only else dirty
        self.noted = {i: verdict for i, (_, verdict) in dirty.items()}
        self.step("decontaminate", gate.methods, lambda alive: dropped, pool=False)
        left = len(dirty) - len(dropped)
        return {**gate.certificate(hits), "rows_dropped": len(dropped), "rows_left": left}

    def exact(self, alive: list[int]) -> dict[int, Finding]:
        """Copies."""
        texts, order = [self.texts[i] for i in alive], self._order(alive)
        find = exact_groups if self.partitions is None else self.partitions.exact_groups
        survivor = find(texts, order)
        return self._grouped("exact", alive, survivor, lambda i: {"similarity": 1.0})

    def novelty(self, alive: list[int]) -> dict[int, Finding]:
        """Texts too like one accepted before."""
        steps, out = self.steps, {}
        assert steps.novelty is not None
        texts = [self.texts[i] for i in alive]
        result = novelty_pass(texts, steps.novelty, stemmer=steps.stemmer, pool=self.pool)
        if steps.similar:
            self._describe(alive, result.kept)
        for i, held in enumerate(result.nearest):
            if held >= 0:
                score = result.similarity[i]
                proof = {"survivor": self.rows[alive[held]].id, "similarity": score, "threshold": steps.novelty}
                out[alive[i]] = failed("novelty", "rouge-l", score, proof)
        return out

    def _describe(self, alive: list[int], accepted: list[int]) -> None:
        """Self-Instruct's own fields: the texts accepted before that a row is most like, and its mean ROUGE-L with all."""
        held = Novelty(stemmer=self.steps.stemmer)
        for place in accepted:
            i = alive[place]
            if i >= self.pool:
                nearest = [
                    {"id": self.rows[alive[accepted[k]]].id, "rouge_l": f} for f, k in held.nearest(self.texts[i])
                ]
                self.extra[i] = {"most_similar": nearest, "mean_similarity": held.mean(self.texts[i])}
            held.add(self.texts[i])

    def row(self, i: int) -> Row:
        """A row as it is kept."""
        return Row({**self.rows[i], **self.extra[i]}, self.rows[i].id) if i in self.extra else self.rows[i]

    def near(self, alive: list[int]) -> dict[int, Finding]:
        """Near duplicates."""
        steps = self.steps
        assert steps.near is not None
        unit, length = shingle_of(steps.shingle)
        texts, order = [self.texts[i] for i in alive], self._order(alive)
        if self.partitions is not None:
            result = self.partitions.near_groups(
                texts, steps.near, n=length, unit=unit, pool=self.pool, priority=order, chained=self.chained
            )
        else:
            memory = MEMORY_BYTES if steps.memory is None else steps.memory
            result = near_groups(
                texts,
                steps.near,
                n=length,
                unit=unit,
                pool=self.pool,
                priority=order,
                memory=memory,
                chained=self.chained,
            )
        self._report = {"shingle": steps.shingle, "complete": result.complete}

        def evidence(i: int) -> dict[str, Any]:
            return near_evidence(result, i, steps.near, lambda k: self.rows[alive[k]].id)

        return self._grouped("near", alive, result.survivor, evidence)

    def semantic(self, alive: list[int]) -> dict[int, Finding]:
        """Semantic duplicates."""
        import numpy as np

        from tilth.select.semantic import semantic_groups

        steps = self.steps
        assert steps.semantic is not None
        order = self._order(alive)
        result = semantic_groups(
            self.vectors[alive], steps.semantic, keep=steps.keep if steps.keep in ("hard", "easy") else "first",
            priority=None if order is None else np.array(order), pool=self.pool, clusters=steps.clusters,
            probes=steps.probes, seed=steps.seed,
        )  # fmt: skip
        self._report = {"embed": steps.embed, **result.report}

        def evidence(i: int) -> dict[str, Any]:
            proof: dict[str, Any] = {"similarity": result.similarity[i], "threshold": steps.semantic}
            if result.nearest[i] != result.survivor[i]:
                proof["linked_to"] = self.rows[alive[result.nearest[i]]].id
            return proof

        return self._grouped("semantic", alive, result.survivor, evidence)

    def _order(self, alive: list[int]) -> list[float] | None:
        """Priority of the rows left; the pool comes before all."""
        if self.priority is None:
            return None
        return [float("inf") if i < self.pool else self.priority[i] for i in alive]

    def _grouped(
        self, name: str, alive: list[int], survivor: list[int], evidence: Callable[[int], dict[str, Any]]
    ) -> dict[int, Finding]:
        out = {}
        for i, held in enumerate(survivor):
            if held != i and alive[i] >= self.pool:
                proof = {"survivor": self.rows[alive[held]].id, **evidence(i)}
                if alive[held] < self.pool:
                    proof["pool"] = True
                out[alive[i]] = failed(name, "duplicate", proof["similarity"], proof)
        return out
