"""Filters that choose among the rows left: by coverage, by score, or by quotas. See `tilth.select.subset`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilth.errors import InputError, UsageError
from tilth.select.filters import Answer, Fault, Given, numbers_of


@dataclass(frozen=True, slots=True)
class Subset:
    """Keeps a number of rows: ``k-center``, ``facility``, ``deita`` or ``top`` (the last two by score columns)."""

    kind: str
    count: int
    columns: tuple[str, ...] = ()
    most: float = 0.9
    step: str = "subset"
    alone: bool = False

    @property
    def name(self) -> str:
        """The kind."""
        return self.kind

    @property
    def threshold(self) -> Any:
        """Rows wanted."""
        return self.count

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        from tilth.select.subset import facility_location, k_center, score_first

        scores = [1.0] * len(given.rows)
        for column in self.columns:
            factors = numbers_of(given.rows, column, "name the score columns with --set score=COLUMN")
            scores = [a * b for a, b in zip(scores, factors, strict=True)]
        if self.kind in ("deita", "top") and not self.columns:
            raise UsageError(
                f"{self.kind} needs a score", todo="--set score=COLUMN, or --set score='[quality, complexity]'"
            )
        if self.kind == "k-center":
            chosen = k_center(given.vectors(), self.count)
        elif self.kind == "facility":
            chosen = facility_location(given.vectors(), self.count)
        elif self.kind == "deita":
            chosen = score_first(scores, given.vectors(), self.count, self.most)
        else:
            chosen = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[: self.count]
        kept = set(chosen)
        score = scores if self.columns else [None] * len(scores)
        return {i: Fault(self.kind, score[i]) for i in range(len(given.rows)) if i not in kept}, {"kept": len(kept)}


@dataclass(frozen=True, slots=True)
class Balance:
    """Keeps exactly as many rows of each value of a column as its quota says.

    Args:
        column: a column, or ``length`` for the words of the text.
        quotas: rows by value; one number for all; None for as many of each as the rarest has.
        bins: ranges into which a number is cut; 0 takes values as they are.
    """

    column: str
    quotas: Mapping[str, int] | int | None = None
    bins: int = 0
    step: str = "balance"
    alone: bool = False

    @property
    def name(self) -> str:
        """The step and its column."""
        return f"balance {self.column}"

    @property
    def threshold(self) -> Any:
        """The quotas asked."""
        return dict(self.quotas) if isinstance(self.quotas, Mapping) else self.quotas

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        from tilth.select.subset import balanced, bins, quotas_of

        if self.column == "length":
            labels = bins([len(text.split()) for text in given.texts], self.bins or 4)
        elif self.bins:
            labels = bins(numbers_of(given.rows, self.column, "leave out --set bins"), self.bins)
        else:
            labels = []
            for number, row in enumerate(given.rows, 1):
                if row.get(self.column) is None:
                    where = f"row {number} (id {row.id})"
                    raise InputError(f"nothing in column '{self.column}'", where=where, todo="choose another --balance")
                labels.append(str(row[self.column]))
        quotas = quotas_of(labels, self.quotas)
        kept = set(balanced(labels, quotas, seed=given.seed))
        report = {"quotas": quotas}
        return {i: Fault("over-quota", None, {"value": x}) for i, x in enumerate(labels) if i not in kept}, report
