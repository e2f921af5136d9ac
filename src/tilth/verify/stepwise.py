"""The steps of a solution, and labels and scores of them: -1 wrong, 0 neutral, 1 good, up to and including the first -1.

The labels are PRM800K's (Lightman et al. 2023, arXiv:2305.20050). Knows no way to find them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tilth.rows.row import Row
from tilth.rows.text import last_assistant
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.segments import sentences

MOST = 60
"""Ours: a solution of more steps is not judged step by step."""
_MARKER_LINE = re.compile(r"\s*(?:####|\**(?:the )?(?:final )?answer\**\s*(?::|is\b))", re.I)


def segment(text: str) -> list[str]:
    """The steps of a solution: its lines that are not blank; the sentences of one that has a single line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return sentences(lines[0]) if len(lines) == 1 else lines


def is_final(step: str) -> bool:
    """Whether a step only states the final answer."""
    return _MARKER_LINE.match(step) is not None


def steps_of(row: Mapping[str, Any]) -> list[str]:
    """A row's steps: its column `completions` when that is a list of texts, else the segments of its answer."""
    given = row.get("completions")
    if isinstance(given, list) and all(isinstance(step, str) for step in given):
        return [step for step in given if step.strip()]
    return segment(last_assistant(row) or "")


def steps_missing(row: Mapping[str, Any]) -> str | None:
    """The column that a row with steps lacks, or None."""
    if "messages" in row:
        return None
    if "prompt" not in row:
        return "prompt"
    return None if {"completion", "completions"} & set(row) else "completion"


def up_to_first_wrong(labels: Sequence[int]) -> list[int]:
    """Labels without what follows the first -1."""
    return list(labels[: labels.index(-1) + 1]) if -1 in labels else list(labels)


def solution_scores(values: Sequence[float]) -> dict[str, float | None]:
    """A solution's score from its steps' probabilities: their product, their least, and the mean logarithm.

    The product punishes long solutions; the other two do not.
    """
    mean_log = sum(map(math.log, values)) / len(values) if values and min(values) > 0 else None
    return {"product": float(math.prod(values)), "min": min(values, default=1.0), "mean_log": mean_log}


def doubt_of(steps: Sequence[str]) -> str:
    """Why steps cannot be judged one by one: ``no-answer`` or ``many-steps``; an empty string when they can."""
    return "no-answer" if not steps else "many-steps" if len(steps) > MOST else ""


def step_verdict(
    id: str, version: str, labels: Sequence[int], steps: Sequence[str], score: float | None, evidence: Mapping[str, Any]
) -> Verdict:
    """fail with the first wrong step, else pass; unknown when no step was labelled."""
    labels = up_to_first_wrong(labels)
    known = {"steps": len(steps), "labels": labels, **evidence}
    if not labels:
        return Verdict(id, UNKNOWN, score, known, "unparsed", version=version)
    if labels[-1] == -1:
        known |= {"first_wrong_step": len(labels) - 1, "step": steps[len(labels) - 1][:300]}
        return Verdict(id, FAIL, score, known, "step", version=version)
    return Verdict(id, PASS, score, known, version=version)


def labelled(row: Row, verdict: Verdict) -> dict[str, Any] | None:
    """A row in the stepwise form, from a verdict that labels its steps: ``completions`` and ``labels``; None without any."""
    labels = verdict.evidence.get("labels")
    return {**row, "completions": steps_of(row)[: len(labels)], "labels": labels} if labels else None


def first_wrong(labels: Sequence[int]) -> int | None:
    """Index of the first step labelled -1; None when there is none."""
    return list(labels).index(-1) if -1 in labels else None


def locating(verdicts: Sequence[Verdict], truth: Sequence[int | None]) -> dict[str, float]:
    """How well verdicts find the first wrong step; unknown finds nothing.

    Args:
        verdicts: with ``first_wrong_step`` in the evidence of a fail.
        truth: the first wrong step of each solution, None for a right one.

    Returns:
        ``erroneous``: share of wrong solutions whose first error is named exactly; ``correct``: share of right ones that pass;
        ``f1``: their harmonic mean (ProcessBench, Zheng et al. 2024, arXiv:2412.06559, section 3); and the counts.
    """
    wrong = [(v, t) for v, t in zip(verdicts, truth, strict=True) if t is not None]
    right = [v for v, t in zip(verdicts, truth, strict=True) if t is None]
    exact = sum(v.outcome == FAIL and v.evidence.get("first_wrong_step") == t for v, t in wrong)
    a = exact / len(wrong) if wrong else 0.0
    b = sum(v.outcome == PASS for v in right) / len(right) if right else 0.0
    return {
        "wrong": len(wrong), "right": len(right), "erroneous": a, "correct": b,
        "f1": 2 * a * b / (a + b) if a + b else 0.0,
    }  # fmt: skip
