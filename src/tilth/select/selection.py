"""What a selection is asked to do, and what it answers; see `tilth.select.steps` for how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilth.errors import InputError
from tilth.rows.row import Row
from tilth.rows.text import row_text
from tilth.rows.verdict import Verdict
from tilth.select.decontaminate import Decontaminator
from tilth.select.filters import Filter

EXAMPLES = 10
"""Dropped rows of each reason that a selection shows."""
EXAMPLE_CHARACTERS = 240
READS = "`text`, else `prompt` and `completion`, else `messages`"


@dataclass(frozen=True, slots=True)
class Steps:
    """What to select by; a step that is None, False or empty is left out.

    Args:
        decontaminate: drops rows that hit a benchmark.
        quality: filters that judge each row by itself.
        exact: drops all but one of equal normalised texts.
        novelty: ROUGE-L F above which a row is dropped, against those accepted before it.
        near: Jaccard of shingles from which rows are near duplicates, as its decimal spelling.
        semantic: cosine of embeddings from which rows are semantic duplicates.
        subset: filters that choose among the rows left, such as k-center or quotas.
        on: the column to read instead of the convention.
        keep: who survives a group of duplicates: ``first`` in the file, ``longest``, ``best:COLUMN`` (highest), and for
            semantic duplicates also ``hard`` or ``easy``.
        similar: whether rows that novelty accepts get the columns ``most_similar`` (ten earlier ones, ROUGE-L falling) and
            ``mean_similarity``; that compares all pairs.
        stemmer: Porter stemming in novelty.
        shingle: unit and length for near, such as ``word-3`` or ``char-5``.
        memory: bytes that near may take by estimate before MinHash bands prune; None for the default.
        embed: the embedder's spelling, see `tilth.select.embed`.
        record: a file that keeps an embedding endpoint's answers, so that a second run asks nothing.
        clusters, probes: see `tilth.select.semantic`.
        seed: of clusters, samples and draws.
        report_only: whether contaminated rows stay and are only reported (the gate is then not passed).
    """

    decontaminate: Decontaminator | None = None
    quality: tuple[Filter, ...] = ()
    exact: bool = False
    novelty: float | None = None
    near: str | float | None = None
    semantic: float | None = None
    subset: tuple[Filter, ...] = ()
    on: str | None = None
    keep: str = "first"
    similar: bool = False
    stemmer: bool = False
    shingle: str = "word-3"
    memory: float | None = None
    embed: str = "hashed"
    record: str | None = None
    clusters: int | None = None
    probes: int = 2
    seed: int = 0
    report_only: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """What stayed, what went and why.

    Args:
        kept: rows in the order of the file.
        dropped: (row, reason) in the order of the file.
        verdicts: (row id, verdict) for each dropped row: which other row or benchmark, how similar. A contaminated row
            that stays has one too.
        certificate: of decontamination, when it ran.
        steps: for each step its name, threshold, rows in and rows dropped, and what it reports of itself.
        examples: for each reason up to ten dropped rows: id, text (cut) and evidence.
    """

    kept: list[Row]
    dropped: list[tuple[Row, str]]
    verdicts: list[tuple[str, Verdict]]
    certificate: dict[str, Any] | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, int]:
        """Rows dropped by reason."""
        return dict(Counter(reason for _, reason in self.dropped))

    @property
    def counts(self) -> tuple[int, int]:
        """Rows kept and rows dropped."""
        return len(self.kept), len(self.dropped)

    def gates(self, before: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """Gates for the summary; `export` refuses when one is set and not passed.

        Args:
            before: gates of the run that the rows come from: a part of rows that passed has passed.
        """
        return gates_after(self.certificate, before)


def gates_after(
    certificate: Mapping[str, Any] | None, before: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """See `Selection.gates`. A gate that was not passed is passed only by a check that leaves nothing out of that one."""
    found = dict(before or {})
    if certificate is not None:
        left, names = certificate["rows_left"], [b["name"] for b in certificate["benchmarks"]]
        why = f"{left:,} kept rows hit {', '.join(names)}" if left else f"no kept row hits {', '.join(names)}"
        checked = {
            "benchmarks": {b["name"]: b["hash"] for b in certificate["benchmarks"]},
            "methods": {m["name"]: m["threshold"] for m in certificate["methods"]},
        }
        failed = found.get("decontaminate", {})
        missing = [] if failed.get("passed", True) else _not_checked(failed.get("checked", {}), checked)
        if missing:
            why += f"; an earlier check was not passed, and this one leaves out {', '.join(missing)}"
        found["decontaminate"] = {"set": True, "passed": not left and not missing, "why": why, "checked": checked}
        if missing:
            # the earlier check still stands, whole
            found["decontaminate"]["checked"] = failed["checked"]
    return found


def _not_checked(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Benchmarks and methods of an earlier check that a later one lacks, or applies less strictly."""
    texts = set(now["benchmarks"].values())
    lost = [name for name, hash in before.get("benchmarks", {}).items() if hash not in texts]
    for name, least in before.get("methods", {}).items():
        held = now["methods"].get(name)
        if name not in now["methods"] or (least is not None and (held is None or held > least)):
            lost.append(name if least is None else f"{name} from {least}")
    return lost


def texts_of(rows: Sequence[Row], on: str | None = None, first: int = 1) -> list[str]:
    """The text of each row; `first` is the number of the first one, for messages.

    Raises:
        InputError: a row has none.
    """
    texts = []
    for number, row in enumerate(rows, first):
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
