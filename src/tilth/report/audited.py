"""What people and predictions have said of a run since: its labels, the rates from them, its ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import InputError
from tilth.report.tables import ids_of
from tilth.rows.folder import RunFolder

LABELS = ("right", "wrong", "unsure")


def read_labels(path: Path) -> tuple[tuple[Mapping[str, Any], ...], int]:
    """The last word of each annotator on each row; a half-written last line is counted, not fatal."""
    if not path.is_file():
        return (), 0
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    unreadable = 0
    for line in path.read_bytes().splitlines():
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            entry = None
        known = isinstance(entry, dict) and isinstance(entry.get("id"), str)
        if known and entry.get("undo") is True:
            last.pop((entry["id"], str(entry.get("annotator") or "")), None)
        elif known and isinstance(entry.get("label"), str):
            last[(entry["id"], str(entry.get("annotator") or ""))] = entry
        else:
            unreadable += 1
    return tuple(last.values()), unreadable


def rates_from_labels(folder: RunFolder, labels: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The audit's rates of these labels as ``{value, lo, hi}``; none when no row is labelled right or wrong."""
    from tilth.audit.estimate import rates

    known = [e for e in labels if e["label"] in LABELS]
    try:
        found = rates(known, ids_of(folder, "data/kept"), ids_of(folder, "data/dropped"))
    except InputError:
        return {}
    return {name: getattr(found, name).to_dict() for name in ("epsilon", "rho", "phi", "kept_noise")}


def levels_from_labels(folder: RunFolder, labels: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """Kept rows by level of human involvement after people have labelled; none when nobody labelled right or wrong."""
    from tilth.audit.involvement import levels_after

    judged = {str(e["id"]) for e in labels if e["label"] in ("right", "wrong")}
    if not judged:
        return {}
    kept = ids_of(folder, "data/kept")
    levels = levels_after(folder.read("lineage"), judged)
    return dict(sorted(Counter(level for id, level in levels.items() if id in kept).items()))


def read_ledger(run: RunFolder) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """Predictions beside measurements, and the latest prediction with the limits that hold for every one."""
    if not (run.path / "ledger.jsonl").is_file():
        return (), {}
    from tilth.audit import ledger
    from tilth.audit.limits import GUIDE, LIMITS

    predictions = [entry for entry in ledger.read_ledger(run.path) if entry.get("kind") == "prediction"]
    if not predictions:
        return (), {}
    latest = dict(predictions[-1])
    notes = [GUIDE] if latest.get("basis") == "guide" else []
    return tuple(ledger.calibration(run.path)), {"notes": notes, "limits": list(LIMITS), **latest}
