"""Which text of a row is meant: the conventions in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def turn_text(message: Mapping[str, Any]) -> str:
    """The text of one chat turn; parts that are not text (images) are left out."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            str(p.get("text") or "") for p in content if isinstance(p, Mapping) and p.get("type") == "text"
        )
    return ""


def last_assistant(row: Mapping[str, Any]) -> str | None:
    """The row's answer: `completion` (a string or a list of turns), else the last assistant turn of `messages`."""
    completion = row.get("completion")
    if isinstance(completion, str):
        return completion
    turns = completion if isinstance(completion, list) else row.get("messages")
    if isinstance(turns, list):
        for turn in reversed(turns):
            if isinstance(turn, Mapping) and turn.get("role") == "assistant":
                return turn_text(turn)
    return None


def prompt_text(row: Mapping[str, Any]) -> str | None:
    """The row's question: `prompt` (a string or a list of turns), else `messages` up to the last assistant turn."""
    prompt = row.get("prompt")
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list):
        return "\n".join(turn_text(m) for m in prompt)
    turns = row.get("messages")
    if isinstance(turns, list) and turns:
        end = len(turns) - 1 if turns[-1].get("role") == "assistant" else len(turns)
        return "\n".join(turn_text(m) for m in turns[:end])
    return None


def row_text(row: Mapping[str, Any], on: str | None = None) -> str | None:
    """The text that `select` and `measure` read, or None when the row has none.

    Args:
        row: the columns.
        on: a column to read instead of the convention: `text`, else `prompt` and `completion` joined by a newline, else
            `messages` joined by turn.
    """
    if on is not None:
        value = row.get(on)
        return value if isinstance(value, str) else None
    if isinstance(row.get("text"), str):
        return str(row["text"])
    parts = [
        prompt_text(row) if "prompt" in row else None,
        last_assistant(row) if "completion" in row else None,
    ]
    found = [p for p in parts if p is not None]
    if found:
        return "\n".join(found)
    turns = row.get("messages")
    if isinstance(turns, list):
        return "\n".join(turn_text(m) for m in turns)
    return None
