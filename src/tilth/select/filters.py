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
from tilth.rows.text import last_assistant, prompt_text
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
    """

    @property
    def step(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def threshold(self) -> Any: ...

    def __call__(self, given: Given) -> Answer:
        """Faults by index into the given rows, and a report."""
        ...


@dataclass(frozen=True, slots=True)
class Heuristics:
    """Rules of `tilth.select.quality`, tried in order."""

    rules: tuple[str, ...]
    limits: Mapping[str, float] = field(default_factory=lambda: dict(LIMITS))
    step: str = "quality"

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

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        from tilth.select.pii import scrub

        out = {}
        for i, text in enumerate(given.texts):
            if counts := scrub(text)[1]:
                out[i] = Fault("pii:" + "+".join(sorted(counts)).lower(), None, {"pii": dict(counts)})
        return out, {}


@dataclass(frozen=True, slots=True)
class Classifier:
    """Keeps the share of rows that a classifier learnt from judged rows scores highest."""

    texts: tuple[str, ...]
    labels: tuple[Any, ...]
    kind: str = "linear"
    share: float = 0.5
    embed: str = "hashed"
    step: str = "quality"
    name: str = "classifier"

    @property
    def threshold(self) -> Any:
        """The kept share."""
        return self.share

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        from tilth.select.classify import score_texts
        from tilth.select.embed import open_embedder

        embedder = open_embedder(self.embed) if self.kind == "forest" else None
        found = score_texts(
            given.texts, self.texts, self.labels, kind=self.kind, embedder=embedder, share=self.share, seed=given.seed
        )
        lost, cut = _below_share(found.scores, self.share)
        return {i: Fault("classifier", found.scores[i], {"score": found.scores[i], "least_kept": cut}) for i in lost}, {
            **found.report,
            "least_kept": cut,
        }


@dataclass(frozen=True, slots=True)
class ModelScore:
    """Drops rows by perplexity or IFD under a local model: outside bounds, or below the share of highest IFD.

    A row whose score is unknown (an empty answer) is dropped as such.
    """

    figure: str
    model: str
    low: float = 0.0
    high: float = float("inf")
    share: float = 1.0
    step: str = "quality"

    @property
    def name(self) -> str:
        """``ppl`` or ``ifd``."""
        return self.figure

    @property
    def threshold(self) -> Any:
        """Bounds and share."""
        return {"low": self.low, "high": None if self.high == float("inf") else self.high, "share": self.share}

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        from tilth.select.difficulty import difficulties

        pairs = [
            (prompt_text(row) or "", answer if (answer := last_assistant(row)) is not None else text)
            for row, text in zip(given.rows, given.texts, strict=True)
        ]
        found = difficulties(pairs, self.model)
        scores = [d.perplexity if self.figure == "ppl" else d.ifd for d in found]
        out = {}
        for i, score in enumerate(scores):
            if score is None:
                out[i] = Fault(f"{self.figure}:unknown")
            elif not self.low <= score <= self.high:
                out[i] = Fault(self.figure, score, {self.figure: score})
        left = [i for i in range(len(scores)) if i not in out]
        sign = 1 if self.figure == "ifd" else -1
        lost, _ = _below_share([sign * (scores[i] or 0.0) for i in left], self.share)
        out |= {left[i]: Fault(self.figure, scores[left[i]], {self.figure: scores[left[i]]}) for i in lost}
        known = [s for s in scores if s is not None]
        return out, {"model": self.model, "mean": sum(known) / len(known) if known else None}


@dataclass(frozen=True, slots=True)
class Subset:
    """Keeps a number of rows: ``k-center``, ``facility``, ``deita`` or ``top`` (the last two by score columns)."""

    kind: str
    count: int
    columns: tuple[str, ...] = ()
    most: float = 0.9
    step: str = "subset"

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


def numbers_of(rows: Sequence[Row], column: str, todo: str) -> list[float]:
    """The numbers in a column.

    Raises:
        InputError: a row has none.
    """
    numbers = []
    for number, row in enumerate(rows, 1):
        value = row.get(column)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            where = f"row {number} (id {row.id})"
            raise InputError(f"no number in column '{column}' to choose by", where=where, todo=todo)
        numbers.append(float(value))
    return numbers


def _below_share(scores: Sequence[float], share: float) -> tuple[list[int], float | None]:
    """Indices below the highest `share` of the scores, the later ones among equals; and the least score kept."""
    count = min(len(scores), max(0, round(share * len(scores))))
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return sorted(order[count:]), scores[order[count - 1]] if count else None
