"""Live near-duplicate search by word n-grams, one text at a time. For whole lists there is `tilth.select.near`."""

from __future__ import annotations

from collections import Counter, defaultdict

from tilth.select.words import shingles


class Told:
    """Texts that were told, asked how like them a new one is.

    Args:
        n: words a shingle.
    """

    def __init__(self, n: int = 5) -> None:
        self._n = n
        self._sizes: list[int] = []
        self._holders: dict[str, list[int]] = defaultdict(list)

    def nearest(self, text: str) -> float:
        """The highest Jaccard of word n-grams with any text told."""
        mine = shingles(text, self._n)
        shared = Counter(i for gram in mine for i in self._holders.get(gram, ()))
        return max((n / (len(mine) + self._sizes[i] - n) for i, n in shared.items()), default=0.0)

    def add(self, text: str) -> None:
        """Take a text in."""
        mine = shingles(text, self._n)
        for gram in mine:
            self._holders[gram].append(len(self._sizes))
        self._sizes.append(len(mine))
