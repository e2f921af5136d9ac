"""Labels that come from elsewhere or go elsewhere: CSV, and what Argilla and Label Studio export.

Each row's id travelled there with the row (`tilth.report.labelling`), so labels find their way back. Knows no run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tilth.audit.labels import Label, as_label, read_labels
from tilth.errors import InputError, UsageError

QUESTION = "label"
"""Name of the question in Argilla and of the choice in Label Studio."""
ID_COLUMNS = ("tilth_id", "row_id", "id")
"""Where a row's id may stand, the surest first: tools have ids of their own."""
WHO_COLUMNS = ("annotator", "completed_by", "user_id")
WHEN_COLUMNS = ("at", "updated_at", "created_at")


def load_labels(path: str | Path) -> list[Label]:
    """Labels from any file that holds some: JSON Lines, CSV, an Argilla or a Label Studio export.

    The kind is seen from the content. Skipped and empty answers are left out; several people's answers all count.

    Raises:
        InputError: the file cannot be read, or one of its labels is not right, wrong or unsure.
    """
    path = Path(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        return _checked(_from_table(_text(path), "\t" if path.suffix.lower() == ".tsv" else ","), path)
    records = _records(path)
    if records is None:
        return read_labels(path)
    return _checked((found for record in records for found in _of_record(record)), path)


def save_labels(path: str | Path, labels: Iterable[Label]) -> int:
    """Write labels as CSV or JSON Lines, by the file's ending; what stood there is replaced.

    Returns:
        how many.

    Raises:
        UsageError: another ending.
        InputError: the file cannot be written.
    """
    path = Path(path)
    rows = [{"id": v.id, "label": v.label, "annotator": v.annotator, "at": v.at} for v in labels]
    if path.suffix.lower() == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, ["id", "label", "annotator", "at"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        data = text.getvalue().encode()
    elif path.suffix.lower() in (".jsonl", ".json"):
        data = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    else:
        raise UsageError("labels are written as .jsonl or .csv", where=str(path), todo="choose another file name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})", where=str(path), todo="choose another file"
        ) from error
    return len(rows)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path), todo="check the path") from error


def _records(path: Path) -> list[Mapping[str, Any]] | None:
    """The records of another tool's export, or None when this is our own kind of JSON Lines."""
    text = _text(path).strip()
    try:
        whole = orjson.loads(text) if text.startswith("[") else None
        lines = whole if whole is not None else [orjson.loads(line) for line in text.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        return None
    records: list[Mapping[str, Any]] = (
        [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    )
    foreign = whole is not None or any(
        "responses" in r or "annotations" in r or f"{QUESTION}.responses" in r or "annotation_id" in r for r in records
    )
    return records if foreign else None


def _checked(found: Iterable[Mapping[str, Any]], path: Path) -> list[Label]:
    return [as_label(value, f"{path}, label {i}") for i, value in enumerate(found, 1)]


def _of_record(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(record.get("annotations"), list):
        yield from _label_studio(record)
    elif isinstance(record.get("responses"), Mapping) or f"{QUESTION}.responses" in record:
        yield from _argilla(record)
    else:
        yield from _flat(record)


def _argilla(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A record of `Dataset.records.to_json`, nested or flattened."""
    nested = record.get("responses")
    if isinstance(nested, Mapping):
        answers = nested.get(QUESTION) or []
        told = [(a.get("value"), a.get("user_id"), a.get("status")) for a in answers if isinstance(a, Mapping)]
    else:
        values = record.get(f"{QUESTION}.responses") or []
        who = record.get(f"{QUESTION}.responses.users") or [None] * len(values)
        states = record.get(f"{QUESTION}.responses.status") or [None] * len(values)
        told = list(zip(values, who, states, strict=False))
    for value, user, status in told:
        if value in (None, "") or status == "discarded":
            continue
        yield {"id": record.get("id"), "label": value, "annotator": user, "at": record.get("updated_at")}


def _label_studio(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A task of the JSON export, with its annotations."""
    data = record.get("data")
    id = _first(data if isinstance(data, Mapping) else record, ID_COLUMNS)
    for annotation in record["annotations"]:
        if not isinstance(annotation, Mapping) or annotation.get("was_cancelled"):
            continue
        who = annotation.get("completed_by")
        name = who.get("email") or who.get("id") if isinstance(who, Mapping) else who
        for result in annotation.get("result") or []:
            choices = (result.get("value") or {}).get("choices") if isinstance(result, Mapping) else None
            if choices and result.get("from_name", QUESTION) == QUESTION:
                yield {"id": id, "label": choices[0], "annotator": name, "at": _first(annotation, WHEN_COLUMNS[1:])}


def _flat(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line of Label Studio's short export, of a CSV, or of our own JSON in one array."""
    label = record.get(QUESTION)
    if isinstance(label, Mapping):
        label = (label.get("choices") or [None])[0]
    if label not in (None, ""):
        yield {
            "id": _first(record, ID_COLUMNS), "label": label, "annotator": _first(record, WHO_COLUMNS),
            "at": _first(record, WHEN_COLUMNS),
        }  # fmt: skip


def _from_table(text: str, separator: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    names = reader.fieldnames or []
    if QUESTION not in names or not any(name in names for name in ID_COLUMNS):
        raise InputError(
            f"the table has the columns {', '.join(names) or 'none'}",
            todo="it needs a column 'id' and a column 'label'",
        )
    for record in reader:
        yield from _flat(record)


def _first(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)
