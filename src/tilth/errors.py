"""Every mistake a user can make ends here: one family of errors, one way of saying them.

A message says what was found, where (file, line, row id, column) and what to do next. The command line prints it
without a stack trace and leaves with the error's exit code. This module knows nothing about rows or models.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TilthError(Exception):
    """A problem that the person at the keyboard can mend.

    Args:
        found: what is wrong, one sentence without a full stop.
        where: the place, such as ``seeds.jsonl, line 3, column 'prompt'``; empty when there is none.
        todo: what to do next, one sentence without a full stop; empty when nothing helps.
    """

    exit_code = 1

    def __init__(self, found: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(found)
        self.found, self.where, self.todo = found, where, todo

    def __str__(self) -> str:
        text = f"{self.where}: {self.found}" if self.where else self.found
        return f"{text}\n  {self.todo}" if self.todo else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.found, self.where, self.todo)


def _rebuild(kind: type[TilthError], found: str, where: str, todo: str) -> TilthError:
    return kind(found, where=where, todo=todo)


class DiskError(TilthError):
    """The disk is full or the folder cannot be written (exit 1)."""


class UsageError(TilthError):
    """The command, the plan or an option is wrong (exit 2)."""

    exit_code = 2


class InputError(TilthError):
    """A file's content is not what it should be (exit 2)."""

    exit_code = 2


class SandboxError(TilthError):
    """No isolation is at hand for model-written code, so it is not run (exit 2)."""

    exit_code = 2


class EndpointError(TilthError):
    """The endpoint is down, or refuses the key or the model, before the first reply (exit 2, resumable)."""

    exit_code = 2


class GateError(TilthError):
    """A gate (contamination, licence, PII) refuses the export (exit 3)."""

    exit_code = 3


class BudgetError(TilthError):
    """A budget is reached (exit 4, resumable)."""

    exit_code = 4


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or lists what is known.

    Args:
        word: what was typed.
        known: the words that would have been right.

    Returns:
        A sentence for an error's ``todo``.
    """
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(choices)}" if choices else "none is known"
