"""Filters over rows for the selection: judge each row by itself, or choose a subset of those that are left.

A filter is told rows, texts and (when it asks) embeddings, and answers which rows go and why, and what it has to report
of itself. It does not know which steps ran before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tilth.errors import InputError, UsageError
from tilth.rows.row import Row
from tilth.select.quality import LIMITS, first_fault


@dataclass(frozen=True, slots=True)
class Given:
    """What a filter sees.

    Args:
        rows: the rows left.
        texts: their texts.
        vectors: gives (n, d) unit embeddings of them.
        seed: of any draw.
    """

    rows: Sequence[Row]
    texts: Sequence[str]
    vectors: Callable[[], Any]
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row goes.

    Args:
        detail: the last part of its reason.
        score: the figure that decided, if there is one.
        evidence: plain JSON.
    """

    detail: str
    score: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


Answer = tuple[dict[int, Fault], dict[str, Any]]


class Filter(Protocol):
    """Decides which rows go.

    Attributes:
        step: the first part of the reasons it gives: ``quality``, ``subset``, ``balance``.
        name: what the log calls it.
        threshold: what it was set to, for the log.
        alone: whether it judges each row by itself, so that blocks of rows give the same as all at once.
    """

    @property
    def step(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def threshold(self) -> Any: ...
    @property
    def alone(self) -> bool: ...

    def __call__(self, given: Given) -> Answer:
        """Faults by index into the given rows, and a report."""
        ...


@dataclass(frozen=True, slots=True)
class Heuristics:
    """Rules of `tilth.select.quality`, tried in order."""

    rules: tuple[str, ...]
    limits: Mapping[str, float] = field(default_factory=lambda: dict(LIMITS))
    step: str = "quality"
    alone: bool = True

    @property
    def name(self) -> str:
        """The rules."""
        return "+".join(self.rules)

    @property
    def threshold(self) -> Any:
        """Limits that are not the usual ones."""
        return {k: v for k, v in self.limits.items() if v != LIMITS[k]} or None

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        out = {}
        for i, text in enumerate(given.texts):
            if (found := first_fault(text, self.rules, self.limits)) is not None:
                rule, (detail, figure) = found
                out[i] = Fault(f"{rule}:{detail}", float(figure), {"rule": rule, "figure": figure})
        return out, {}


@dataclass(frozen=True, slots=True)
class Language:
    """Keeps texts in one of the languages; a text whose language cannot be told stays."""

    wanted: tuple[str, ...]
    step: str = "quality"
    name: str = "language"
    alone: bool = True

    @property
    def threshold(self) -> Any:
        """The languages."""
        return list(self.wanted)

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        from tilth.select.language import identifier

        method, identify = identifier()
        names = [identify(text) for text in given.texts]
        out = {
            i: Fault(f"language:{name}", None, {"language": name, "method": method})
            for i, name in enumerate(names)
            if name and name not in self.wanted
        }
        return out, {"method": method, "unknown": names.count("")}


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Drops rows whose text holds personal data that has a form (see `tilth.select.pii`)."""

    step: str = "quality"
    name: str = "pii"
    threshold: Any = None
    alone: bool = True

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        from tilth.select.pii import scrub

        out = {}
        for i, text in enumerate(given.texts):
            if counts := scrub(text)[1]:
                out[i] = Fault("pii:" + "+".join(sorted(counts)).lower(), None, {"pii": dict(counts)})
        return out, {}


def numbers_of(rows: Sequence[Row], column: str, todo: str, first: int = 1) -> list[float]:
    """The numbers in a column; `first` is the number of the first row, for messages.

    Raises:
        InputError: a row has none.
    """
    numbers = []
    for number, row in enumerate(rows, first):
        value = row.get(column)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            where = f"row {number} (id {row.id})"
            raise InputError(f"no number in column '{column}' to choose by", where=where, todo=todo)
        numbers.append(float(value))
    return numbers


def merged(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The report on all rows from those on parts of them: counts are added, what else there is is the same in each."""
    out: dict[str, Any] = {}
    for report in reports:
        for name, value in report.items():
            out[name] = out.get(name, 0) + value if isinstance(value, int) else value
    return out


def no_vectors() -> Any:
    """The embeddings of rows that are not all at hand: there are none.

    Raises:
        UsageError: always.
    """
    raise UsageError("embeddings need all rows at once", todo="leave out --set stream=true and --partitions")
