"""Finding rows of a run: by state, reason, label and words. Reads the tables part by part; knows no page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tilth.rows.folder import RunFolder

STATES = ("kept", "dropped", "failed")
LABELS = ("right", "wrong", "unsure")
PAGE_ROWS = 40


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are asked for; empty means any.

    Args:
        state: one of `STATES`.
        reason: drop reason, or its beginning up to a colon.
        label: what people said, one of `LABELS`, or ``none``.
        words: a text that must occur in a column, upper or lower case alike, or the beginning of an id.
    """

    state: str = ""
    reason: str = ""
    label: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of rows.

    Args:
        rows: state and record of each.
        total: rows that fit, over all pages.
    """

    rows: list[tuple[str, dict[str, Any]]]
    total: int


def find_rows(folder: RunFolder, wanted: Wanted, labels: Mapping[str, str], page: int = 0) -> Found:
    """The rows of one page, kept rows first, in table order.

    Args:
        folder: the run folder.
        wanted: the filter.
        labels: what people said of rows, by id.
        page: from 0.
    """
    start, end = page * PAGE_ROWS, (page + 1) * PAGE_ROWS
    rows: list[tuple[str, dict[str, Any]]] = []
    total = 0
    for state, frame in _parts(folder, wanted, labels):
        here = frame.height
        if total < end and total + here > start:
            first = max(0, start - total)
            rows += [(state, record) for record in frame.slice(first, end - total - first).iter_rows(named=True)]
        total += here
    return Found(rows, total)


def neighbours(folder: RunFolder, wanted: Wanted, labels: Mapping[str, str], id: str) -> tuple[str, str]:
    """Ids of the rows before and after `id` among those that fit; empty at the ends or when it does not fit."""
    before, hit = "", False
    for _, frame in _parts(folder, wanted, labels, only_ids=True):
        for other in frame["id"]:
            if hit:
                return before, str(other)
            if other == id:
                hit = True
            else:
                before = str(other)
    return (before, "") if hit else ("", "")


def reasons(folder: RunFolder) -> dict[str, Counter[str]]:
    """Rows by state and reason; kept rows have the reason ''."""
    import polars as pl

    counts: dict[str, Counter[str]] = {state: Counter() for state in STATES}
    for state in STATES:
        for part in sorted((folder.path / "data" / state).glob("*.parquet")):
            if state == "kept":
                counts[state][""] += pl.scan_parquet(part).select(pl.len()).collect().item()
            else:
                counts[state].update(str(r or "") for r in pl.read_parquet(part, columns=["reason"])["reason"])
    return counts


def _parts(
    folder: RunFolder, wanted: Wanted, labels: Mapping[str, str], *, only_ids: bool = False
) -> Iterator[tuple[str, Any]]:
    """Each part's rows that fit."""
    import polars as pl

    chosen = [id for id, label in labels.items() if label == wanted.label]
    for state in STATES:
        if (wanted.state and wanted.state != state) or (wanted.reason and state == "kept"):
            continue
        for part in sorted((folder.path / "data" / state).glob("*.parquet")):
            lazy = pl.scan_parquet(part)
            if wanted.reason:
                is_it = pl.col("reason") == wanted.reason
                lazy = lazy.filter(is_it | pl.col("reason").str.starts_with(wanted.reason + ":"))
            if wanted.label == "none":
                lazy = lazy.filter(~pl.col("id").is_in(list(labels)))
            elif wanted.label:
                lazy = lazy.filter(pl.col("id").is_in(chosen))
            if only_ids and not wanted.words:
                lazy = lazy.select("id")
            frame = lazy.collect()
            if wanted.words and frame.height:
                frame = frame.filter(_holds(frame, wanted.words))
            if frame.height:
                yield state, frame


def _holds(frame: Any, words: str) -> Any:
    """Which rows of a frame hold a text, as a mask."""
    import polars as pl

    lower = words.lower()
    mask = frame["id"].str.starts_with(lower) if len(lower) >= 4 else pl.Series([False] * frame.height)
    for name, kind in frame.schema.items():
        if name == "id":
            continue
        if kind == pl.String:
            mask = mask | frame[name].str.to_lowercase().str.contains(lower, literal=True).fill_null(False)
        elif isinstance(kind, (pl.List, pl.Struct)):
            texts = (orjson.dumps(v, default=str).decode().lower() for v in frame[name].to_list())
            inside = orjson.dumps(lower).decode()[1:-1]
            mask = mask | pl.Series([inside in text for text in texts])
        else:
            mask = mask | (frame[name].cast(pl.String) == words).fill_null(False)
    return mask
