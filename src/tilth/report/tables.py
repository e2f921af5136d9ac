"""What a run's tables say: which columns and licences there are, how long texts are, and a few rows to look at.

Rows to look at are those with the smallest ids: ids are hashes, so this is a random sample that is the same each time.
Rows are hostile data; whoever shows them escapes them.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tilth.rows.folder import RunFolder
from tilth.rows.text import row_text

LENGTH_ROWS = 100_000
"""Rows of a table whose length is measured; the first ones."""
TEXT_LENGTH = 4_000
"""Characters of a text that is kept for a figure."""
MAX_DEPTH = 6
"""Generations of ancestors that are looked up."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What one pass over a table keeps.

    Args:
        rows: reason (empty for a kept row) to a few rows.
        words: words of each measured row's text.
        count: rows in the table.
        texts: texts of a random sample of all rows, cut to `TEXT_LENGTH`.
    """

    rows: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    words: list[int] = field(default_factory=list)
    count: int = 0
    texts: list[str] = field(default_factory=list)


def sample_table(folder: RunFolder, name: str, each: int, *, reasons: Iterable[str] = (), texts: int = 0) -> Sampled:
    """A few rows by reason, and the length of all texts.

    Args:
        folder: the run folder.
        name: table, such as ``data/kept``.
        each: rows for each reason.
        reasons: reasons to look at; all when empty.
        texts: rows whose texts are kept.
    """
    wanted = set(reasons)
    heaps: dict[str, list[tuple[int, int, dict[str, Any]]]] = defaultdict(list)
    words: list[int] = []
    drawn: list[tuple[int, str]] = []
    count = 0
    for count, row in enumerate(folder.read(name), 1):
        if count <= LENGTH_ROWS:
            text = row_text(row)
            if text is not None:
                words.append(len(text.split()))
                if texts:
                    _offer(drawn, (-_rank(row.get("id")), text[:TEXT_LENGTH]), texts)
        reason = str(row.get("reason") or "") if name != "data/kept" else ""
        if wanted and reason not in wanted:
            continue
        heap, rank = heaps[reason], -_rank(row.get("id"))
        if len(heap) < each:
            heapq.heappush(heap, (rank, -count, row))
        elif heap and rank > heap[0][0]:
            heapq.heapreplace(heap, (rank, -count, row))
    rows = {reason: [row for _, _, row in sorted(heap, reverse=True)] for reason, heap in heaps.items()}
    return Sampled(rows, words, count, [text for _, text in sorted(drawn, reverse=True)])


def _offer(heap: list[tuple[int, str]], entry: tuple[int, str], most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, entry)
    elif entry > heap[0]:
        heapq.heapreplace(heap, entry)


def _rank(id: Any) -> int:
    """A row id as a number, for drawing: the smallest ids are a sample that depends on nothing else."""
    text = str(id or "")
    try:
        return int(text, 16)
    except ValueError:
        return int.from_bytes(text.encode("utf-8", "replace")[:16].ljust(16, b"\0"), "big")


def columns(folder: RunFolder, name: str = "data/kept") -> list[str]:
    """The table's columns, or none when there is no such table."""
    import polars as pl

    parts = sorted((folder.path / name).glob("*.parquet"))
    return list(pl.read_parquet_schema(parts[0])) if parts else []


def licences(folder: RunFolder) -> dict[str, int]:
    """Kept rows by the licence of their ancestry; the empty name stands for unknown.

    A run's lineage has the kept rows in their own order, so one pass over both is enough, whatever their number; only a
    folder with another order is looked up by id.
    """
    counts: Counter[str] = Counter()
    kept = (str(row["id"]) for row in _scan(folder, "data/kept", ["id"]) if "id" in row)
    wanted = next(kept, None)
    for line in _scan(folder, "lineage", ["id", "licence"]):
        if line["id"] == wanted:
            counts[str(line["licence"] or "")] += 1
            wanted = next(kept, None)
    return dict(sorted((counts if wanted is None else _licences_by_id(folder)).items()))


def _licences_by_id(folder: RunFolder) -> Counter[str]:
    kept = ids_of(folder, "data/kept")
    found: dict[str, str] = {}
    for line in _scan(folder, "lineage", ["id", "licence"]):
        if line["id"] in kept:
            found.setdefault(line["id"], str(line["licence"] or ""))
    return Counter(found.values())


def ids_of(folder: RunFolder, name: str) -> set[str]:
    """Ids of a table's rows."""
    return {str(row["id"]) for row in _scan(folder, name, ["id"]) if "id" in row}


def lookup(folder: RunFolder, name: str, ids: Iterable[str]) -> list[dict[str, Any]]:
    """The records of a table that belong to `ids`, in table order."""
    import polars as pl

    wanted = sorted({i for i in ids if i})
    if not wanted:
        return []
    found: list[dict[str, Any]] = []
    for part in sorted((folder.path / name).glob("*.parquet")):
        found += pl.scan_parquet(part).filter(pl.col("id").is_in(wanted)).collect().to_dicts()
    return found


def ancestry(folder: RunFolder, id: str) -> list[list[dict[str, Any]]]:
    """Lineage records of a row and its ancestors, by generation: the row itself first.

    Args:
        folder: the run folder.
        id: the row.
    """
    generations: list[list[dict[str, Any]]] = []
    ids, seen = [id], {id}
    while ids and len(generations) < MAX_DEPTH:
        unique = {record["id"]: record for record in lookup(folder, "lineage", ids)}
        records = [unique[i] for i in ids if i in unique]
        if not records:
            break
        generations.append(records)
        ids = []
        for record in records:
            for parent in record.get("parents") or ():
                if parent not in seen:
                    seen.add(parent)
                    ids.append(parent)
    return generations


def verdicts_of(folder: RunFolder, ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Verdict records by row id."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in lookup(folder, "verdicts", ids):
        found[record["id"]].append(record)
    return dict(found)


def outcome_counts(folder: RunFolder) -> dict[str, dict[str, int]]:
    """Verdicts by verifier and outcome, counted from the table."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in _scan(folder, "verdicts", ["verifier", "verdict"]):
        counts[str(record["verifier"])][str(record["verdict"])] += 1
    return {name: dict(sorted(c.items())) for name, c in sorted(counts.items())}


def from_json(text: Any) -> Any:
    """A JSON text of a table as a value; the text itself when it is none."""
    if not isinstance(text, str):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def without_nulls(value: Any) -> Any:
    """`value` without the null fields that a Parquet struct has for every name any row uses."""
    if isinstance(value, Mapping):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _scan(folder: RunFolder, name: str, wanted: list[str]) -> Iterator[dict[str, Any]]:
    import polars as pl

    for part in sorted((folder.path / name).glob("*.parquet")):
        there = [c for c in wanted if c in pl.read_parquet_schema(part)]
        yield from pl.read_parquet(part, columns=there).iter_rows(named=True)
