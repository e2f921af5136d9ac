"""A benchmark gate for recipes that make new texts: what repeats a benchmark's text is dropped with the benchmark's name.

Thin: the work is `tilth.select.Decontaminator`'s. Knows no method.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilth.select.benchmarks import Benchmark
from tilth.select.decontaminate import Decontaminator

NGRAM = 10
"""Words in a row that count as a repeat (Shao et al. 2024, DeepSeekMath, section 2.1: 10-grams)."""


class Gate:
    """Says which texts repeat a benchmark; without benchmarks none does.

    Args:
        benchmarks: files or named sets, separated by commas; None for none.
        ngrams: lengths of word runs that count.
    """

    def __init__(self, benchmarks: str | None, ngrams: Sequence[int] = (NGRAM,)) -> None:
        names = [name.strip() for name in (benchmarks or "").split(",") if name.strip()]
        self._search = Decontaminator([Benchmark.read(n) for n in names], ngrams=ngrams) if names else None

    def reasons(self, texts: Sequence[str]) -> list[str | None]:
        """For each text the drop reason ``decontaminate:<method>:<benchmark>``, or None."""
        if self._search is None or not texts:
            return [None] * len(texts)
        return [hit and f"decontaminate:{hit.method}:{hit.benchmark}" for hit in self._search.check(texts)]
