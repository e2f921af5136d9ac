"""Rows that a person corrected while labelling: an append-only file of new rows, each with its parent and lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tilth.audit.involvement import JUDGED
from tilth.audit.labels import append_line, now
from tilth.errors import InputError
from tilth.rows.lineage import Event, Lineage, involvement_level
from tilth.rows.row import made_id

NAME = "audit/fixes.jsonl"
"""Where in a run folder."""
METHOD = "human-fix"


@dataclass(frozen=True, slots=True)
class Fix:
    """A corrected row.

    Args:
        id: of the new row, made from its parent and content.
        parent: the row that was corrected.
        columns: the new row's columns.
        lineage: of the new row; its events are the parent's and the person's.
        annotator, at: who and when.
    """

    id: str
    parent: str
    columns: Mapping[str, Any]
    lineage: Lineage
    annotator: str = ""
    at: str = ""


def add_fix(path: str | Path, parent: Lineage, columns: Mapping[str, Any], annotator: str = "") -> Fix:
    """Append a corrected row.

    The person who corrects a row has judged it, and so its parent: the level is derived from that.

    Args:
        path: of the fixes.
        parent: lineage of the row that was corrected.
        columns: all columns of the new row.
        annotator: who.

    Raises:
        DiskError: the file cannot be written.
    """
    path = Path(path)
    id = made_id(METHOD, [parent.id], 0, columns)
    events = (*parent.events, Event("rewrote", "human", annotator), Event("rated", "human", annotator))
    judged = involvement_level((*parent.events, JUDGED)) if parent.events else parent.level
    line = Lineage(
        id, (parent.id,), parent.seeds, METHOD, "1", parent.round + 1, licence=parent.licence, events=events,
        level=involvement_level(events, [judged]),
    )  # fmt: skip
    fix = Fix(id, parent.id, dict(columns), line, annotator, now())
    entry = {"id": id, "parent": parent.id, "annotator": annotator, "at": fix.at}
    path.parent.mkdir(parents=True, exist_ok=True)
    append_line(path, orjson.dumps({**entry, "columns": fix.columns, "lineage": line.as_dict()}) + b"\n")
    return fix


def undo_fix(path: str | Path, parent: str, annotator: str = "") -> None:
    """Append a line that takes back what an annotator made of a row; the earlier lines stay.

    Raises:
        DiskError: the file cannot be written.
    """
    entry = {"parent": parent, "annotator": annotator, "at": now(), "undo": True}
    append_line(Path(path), orjson.dumps(entry) + b"\n")


def read_fixes(path: str | Path) -> list[Fix]:
    """The corrected rows that stand: each annotator's last one of each row.

    Raises:
        InputError: a line but the last, which a crash may have cut, is not a fix.
    """
    path = Path(path)
    if not path.is_file():
        return []
    found: dict[tuple[str, str], Fix] = {}
    lines = path.read_bytes().splitlines()
    for i, line in enumerate(lines, 1):
        try:
            value = orjson.loads(line) if line.strip() else None
        except orjson.JSONDecodeError as error:
            if i == len(lines):
                break
            raise InputError("not valid JSON", where=f"{path}, line {i}", todo="mend or remove the line") from error
        if not isinstance(value, dict):
            continue
        key = (str(value.get("parent")), str(value.get("annotator") or ""))
        if value.get("undo"):
            found.pop(key, None)
        else:
            lineage = Lineage.from_dict(value["lineage"])
            found[key] = Fix(value["id"], key[0], value["columns"], lineage, key[1], str(value.get("at") or ""))
    return list(found.values())
