"""PRM800K's form of step labels (Lightman et al. 2023; openai/prm800k, README): written from and read into rows.

A row has `prompt`, `completions` (the steps) and `labels` (-1 wrong, 0 neutral, 1 good, up to and including the first -1).
Knows no model and no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def as_prm800k(row: Mapping[str, Any], *, labeler: str = "tilth", timestamp: str = "") -> dict[str, Any]:
    """One record of PRM800K.

    Args:
        row: `prompt`, `completions`, `labels`, and where there are any `answer` and `completion`, the whole solution.
        labeler: who labelled.
        timestamp: when; empty for machine labels, which have no time of their own.

    Returns:
        The record; each step has one completion, chosen unless it is the wrong one at the end.

    Raises:
        ValueError: steps and labels differ in number, a label is none of -1, 0 and 1, or labels go on after a -1.
    """
    steps, labels = list(row["completions"]), list(row["labels"])
    if len(steps) != len(labels) or any(label not in (-1, 0, 1) for label in labels):
        raise ValueError("a step needs one label of -1, 0 or 1")
    if -1 in labels[:-1]:
        raise ValueError("labels go on after the first wrong step")
    whole = [line.strip() for line in str(row.get("completion") or "").splitlines() if line.strip()] or steps
    wrong = bool(labels) and labels[-1] == -1
    answer = None if row.get("answer") is None else str(row["answer"])
    return {
        "labeler": labeler,
        "timestamp": timestamp,
        "generation": None,
        "is_quality_control_question": False,
        "is_initial_screening_question": False,
        "question": {
            "problem": row["prompt"],
            "ground_truth_solution": None,
            "ground_truth_answer": answer,
            "pre_generated_steps": whole,
            "pre_generated_answer": whole[-1].removeprefix("####").strip() if whole else None,
            "pre_generated_verifier_score": row.get("score"),
        },
        "label": {
            "steps": [_step(step, int(label)) for step, label in zip(steps, labels, strict=True)],
            "total_time": 0,
            "finish_reason": "found_error" if wrong else "solution",
        },
    }


def _step(text: str, label: int) -> dict[str, Any]:
    completion = {"text": text, "rating": label, "flagged": False}
    return {"completions": [completion], "human_completion": None, "chosen_completion": None if label == -1 else 0}


def from_prm800k(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The trajectory of a record as a row, up to and including the first step rated -1.

    The trajectory is the chosen completion of each step, the human one where none is chosen; a step without either ends it
    with its first completion, when that is rated wrong.

    Args:
        record: one line of the released files.

    Returns:
        ``prompt, answer, completions, labels, finish_reason``, or None when nothing of it was rated (the labeller gave up, or
        the record is bad).
    """
    question, label = record.get("question") or {}, record.get("label") or {}
    steps: list[str] = []
    labels: list[int] = []
    for step in label.get("steps") or ():
        found = _trajectory(step)
        if found is None:
            break
        steps.append(found[0])
        labels.append(found[1])
        if found[1] == -1:
            break
    if not steps:
        return None
    return {
        "prompt": question.get("problem"),
        "answer": question.get("ground_truth_answer"),
        "completions": steps,
        "labels": labels,
        "finish_reason": label.get("finish_reason"),
    }


def _trajectory(step: Mapping[str, Any]) -> tuple[str, int] | None:
    completions: Sequence[Mapping[str, Any]] = step.get("completions") or ()
    chosen, human = step.get("chosen_completion"), step.get("human_completion")
    if isinstance(chosen, int) and 0 <= chosen < len(completions):
        found = completions[chosen]
    elif isinstance(human, Mapping):
        return str(human.get("text") or ""), 1 if human.get("rating") is None else int(human["rating"])
    elif completions and completions[0].get("rating") == -1:
        found = completions[0]
    else:
        return None
    return None if found.get("rating") is None else (str(found.get("text") or ""), int(found["rating"]))
