"""Knobs of a world: a frozen dataclass, filled from keywords with one clear error. Knows no world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from tilth.errors import UsageError, did_you_mean

T = TypeVar("T")


def read_knobs(kind: type[T], world: str, given: Mapping[str, Any]) -> T:
    """`kind` filled with `given`.

    Raises:
        UsageError: the world has no such knob; the nearest is named.
    """
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for knob in given:
        if knob not in known:
            raise UsageError(f"{world} has no knob '{knob}'", todo=did_you_mean(knob, known))
    return kind(**given)


def check_names(world: str, what: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Insist that each name is one of `known`.

    Raises:
        UsageError: one is not; the nearest is named.
    """
    for name in given:
        if name not in known:
            raise UsageError(f"{world} has no {what} '{name}'", todo=did_you_mean(name, known))
