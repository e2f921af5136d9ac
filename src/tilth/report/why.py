"""All that is recorded of one row: its columns, state, lineage, verdicts, and the requests that went into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.report.tables import from_json, lookup
from tilth.rows.folder import RunFolder


def explain(path: Path, row_id: str, *, requests: bool = True) -> dict[str, Any]:
    """All that is recorded of one row.

    Args:
        path: of the run folder.
        row_id: the row's id, or its first characters.
        requests: also read the journal; it is locked while its run goes on.

    Raises:
        UsageError: no row, or several, have an id that starts so.
    """
    folder = RunFolder(path).require()
    hits = find(folder, row_id)
    if not hits:
        todo = "ids stand in data/kept and data/dropped"
        raise UsageError(f"no row's id starts with '{row_id}'", where=str(path), todo=todo)
    if len(hits) > 1 and row_id not in hits:
        raise UsageError(f"{len(hits)} rows' ids start with '{row_id}'", where=str(path), todo="give more characters")
    id = row_id if row_id in hits else next(iter(hits))
    state, record = hits[id]
    lineage = next(iter(lookup(folder, "lineage", [id])), {})
    keys = lineage.get("keys") or []
    if lineage:
        lineage = {name: from_json(v) if name in ("sampling", "events") else v for name, v in lineage.items()}
    return {
        "id": id,
        "state": state,
        "reason": record.get("reason", "") if state != "kept" else "",
        "columns": {k: v for k, v in record.items() if k not in ("id", *(("reason",) if state != "kept" else ()))},
        "lineage": lineage,
        "verdicts": lookup(folder, "verdicts", [id]),
        "requests": _requests(folder, keys) if requests else [],
    }


def find(folder: RunFolder, start: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """State and record of the rows whose id starts so, by id."""
    import polars as pl

    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for state in ("kept", "dropped", "failed"):
        for part in sorted((folder.path / "data" / state).glob("*.parquet")):
            hits = pl.scan_parquet(part).filter(pl.col("id").str.starts_with(start)).collect()
            found |= {record["id"]: (state, record) for record in hits.iter_rows(named=True)}
    return found


def _requests(folder: RunFolder, keys: list[str]) -> list[dict[str, Any]]:
    if not keys or not folder.journal.is_file():
        return []
    journal = Journal(folder.journal)
    try:
        records = [record for key in keys if (record := journal.record(key)) is not None]
    finally:
        journal.close()
    return [
        {
            "key": r.key,
            "role": r.role,
            "model": r.model,
            "draw": r.draw,
            "messages": (r.request or {}).get("messages", []),
            "sampling": (r.request or {}).get("sampling", {}),
            "reply": r.reply["text"],
            "finish_reason": r.reply["finish_reason"],
        }
        for r in records
    ]
