"""Selection over rows: the steps in their one order, each dropped row with its reason and the evidence for it.

Order, whatever the order of flags: decontaminate, exact, novelty, near. Rows are conserved:
kept + dropped = rows, in the order of the file. Does not read or write files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilth.errors import InputError, UsageError
from tilth.rows.row import Row
from tilth.rows.text import prompt_text, row_text
from tilth.rows.verdict import FAIL, Verdict
from tilth.select.decontaminate import Decontaminator, Hit
from tilth.select.exact import exact_groups
from tilth.select.near import near_groups
from tilth.select.novelty import novelty_pass

READS = "`text`, else `prompt` and `completion`, else `messages`"
Finding = tuple[str, Verdict]


@dataclass(frozen=True, slots=True)
class Steps:
    """What to select by; a step that is None or False is left out.

    Args:
        decontaminate: drops rows that hit a benchmark.
        exact: drops all but one of equal normalised texts.
        novelty: ROUGE-L F above which a row is dropped, against those accepted before it.
        near: Jaccard of word 3-grams from which rows are near duplicates, as its decimal spelling.
        on: the column to read instead of the convention.
        keep: who survives a group of duplicates: ``first`` in the file, ``longest``, or ``best:COLUMN`` (highest).
        stemmer: Porter stemming in novelty.
    """

    decontaminate: Decontaminator | None = None
    exact: bool = False
    novelty: float | None = None
    near: str | float | None = None
    on: str | None = None
    keep: str = "first"
    stemmer: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """What stayed, what went and why.

    Args:
        kept: rows in the order of the file.
        dropped: (row, reason) in the order of the file.
        verdicts: (row id, verdict) for each dropped row: which other row or benchmark, how similar.
        certificate: of decontamination, when it ran.
        steps: for each step its name, threshold, rows in and rows dropped.
    """

    kept: list[Row]
    dropped: list[tuple[Row, str]]
    verdicts: list[tuple[str, Verdict]]
    certificate: dict[str, Any] | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """Rows dropped by reason."""
        return dict(Counter(reason for _, reason in self.dropped))


def texts_of(rows: Sequence[Row], on: str | None = None) -> list[str]:
    """The text of each row.

    Raises:
        InputError: a row has none.
    """
    texts = []
    for number, row in enumerate(rows, 1):
        text = row_text(row, on)
        if text is None:
            columns = ", ".join(f"'{name}'" for name in row) or "none"
            raise InputError(
                f"no text in column '{on}'" if on else f"no text to read ({READS})",
                where=f"row {number} (id {row.id})",
                todo=f"its columns are {columns}; choose one with --on COLUMN, or rename with --map",
            )
        texts.append(text)
    return texts


def select_rows(rows: Sequence[Row], steps: Steps) -> Selection:
    """Run the steps over rows.

    Args:
        rows: in the order of the file.
        steps: what to select by.

    Returns:
        Kept and dropped rows with reasons and evidence.

    Raises:
        InputError: a row has no text, or no number in the column of ``keep``.
        UsageError: a threshold or rule is not valid.
    """
    rows = list(rows)
    texts = texts_of(rows, steps.on)
    priority = _priority(rows, texts, steps.keep)
    found: dict[int, Finding] = {}
    log: list[dict[str, Any]] = []
    certificate: dict[str, Any] | None = None

    def run(name: str, threshold: Any, step: Callable[[list[int]], dict[int, Finding]]) -> None:
        alive = [i for i in range(len(rows)) if i not in found]
        fresh = step(alive)
        found.update(fresh)
        log.append({"step": name, "threshold": threshold, "rows": len(alive), "dropped": len(fresh)})

    if steps.decontaminate is not None:
        gate = steps.decontaminate
        parts = [[] if steps.on or (prompt := prompt_text(row)) is None else [prompt] for row in rows]
        hits = gate.check(texts, parts)
        certificate = gate.certificate(hits)
        run("decontaminate", gate.methods, lambda alive: {i: _hit(hit) for i in alive if (hit := hits[i]) is not None})

    def grouped(
        name: str, alive: list[int], survivor: list[int], evidence: Callable[[int], dict[str, Any]]
    ) -> dict[int, Finding]:
        out = {}
        for i, held in enumerate(survivor):
            if held != i:
                proof = {"survivor": rows[alive[held]].id, **evidence(i)}
                out[alive[i]] = _fail(name, "duplicate", proof["similarity"], proof)
        return out

    def exact(alive: list[int]) -> dict[int, Finding]:
        survivor = exact_groups([texts[i] for i in alive], priority and [priority[i] for i in alive])
        return grouped("exact", alive, survivor, lambda i: {"similarity": 1.0})

    def novelty(alive: list[int]) -> dict[int, Finding]:
        assert steps.novelty is not None
        result = novelty_pass([texts[i] for i in alive], steps.novelty, stemmer=steps.stemmer)
        out = {}
        for i, held in enumerate(result.nearest):
            if held >= 0:
                score = result.similarity[i]
                proof = {"survivor": rows[alive[held]].id, "similarity": score, "threshold": steps.novelty}
                out[alive[i]] = _fail("novelty", "rouge-l", score, proof)
        return out

    def near(alive: list[int]) -> dict[int, Finding]:
        assert steps.near is not None
        result = near_groups([texts[i] for i in alive], steps.near, priority=priority and [priority[i] for i in alive])

        def evidence(i: int) -> dict[str, Any]:
            proof: dict[str, Any] = {"similarity": result.similarity[i], "threshold": float(str(steps.near))}
            if result.link[i] != result.survivor[i]:
                proof |= {"linked_to": rows[alive[result.link[i]]].id, "link_similarity": result.link_similarity[i]}
            return proof

        return grouped("near", alive, result.survivor, evidence)

    if steps.exact:
        run("exact", None, exact)
    if steps.novelty is not None:
        run("novelty", steps.novelty, novelty)
    if steps.near is not None:
        run("near", float(str(steps.near)), near)
    dropped = sorted(found)
    return Selection(
        [row for i, row in enumerate(rows) if i not in found],
        [(rows[i], found[i][0]) for i in dropped],
        [(rows[i].id, found[i][1]) for i in dropped],
        certificate,
        log,
    )


def _fail(step: str, detail: str, score: float, evidence: dict[str, Any]) -> Finding:
    return f"{step}:{detail}", Verdict(step, FAIL, score, evidence, detail)


def _hit(hit: Hit) -> Finding:
    return _fail("decontaminate", hit.method, hit.score, hit.as_dict())


def _priority(rows: list[Row], texts: list[str], keep: str) -> list[float] | None:
    if keep == "first":
        return None
    if keep == "longest":
        return [float(len(text)) for text in texts]
    rule, _, column = keep.partition(":")
    if rule != "best" or not column:
        raise UsageError(f"keep={keep} is no rule", todo="use first, longest or best:COLUMN")
    numbers = []
    for number, row in enumerate(rows, 1):
        value = row.get(column)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            where = f"row {number} (id {row.id})"
            raise InputError(
                f"no number in column '{column}' to choose the survivor by",
                where=where,
                todo="choose another keep=best:COLUMN",
            )
        numbers.append(float(value))
    return numbers
