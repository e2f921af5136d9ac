"""What people said of rows: an append-only file, and the consensus of several annotators."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tilth.errors import DiskError, InputError, did_you_mean

VALUES = ("right", "wrong", "unsure")


@dataclass(frozen=True, slots=True)
class Label:
    """One annotator's word on one row.

    Args:
        id: the row's id.
        label: ``right``, ``wrong`` or ``unsure``.
        annotator: who said it.
        at: when, ISO 8601; may be empty.
    """

    id: str
    label: str
    annotator: str = ""
    at: str = ""


def read_labels(path: str | Path, *, torn: bool = False) -> list[Label]:
    """The labels of a JSON Lines file (``id, label`` and optionally ``annotator, at``), in order.

    Lines whose label is still null or empty, as `tilth audit` writes them, are left out. A line with ``"undo": true``
    takes back what the same annotator said of the row in the lines before.

    Args:
        path: of the file.
        torn: leave out lines that are not JSON, such as a crash may have cut.

    Raises:
        InputError: a line is not such a label.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), todo="check the path") from error
    found: dict[int, Label] = {}
    for i, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if b'"undo"' in line and (gone := _undone(line)) is not None:
            found = {at: label for at, label in found.items() if (label.id, label.annotator) != gone}
        elif torn and not _is_json(line):
            continue
        elif (label := _label(line, f"{path}, line {i}")) is not None:
            found[i] = label
    return list(found.values())


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _undone(line: bytes) -> tuple[str, str] | None:
    """Row and annotator of a line that takes a label back."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.get("undo") is not True:
        return None
    return str(value.get("id")), str(value.get("annotator") or "")


def _label(line: bytes, where: str) -> Label | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"not valid JSON ({error.msg})", where=where, todo="mend or remove the line") from error
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise InputError("no column 'id' with a row's id", where=where, todo='write {"id": ..., "label": "right"}')
    return None if value.get("label") in (None, "") else as_label(value, where)


def as_label(value: Label | Mapping[str, Any], where: str = "labels") -> Label:
    """A checked label from a mapping.

    Raises:
        InputError: the label is none of right, wrong, unsure.
    """
    if isinstance(value, Label):
        found = value
    else:
        word = value.get("label")
        text = word.strip().lower() if isinstance(word, str) else word
        found = Label(str(value.get("id")), str(text), str(value.get("annotator") or ""), str(value.get("at") or ""))
    if found.label not in VALUES:
        what = "no label" if found.label in ("None", "") else f"the label '{found.label}'"
        raise InputError(
            f"{what} for row '{found.id}'", where=f"{where}, column 'label'", todo=did_you_mean(found.label, VALUES)
        )
    return found


def add_label(path: str | Path, id: str, label: str, annotator: str = "", *, blind: bool | None = None) -> Label:
    """Append one label with the time; nothing that stands in the file is changed.

    Args:
        path: of the labels.
        id, label, annotator: see `Label`.
        blind: whether the annotator had not seen what the verifiers said; not written when None.

    Raises:
        InputError: the label is none of right, wrong, unsure.
        DiskError: the file cannot be written.
    """
    found = as_label({"id": id, "label": label, "annotator": annotator, "at": now()})
    entry: dict[str, Any] = {"id": found.id, "label": found.label, "annotator": found.annotator, "at": found.at}
    append_line(Path(path), orjson.dumps(entry if blind is None else {**entry, "blind": blind}) + b"\n")
    return found


def undo_label(path: str | Path, id: str, annotator: str = "") -> None:
    """Append a line that takes back all that an annotator said of a row; the earlier lines stay.

    Raises:
        DiskError: the file cannot be written.
    """
    entry = {"id": id, "label": None, "annotator": annotator, "at": now(), "undo": True}
    append_line(Path(path), orjson.dumps(entry) + b"\n")


def now() -> str:
    """The time for a record: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def append_line(path: Path, line: bytes) -> None:
    """Append one whole line and flush it to the disk; a half line left by a crash is ended first.

    Raises:
        DiskError: it cannot be written.
    """
    try:
        with path.open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DiskError(
            f"cannot write ({error.strerror})", where=str(path), todo="free space or check permissions"
        ) from error


def consensus(labels: Iterable[Label | Mapping[str, Any]]) -> dict[str, str]:
    """One label a row: each annotator's last word counts, the majority of right and wrong decides, a tie is unsure."""
    last: dict[tuple[str, str], str] = {}
    for label in map(as_label, labels):
        last[label.id, label.annotator] = label.label
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for (id, _), word in last.items():
        votes[id][word] += 1
    return {id: _majority(v) for id, v in votes.items()}


def _majority(votes: Counter[str]) -> str:
    right, wrong = votes["right"], votes["wrong"]
    return "unsure" if right == wrong else "right" if right > wrong else "wrong"
