"""What a row gives each training method: plain texts for the small loop, TRL's own columns for TRL. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilth.errors import InputError
from tilth.rows.text import last_assistant, prompt_text, turn_text

Row = Mapping[str, Any]
Turns = list[dict[str, str]]
COLUMNS = ("prompt", "completion", "completions", "chosen", "rejected", "label", "labels", "messages", "margin", "text")
"""Columns that a trainer reads."""


def answer_text(row: Row, column: str) -> str:
    """The text of an answer column, which holds a string or a list of turns; empty when it has none."""
    value = row.get(column)
    return turn_text(value[-1]) if isinstance(value, list) and value else value if isinstance(value, str) else ""


def completion_of(row: Row, index: int) -> tuple[str, str]:
    """Prompt and completion of a row.

    Raises:
        InputError: one of them is missing; `index` says where.
    """
    prompt, completion = prompt_text(row), last_assistant(row)
    if prompt is None or not completion:
        raise _missing("prompt" if prompt is None else "completion", index)
    return prompt, completion


def preference_of(row: Row, index: int) -> tuple[str, str, str]:
    """Prompt, chosen and rejected of a row.

    Raises:
        InputError: one of them is missing.
    """
    texts = {"prompt": prompt_text(row), "chosen": answer_text(row, "chosen"), "rejected": answer_text(row, "rejected")}
    for name, text in texts.items():
        if not text:
            raise _missing(name, index)
    return str(texts["prompt"]), str(texts["chosen"]), str(texts["rejected"])


def margin_of(row: Row, index: int) -> float | None:
    """By how much chosen is better, where the row says so.

    Raises:
        InputError: it is no number.
    """
    margin = row.get("margin")
    if margin is None:
        return None
    if isinstance(margin, bool) or not isinstance(margin, int | float):
        raise InputError(
            f"margin is {margin!r}", where=f"row {index + 1}", todo="give a number, or leave the column out"
        )
    return float(margin)


def unpaired_of(row: Row, index: int) -> list[tuple[str, str, bool]]:
    """Prompt, completion and whether it is right; a row with `chosen` and `rejected` is one of each.

    Raises:
        InputError: a column is missing.
    """
    if "chosen" in row:
        prompt, chosen, rejected = preference_of(row, index)
        return [(prompt, chosen, True), (prompt, rejected, False)]
    prompt, completion, label = prompt_text(row) or "", last_assistant(row), row.get("label")
    if not prompt or not completion or label not in (True, False, 0, 1):
        raise InputError(
            "kto needs prompt, completion and a true or false label", where=f"row {index + 1}", todo="or rows with chosen and rejected"
        )  # fmt: skip
    return [(prompt, completion, bool(label))]


def steps_of(row: Row, index: int) -> tuple[str, list[str], list[int]]:
    """Prompt, steps and their labels (1 right, 0 wrong) of a row.

    A label is a truth value, or a rating of -1, 0 and 1, where 0, a step that is not wrong but leads nowhere, counts as
    right (Lightman et al. 2023, section 2.6). Steps behind the last label are left out.

    Raises:
        InputError: a column is missing or a label is none of these.
    """
    prompt, steps, labels = prompt_text(row) or "", row.get("completions"), row.get("labels")
    if not prompt or not isinstance(steps, list) or not isinstance(labels, list) or not steps or not labels:
        raise InputError(
            "prm needs prompt, completions (the steps) and labels (one a step)",
            where=f"row {index + 1}",
            todo="see the columns of steps in the documentation",
        )
    if len(labels) > len(steps) or any(x not in (-1, 0, 1) for x in labels):
        raise InputError(
            f"{len(labels)} labels for {len(steps)} steps: {labels[:5]}",
            where=f"row {index + 1}",
            todo="give at most one label a step: true or false, or -1, 0, 1",
        )
    truths = all(isinstance(label, bool) for label in labels)
    return prompt, [str(s) for s in steps[: len(labels)]], [int(x if truths else x >= 0) for x in labels]


def all_steps(rows: Sequence[Row]) -> list[tuple[str, list[str], list[int]]]:
    """`steps_of` every row.

    Raises:
        InputError: a row lacks a column, or no step of any row is wrong.
    """
    found = [steps_of(row, i) for i, row in enumerate(rows)]
    if found and all(all(labels) for _, _, labels in found):
        raise InputError(
            "no step of any row is wrong, so nothing can be learned",
            todo="a wrong step is labelled false or -1; the number 0 means neutral, as in PRM800K",
        )
    return found


def beliefs_of(row: Mapping[str, Any], index: int) -> tuple[str, list[str], list[float]]:
    """Prompt, possible answers and beliefs of a row.

    Raises:
        InputError: a column is missing or the beliefs are no distribution.
    """
    prompt, answers, beliefs = prompt_text(row) or "", row.get("completions"), row.get("labels")
    good = prompt and isinstance(answers, list) and isinstance(beliefs, list) and len(answers) == len(beliefs) >= 2
    if not good or min(beliefs) < 0 or abs(sum(beliefs) - 1) > 1e-3:  # type: ignore[arg-type]
        raise InputError(
            "confidence needs prompt, completions (possible answers) and labels (beliefs that sum to 1)",
            where=f"row {index + 1}",
            todo="see weak-to-strong in the documentation",
        )
    return prompt, [str(a) for a in answers or ()], [float(b) for b in beliefs or ()]


def all_beliefs(rows: Sequence[Row]) -> list[tuple[str, list[str], list[float]]]:
    """`beliefs_of` every row.

    Raises:
        InputError: a row lacks a column, or rows have different numbers of possible answers.
    """
    found = [beliefs_of(row, i) for i, row in enumerate(rows)]
    if len({len(answers) for _, answers, _ in found}) > 1:
        raise InputError(
            "the rows do not all have the same number of possible answers", todo="train on rows of one kind at a time"
        )
    return found


def for_trl(rows: Sequence[Row], method: str, chat: bool) -> list[dict[str, Any]]:
    """Rows with exactly the columns that TRL's trainer of a method reads.

    Args:
        rows: as read.
        method: one of `tilth.train.config.METHODS`.
        chat: whether the tokenizer has a chat template: then texts become turns, so that the model is trained on what it
            will be asked in.

    Raises:
        InputError: a row lacks a column.
    """

    def turns(row: Row) -> Any:
        if not chat:
            return "\n\n".join(turn_text(t) for t in _asked(row)) if "messages" in row else prompt_text(row)
        return _asked(row)

    def reply(text: str) -> Any:
        return [{"role": "assistant", "content": text}] if chat else text

    if method == "prm":
        return [{"prompt": p, "completions": steps, "labels": labels} for p, steps, labels in all_steps(rows)]
    if method == "confidence":
        parts = zip(rows, all_beliefs(rows), strict=True)
        return [{"prompt": turns(r), "completions": [reply(a) for a in said], "labels": b} for r, (_, said, b) in parts]
    made: list[dict[str, Any]] = []
    for i, row in enumerate(rows):
        if method == "sft" and isinstance(row.get("text"), str) and prompt_text(row) is None:
            made.append({"text": row["text"]})
        elif method == "sft":
            made.append({"prompt": turns(row), "completion": reply(completion_of(row, i)[1])})
        elif method == "kto":
            for _, text, right in unpaired_of(row, i):
                made.append({"prompt": turns(row), "completion": reply(text), "label": right})
        else:
            _, chosen, rejected = preference_of(row, i)
            margin = margin_of(row, i) if method == "reward" else None
            extra = {} if margin is None else {"margin": margin}
            made.append({"prompt": turns(row), "chosen": reply(chosen), "rejected": reply(rejected), **extra})
    if made and len({tuple(row) for row in made}) > 1:
        raise InputError("the rows do not all have the same columns", todo="train on rows of one kind at a time")
    return made


def _asked(row: Row) -> Turns:
    """The turns before the answer."""
    turns = row.get("prompt") if "prompt" in row else row.get("messages")
    if not isinstance(turns, list):
        return [{"role": "user", "content": str(turns)}]
    if "prompt" not in row and turns and turns[-1].get("role") == "assistant":
        turns = turns[:-1]
    return [{"role": str(t.get("role")), "content": turn_text(t)} for t in turns]


def _missing(column: str, index: int) -> InputError:
    return InputError(
        f"no text in column '{column}'", where=f"row {index + 1}", todo=f"rename a column with --map {column}=NAME"
    )
