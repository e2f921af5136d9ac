"""Compiled n-gram search: a benchmark's n-grams in a hashed table behind a bitmap.

Texts are read byte by byte, a rolling hash runs over the hashes of their words, and a bitmap that fits the cache turns
nearly all of them away. What it lets through is looked up and compared byte by byte: a hash finds a place, the bytes
decide. So a hit is a hit. Blocks of texts are searched by several threads; the order of results does not depend on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from tilth.select.containment import contain, owners_of
from tilth.select.gram_kernels import PADDING, index_grams, matches, word_codes
from tilth.select.kernels import Bytes, Ids, Ints, WordTable, encode, word_characters, word_ids
from tilth.select.words import words

BLOCK_CHARACTERS = 1 << 19
"""Texts are encoded in blocks of this size, so that memory does not grow with the corpus."""
THREADS = 4
"""At most; encoding holds the interpreter's lock, so more would wait for it."""


class GramIndex:
    """The word n-grams of benchmark texts.

    Args:
        texts: the benchmark's texts.
        n: words an n-gram.
    """

    def __init__(self, texts: Sequence[str], n: int) -> None:
        self._texts, self._n = texts, n
        self._split: dict[int, list[str]] = {}
        buffer, starts, table = encode(texts)
        self._ids, self._offsets, _, _, first, last = word_ids(buffer, starts, table)
        self._codes = word_codes(buffer, first, last)
        self._known = (buffer, first, last, self._ids)
        self._index = index_grams(self._ids, self._offsets, self._codes, n)

    def first_hits(self, texts: Sequence[str]) -> Iterator[tuple[int, tuple[int, str]]]:
        """For each text that holds an n-gram of the benchmark: its index and (benchmark text, first n-gram)."""
        for i, place in over_blocks(texts, self._first):
            index = int(np.searchsorted(self._offsets, place, side="right")) - 1
            first = place - int(self._offsets[index])
            if index not in self._split:
                self._split[index] = words(self._texts[index])
            yield i, (index, " ".join(self._split[index][first : first + self._n]))

    def best_containment(
        self, texts: Sequence[str], sizes: Sequence[int], numerator: int, denominator: int
    ) -> Iterator[tuple[int, tuple[int, float]]]:
        """For each text that holds enough of a benchmark text's distinct n-grams: (benchmark text, share), the best.

        Args:
            texts: n texts.
            sizes: distinct n-grams of each benchmark text; 0 leaves a text out.
            numerator, denominator: the least share.
        """
        wanted = np.array(sizes, dtype=np.int64)
        owners = owners_of(self._ids, self._offsets, self._codes, self._index[0], self._n, wanted)
        bound = wanted, numerator, denominator
        for i, (index, count) in over_blocks(texts, partial(self._contained, owners, bound)):
            yield i, (index, count / sizes[index])

    def _search(self, texts: Sequence[str], only_first: bool) -> tuple[Ids, Ints]:
        buffer, starts, table = fold(texts)
        return matches(buffer, starts, table, *self._known, *self._index, self._n, only_first)

    def _first(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        found, slots = self._search(texts, True)
        return list(zip(found.tolist(), self._index[0][slots].tolist(), strict=True))

    def _contained(self, owners: Any, bound: Any, texts: Sequence[str]) -> list[tuple[int, tuple[int, int]]]:
        found, slots = self._search(texts, False)
        best, counts = contain(len(texts), found, slots, len(self._index[0]), *owners, *bound)
        return [(i, (int(best[i]), int(counts[i]))) for i in np.flatnonzero(best >= 0).tolist()]


def over_blocks(texts: Sequence[str], search: Any) -> Iterator[tuple[int, Any]]:
    """Run ``search(block of texts) -> [(index in block, result)]`` over all texts, on several threads, in order."""
    bounds, size = [0], 0
    for i, text in enumerate(texts):
        if size and size + len(text) > BLOCK_CHARACTERS:
            bounds.append(i)
            size = 0
        size += len(text)
    bounds.append(len(texts))
    spans = list(pairwise(bounds))
    threads = min(THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    def one(span: tuple[int, int]) -> Any:
        return search(texts[span[0] : span[1]])

    if len(spans) == 1 or threads == 1:
        for span in spans:
            yield from ((span[0] + i, found) for i, found in one(span))
        return
    with ThreadPoolExecutor(threads) as pool:
        for span, result in zip(spans, pool.map(one, spans), strict=True):
            yield from ((span[0] + i, found) for i, found in result)


def fold(texts: Sequence[str]) -> tuple[Bytes, Ints, WordTable]:
    """As `kernels.encode`, but a zero byte ends each text, and ASCII texts keep their capitals (`matches` folds them).

    Returns:
        The bytes; n + 1 starts (text i ends one byte before start i + 1); which code points are word characters.
    """
    whole = "\0".join([*texts, "\0" * PADDING])
    if whole.isascii():
        sizes, buffer = map(len, texts), whole.encode()
    else:
        parts = [t.encode() if t.isascii() else t.lower().encode("utf-8", "surrogatepass") for t in texts]
        sizes, buffer = map(len, parts), b"\0".join([*parts, bytes(PADDING)])
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(sizes, dtype=np.int64, count=len(texts)) + 1, out=starts[1:])
    return np.frombuffer(buffer, dtype=np.uint8), starts, word_characters(0x110000)
