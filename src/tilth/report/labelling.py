"""Rows for the tools in which people label: Argilla records, Label Studio tasks, and PRM800K's form of step labels.

What the verifiers said goes along as a suggestion, so that a person can agree or not; the row's id goes along so that
labels find their way back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from tilth.report import tables
from tilth.report.facts import Facts, plain
from tilth.report.shapes import CannotExpressError, Columns, Shape
from tilth.report.writing import write_json
from tilth.rows.folder import RunFolder
from tilth.rows.prm800k import as_prm800k

TASK_FILES = {
    "jsonl": "to_label.jsonl",
    "csv": "to_label.csv",
    "argilla": "to_label.argilla.jsonl",
    "label-studio": "to_label.label-studio.json",
}
ARRAY_FORMATS = ("label-studio",)
"""Formats that are one JSON array, not JSON lines."""


def argilla(shape: Shape, facts: Facts) -> Callable[[Columns], Columns]:
    """Makes Argilla 2 records: ``id, status, fields, metadata, suggestions, responses, vectors``."""
    said = _verdicts(facts)

    def make(row: Columns) -> Columns:
        built = shape.build(row)
        suggestions = {}
        outcomes = said.get(str(row.get("id")), [])
        if outcomes:
            passed = all(o["verdict"] == "pass" for o in outcomes)
            label = "right" if passed else "wrong" if any(o["verdict"] == "fail" for o in outcomes) else "unsure"
            agent = ",".join(str(o["verifier"]) for o in outcomes)
            suggestions = {"label": {"value": label, "score": None, "agent": agent}}
        return {
            "id": row.get("id"),
            "status": "pending",
            "fields": {name: value if is_chat(value) else plain(value) for name, value in built.items()},
            "metadata": {str(o["verifier"]): o["verdict"] for o in outcomes},
            "suggestions": suggestions,
            "responses": {},
            "vectors": {},
        }

    return make


def label_studio(shape: Shape, facts: Facts) -> Callable[[Columns], Columns]:
    """Makes Label Studio tasks: ``data``, ``meta`` and the verifiers' word as a prediction of the choice ``label``."""
    said = _verdicts(facts)

    def make(row: Columns) -> Columns:
        built = shape.build(row)
        outcomes = said.get(str(row.get("id")), [])
        data = {name: value if is_chat(value) else plain(value) for name, value in built.items()}
        predictions = [
            {
                "model_version": f"{o['verifier']} {o['version']}",
                "score": o["score"],
                "result": [
                    {
                        "from_name": "label",
                        "to_name": next(iter(built)),
                        "type": "choices",
                        "value": {"choices": [{"pass": "right", "fail": "wrong"}.get(str(o["verdict"]), "unsure")]},
                    }
                ],
            }
            for o in outcomes
        ]
        return {
            "data": {"id": row.get("id"), "tilth_id": row.get("id"), **data},
            "meta": {"run": facts.name},
            "predictions": predictions,
        }

    return make


def write_tasks(folder: Path, format: str, rows: Sequence[tuple[str, Columns]]) -> Path:
    """Write rows to be labelled blind: nothing goes along that a verifier has said.

    Args:
        folder: the file is written here as ``to_label...``.
        format: ``jsonl`` or ``csv`` (with an empty column ``label``), ``argilla`` or ``label-studio``.
        rows: id and columns of each, in the order to label.

    Returns:
        the file; the interface that Label Studio needs lies beside it as ``.xml``.

    Raises:
        DiskError: it cannot be written.
    """
    path = folder / TASK_FILES[format]
    told = [(id, {k: tables.without_nulls(v) for k, v in columns.items() if v is not None}) for id, columns in rows]
    if format == "csv":
        names = list(dict.fromkeys(name for _, columns in told for name in columns))
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["id", *names, "label", "annotator"])
        for id, columns in told:
            writer.writerow([id, *(_cell(columns.get(name)) for name in names), "", ""])
        RunFolder(folder).write_text(path, out.getvalue())
    else:
        write_json(path, (_task(format, id, columns) for id, columns in told), array=format in ARRAY_FORMATS)
    if format == "label-studio":
        RunFolder(folder).write_text(path.with_suffix(".xml"), _interface(told))
    return path


def _interface(rows: Sequence[tuple[str, Columns]]) -> str:
    """Label Studio's labelling interface for these rows: their columns, and the choice that is read back."""
    chats = {name: is_chat(value) for _, columns in rows for name, value in columns.items()}
    shown = [
        f"  <Header value={quoteattr(name)}/>\n"
        + (f'  <Paragraphs name={quoteattr(name)} value={quoteattr("$" + name)} nameKey="role" textKey="content"/>\n'
           if chat else f"  <Text name={quoteattr(name)} value={quoteattr('$' + name)}/>\n")
        for name, chat in chats.items()
    ]  # fmt: skip
    values = "".join(f'    <Choice value="{value}"/>\n' for value in ("right", "wrong", "unsure"))
    to = quoteattr(next(iter(chats), "text"))
    choices = f'  <Choices name="label" toName={to} choice="single" required="true">\n{values}  </Choices>\n'
    return f"<View>\n{''.join(shown)}{choices}</View>\n"


def _task(format: str, id: str, columns: Columns) -> dict[str, Any]:
    shown = {name: value if is_chat(value) else plain(value) for name, value in columns.items()}
    if format == "argilla":
        empty: dict[str, Any] = {"metadata": {}, "suggestions": {}, "responses": {}, "vectors": {}}
        return {"id": id, "status": "pending", "fields": shown, **empty}
    if format == "label-studio":
        return {"data": {"id": id, "tilth_id": id, **shown}, "predictions": []}
    return {"id": id, **columns, "label": None, "annotator": None}


def _cell(value: Any) -> str:
    """A value for a spreadsheet, which must not take a model's text for a formula."""
    text = "" if value is None else plain(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def is_chat(value: Any) -> bool:
    """Whether a value is a list of turns."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) and "role" in v for v in value)


def _verdicts(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    return tables.verdicts_of(facts.folder, tables.ids_of(facts.folder, "data/kept"))


def prm800k(shape: Shape, facts: Facts) -> Callable[[Columns], Columns]:
    """Makes PRM800K records of rows with step labels."""

    def make(row: Columns) -> Columns:
        try:
            return as_prm800k({**row, **shape.build(row)})
        except (KeyError, ValueError) as error:
            raise CannotExpressError(str(error).strip("'")) from error

    return make


LABELLING: dict[str, Callable[[Shape, Facts], Callable[[Columns], Columns]]] = {
    "argilla": argilla,
    "label-studio": label_studio,
    "prm800k": prm800k,
}
"""Format to what makes its rows."""
