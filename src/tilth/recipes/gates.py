"""A benchmark gate for recipes that make new texts: what repeats a benchmark's text is dropped with the benchmark's name.

Thin: the work is `tilth.select.Decontaminator`'s. Knows no method.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilth.select.benchmarks import Benchmark
from tilth.select.decontaminate import Decontaminator
from tilth.select.words import words

NGRAM = 10
"""Words in a row that count as a repeat (Shao et al. 2024, DeepSeekMath, section 2.1: 10-grams)."""


class Gate:
    """Says which texts repeat a benchmark; without benchmarks none does.

    Args:
        benchmarks: files or named sets, separated by commas; None for none.
        ngrams: lengths of word runs that count.
        short: a benchmark text of fewer than `NGRAM` words, and so too short for them, counts when it has this many words
            and stands whole in a text.
    """

    def __init__(self, benchmarks: str | None, ngrams: Sequence[int] = (NGRAM,), short: int | None = None) -> None:
        names = [name.strip() for name in (benchmarks or "").split(",") if name.strip()]
        found = [Benchmark.read(n) if short is None else Benchmark.read(n, min_words=short) for n in names]
        self._search = Decontaminator(found, ngrams=ngrams) if found else None
        self._short: dict[str, str] = {}
        for benchmark in found if short is not None else ():
            for _, text in benchmark.texts:
                if (short or 0) <= len(words(text)) < min(*ngrams, NGRAM):
                    self._short.setdefault(f" {' '.join(words(text))} ", benchmark.name)

    def reasons(self, texts: Sequence[str]) -> list[str | None]:
        """For each text the drop reason ``decontaminate:<method>:<benchmark>``, or None."""
        if self._search is None or not texts:
            return [None] * len(texts)
        hits = self._search.check(texts)
        return [
            f"decontaminate:{h.method}:{h.benchmark}" if h else self._whole(t) for h, t in zip(hits, texts, strict=True)
        ]

    def _whole(self, text: str) -> str | None:
        padded = f" {' '.join(words(text))} " if self._short else ""
        return next((f"decontaminate:whole:{name}" for short, name in self._short.items() if short in padded), None)
