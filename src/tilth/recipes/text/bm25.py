"""BM25 over a list of texts, in memory. Knows no document and no question."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Container, Sequence

from tilth.select.words import words

K1 = 1.2
"""Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", section 3.2: usual values are 1.2 to 2."""
B = 0.75
"""The same: usual values are .5 to .8."""


class BM25:
    """An index of texts.

    Args:
        texts: words are ``\\w+`` of the lower-cased text.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._sizes: list[int] = []
        for i, text in enumerate(texts):
            counts = Counter(words(text))
            self._sizes.append(counts.total())
            for word, n in counts.items():
                self._postings[word].append((i, n))
        self._mean = sum(self._sizes) / max(1, len(self._sizes)) or 1.0

    def search(self, query: str, k: int, *, without: Container[int] = ()) -> list[int]:
        """The `k` best texts for a query, the best first, the earlier first among equals; only texts that share a word.

        Args:
            query: any text.
            k: how many.
            without: indices that are not to be found.
        """
        scores: dict[int, float] = defaultdict(float)
        for word in dict.fromkeys(words(query)):
            found = self._postings.get(word, ())
            idf = math.log(1 + (len(self._sizes) - len(found) + 0.5) / (len(found) + 0.5))
            for i, n in found:
                scores[i] += idf * n * (K1 + 1) / (n + K1 * (1 - B + B * self._sizes[i] / self._mean))
        fit = [i for i in scores if i not in without]
        return sorted(fit, key=lambda i: (-scores[i], i))[:k]
