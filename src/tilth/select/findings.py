"""What a selection says of a row that goes: its reason, and the verdict with the evidence. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, Verdict
from tilth.select.decontaminate import Hit
from tilth.select.filters import Fault, numbers_of
from tilth.select.near import NearResult

Finding = tuple[str, Verdict]
"""Reason and verdict."""


def failed(step: str, detail: str, score: float | None, evidence: dict[str, Any]) -> Finding:
    """Reason and verdict of a row that a step drops."""
    return f"{step}:{detail}", Verdict(step, FAIL, score, evidence, detail)


def fault_finding(step: str, fault: Fault) -> Finding:
    """Reason and verdict of a row in which a filter found a fault."""
    return failed(step, fault.detail, fault.score, dict(fault.evidence))


def hit_finding(hit: Hit) -> Finding:
    """Reason and verdict of a row that hits a benchmark."""
    return failed("decontaminate", hit.method, hit.score, hit.as_dict())


def near_evidence(result: NearResult, i: int, threshold: Any, id_of: Callable[[int], str]) -> dict[str, Any]:
    """Why text `i` of a result of `near_groups` goes, its survivor aside."""
    proof: dict[str, Any] = {"similarity": result.similarity[i], "threshold": float(str(threshold))}
    if result.link[i] != result.survivor[i]:
        proof |= {"linked_to": id_of(result.link[i]), "link_similarity": result.link_similarity[i]}
    return proof


def shingle_of(spelling: str) -> tuple[str, int]:
    """Unit and length of ``word-3`` or ``char-5``.

    Raises:
        UsageError: the length is no number.
    """
    unit, _, length = spelling.partition("-")
    if not length.isdigit():
        raise UsageError(f"shingle={spelling} is not known", todo="use word-3 or char-5, for example")
    return unit, int(length)


def priorities(rows: Sequence[Row], texts: Sequence[str], keep: str, first: int = 1) -> list[float] | None:
    """One number a row, the highest of a group survives; None when the first in the file does.

    Args:
        rows, texts: the rows.
        keep: the rule, see `Steps`.
        first: number of the first row in the source, for messages.

    Raises:
        UsageError: no such rule. InputError: a row has no number in the column.
    """
    if keep in ("first", "hard", "easy"):
        return None
    if keep == "longest":
        return [float(len(text)) for text in texts]
    rule, _, column = keep.partition(":")
    if rule != "best" or not column:
        raise UsageError(f"keep={keep} is no rule", todo="use first, longest, best:COLUMN, hard or easy")
    return numbers_of(rows, column, "choose another keep=best:COLUMN", first)
