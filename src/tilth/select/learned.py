"""Filters that learn or ask a model: a classifier from judged rows, perplexity and IFD under a local model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilth.rows.text import last_assistant, prompt_text
from tilth.select.filters import Answer, Fault, Given


@dataclass(frozen=True, slots=True)
class Classifier:
    """Keeps the share of rows that a classifier learnt from judged rows scores highest."""

    texts: tuple[str, ...]
    labels: tuple[Any, ...]
    kind: str = "linear"
    share: float = 0.5
    embed: str = "hashed"
    record: str | None = None
    step: str = "quality"
    alone: bool = False
    name: str = "classifier"

    @property
    def threshold(self) -> Any:
        """The kept share."""
        return self.share

    def __call__(self, given: Given) -> Answer:
        """See `Filter`."""
        from tilth.select.classify import score_texts
        from tilth.select.embed import open_embedder

        embedder = open_embedder(self.embed, self.record) if self.kind == "forest" else None
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
    alone: bool = False

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


def _below_share(scores: Sequence[float], share: float) -> tuple[list[int], float | None]:
    """Indices below the highest `share` of the scores, the later ones among equals; and the least score kept."""
    count = min(len(scores), max(0, round(share * len(scores))))
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return sorted(order[count:]), scores[order[count - 1]] if count else None
