"""Rows for the tools in which people label: Argilla records, Label Studio tasks, and PRM800K's form of step labels.

What the verifiers said goes along as a suggestion, so that a person can agree or not; the row's id goes along so that
labels find their way back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilth.report import tables
from tilth.report.facts import Facts, plain
from tilth.report.shapes import CannotExpressError, Columns, Shape
from tilth.rows.prm800k import as_prm800k

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
            "data": {"id": row.get("id"), **data},
            "meta": {"run": facts.name},
            "predictions": predictions,
        }

    return make


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
