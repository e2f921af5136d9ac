"""The shapes of rows that trainers read: which one a table has, and what of a row it cannot express.

The shapes are TRL's dataset types (TRL documentation, "Dataset formats and types") and the stepwise
format, which TRL has dropped and which is kept here as documented. This module reads no file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tilth.report.tables import without_nulls

Columns = dict[str, Any]
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


class CannotExpressError(Exception):
    """This row does not fit the shape; the message is a short reason, counted by the caller."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One of the trainers' row types.

    Args:
        id: name on the command line.
        trainer: who reads it.
        needs: columns that make a table have this shape.
        takes: further columns that belong to it when they are there.
        build: a row's columns as the trainer wants them.
    """

    id: str
    trainer: str
    needs: tuple[str, ...]
    takes: tuple[str, ...]
    build: Callable[[Mapping[str, Any]], Columns]

    def fits(self, columns: Collection[str]) -> bool:
        """Whether a table with these columns has this shape."""
        return set(self.needs) <= set(columns)


def turns(value: Any, column: str, *, ends_with: str = "") -> list[Columns]:
    """A chat as plain turns.

    Args:
        value: the column's value.
        column: its name, for the reason.
        ends_with: role that the last turn must have.

    Raises:
        CannotExpressError: it is not a chat, or ends otherwise.
    """
    if not isinstance(value, list) or not value:
        raise CannotExpressError(f"no {column}" if not value else f"{column} is not a list of turns")
    plain = [without_nulls(turn) for turn in value]
    for turn in plain:
        if not isinstance(turn, dict) or turn.get("role") not in ROLES:
            raise CannotExpressError(f"{column} has a turn without a known role")
        if "content" not in turn and not turn.get("tool_calls"):
            raise CannotExpressError(f"{column} has a turn without content")
    if ends_with and plain[-1]["role"] != ends_with:
        raise CannotExpressError(f"{column} does not end with a turn of the {ends_with}")
    return plain


def text_or_turns(row: Mapping[str, Any], column: str) -> Any:
    """A column that is text or a chat.

    Raises:
        CannotExpressError: it is neither, or empty.
    """
    value = row.get(column)
    if isinstance(value, str):
        if not value.strip():
            raise CannotExpressError(f"empty {column}")
        return value
    return turns(value, column)


def _messages(row: Mapping[str, Any]) -> Columns:
    return {"messages": turns(row.get("messages"), "messages", ends_with="assistant")}


def _same_kind(row: Mapping[str, Any], *names: str) -> Columns:
    """Columns that are all text or all chats; a mixture is refused, as trainers do."""
    found = {name: text_or_turns(row, name) for name in names}
    if len({isinstance(v, str) for v in found.values()}) > 1:
        raise CannotExpressError(f"{' and '.join(names)} are not all text or all turns")
    return found


def _preference(row: Mapping[str, Any]) -> Columns:
    found = _same_kind(row, *(("prompt",) if row.get("prompt") is not None else ()), "chosen", "rejected")
    if found["chosen"] == found["rejected"]:
        raise CannotExpressError("chosen equals rejected")
    return found


def _completion(row: Mapping[str, Any]) -> Columns:
    return _same_kind(row, "prompt", "completion")


def _unpaired(row: Mapping[str, Any]) -> Columns:
    if not isinstance(row.get("label"), bool):
        raise CannotExpressError("label is not true or false")
    return {**_completion(row), "label": row["label"]}


def _steps(row: Mapping[str, Any]) -> Columns:
    steps, labels = row.get("completions"), row.get("labels")
    if not isinstance(steps, list) or not isinstance(labels, list) or not steps:
        raise CannotExpressError("completions and labels are not lists of steps")
    if len(steps) != len(labels):
        raise CannotExpressError("completions and labels differ in length")
    return {"prompt": text_or_turns(row, "prompt"), "completions": steps, "labels": labels}


def _reward(row: Mapping[str, Any]) -> Columns:
    truth = {name: without_nulls(row[name]) for name in ("answer", "tests") if row.get(name) not in (None, "", [])}
    if not truth:
        raise CannotExpressError("neither answer nor tests")
    return {"prompt": text_or_turns(row, "prompt"), **truth}


def _text(row: Mapping[str, Any]) -> Columns:
    if not isinstance(row.get("text"), str) or not row["text"].strip():
        raise CannotExpressError("empty text")
    return {"text": row["text"]}


SHAPES = {
    shape.id: shape
    for shape in (
        Shape(
            "preference",
            "DPOTrainer, RewardTrainer",
            ("chosen", "rejected"),
            ("prompt", "margin", "tools"),
            _preference,
        ),
        Shape("messages", "SFTTrainer", ("messages",), ("tools",), _messages),
        Shape("unpaired", "KTOTrainer", ("prompt", "completion", "label"), ("tools",), _unpaired),
        Shape("steps", "process reward models", ("prompt", "completions", "labels"), (), _steps),
        Shape("completion", "SFTTrainer", ("prompt", "completion"), ("tools",), _completion),
        Shape("reward-answer", "GRPOTrainer", ("prompt", "answer"), ("tests", "entry_point", "tools"), _reward),
        Shape("reward-tests", "GRPOTrainer", ("prompt", "tests"), ("answer", "entry_point", "tools"), _reward),
        Shape("text", "pretraining", ("text",), (), _text),
    )
}
"""The shapes, the most specific first: the first that fits is taken."""


def choose(columns: Collection[str], *, true_or_false_label: bool = True) -> Shape | None:
    """The first shape that a table with these columns fits, or None.

    Args:
        columns: columns with at least one value.
        true_or_false_label: whether ``label`` is boolean; a class name there is not KTO's label.
    """
    for shape in SHAPES.values():
        if shape.fits(columns) and (shape.id != "unpaired" or true_or_false_label):
            return shape
    return None


def as_chat(built: Mapping[str, Any]) -> list[Columns]:
    """The chat that a built row of the shapes ``messages``, ``completion`` or ``unpaired`` stands for.

    Raises:
        CannotExpressError: it has no answer.
    """
    if "messages" in built:
        return list(built["messages"])
    if "completion" not in built:
        raise CannotExpressError("no completion")
    return [*_turns_of(built["prompt"], "user"), *_turns_of(built["completion"], "assistant")]


def _turns_of(value: Any, role: str) -> list[Columns]:
    return [{"role": role, "content": value}] if isinstance(value, str) else list(value)


def as_openai(built: Mapping[str, Any]) -> Columns:
    """A built row for OpenAI's fine-tuning: a chat, or a preference pair.

    Raises:
        CannotExpressError: there is no such form for it.
    """
    if "chosen" in built:
        if "prompt" not in built:
            raise CannotExpressError("a preference pair without prompt")
        return {
            "input": {"messages": _turns_of(built["prompt"], "user")},
            "preferred_output": _turns_of(built["chosen"], "assistant"),
            "non_preferred_output": _turns_of(built["rejected"], "assistant"),
        }
    if built.get("label") is False:
        raise CannotExpressError("a bad answer (label false) is not to be imitated")
    chat = as_chat(built)
    if chat[-1]["role"] != "assistant":
        raise CannotExpressError("the chat does not end with a turn of the assistant")
    if not any(turn["role"] == "user" for turn in chat):
        raise CannotExpressError("the chat has no turn of a user")
    return {"messages": chat}
