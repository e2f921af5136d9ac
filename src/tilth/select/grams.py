"""Compiled n-gram search: a benchmark's n-grams in a hashed table behind a bitmap (numba, ``cache=True``).

A hash finds a place; the word ids at that place decide, and a word's bytes decide its id. So a hit is a hit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tilth.select.kernels import Ids, Ints, Keys, encode, find_word, jit, next_word, word_ids
from tilth.select.words import words

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
CHUNK_CHARACTERS = 1 << 26
"""Texts are encoded in blocks of this size, so that memory does not grow with the corpus."""


class GramIndex:
    """The word n-grams of benchmark texts.

    Args:
        texts: the benchmark's texts.
        n: words an n-gram.
    """

    def __init__(self, texts: Sequence[str], n: int) -> None:
        self._texts, self._n = texts, n
        self._split: dict[int, list[str]] = {}
        self._buffer, starts, table = encode(texts)
        self._ids, self._offsets, slots, codes, first, last = word_ids(self._buffer, starts, table)
        self._words = slots, codes, first, last
        self._slots, self._bits = _index(self._ids, self._offsets, n)

    def first_hits(self, texts: Sequence[str]) -> Iterator[tuple[int, tuple[int, str]]]:
        """For each text that holds an n-gram of the benchmark: its index and (benchmark text, first n-gram)."""
        done = 0
        while done < len(texts):
            end, size = done, 0
            while end < len(texts) and (end == done or size + len(texts[end]) <= CHUNK_CHARACTERS):
                size += len(texts[end])
                end += 1
            buffer, starts, table = encode(texts[done:end])
            places = _search(
                buffer, starts, table, self._buffer, *self._words, self._ids, self._slots, self._bits, self._n
            )
            for i in np.flatnonzero(places >= 0).tolist():
                place = int(places[i])
                index = int(np.searchsorted(self._offsets, place, side="right")) - 1
                first = place - int(self._offsets[index])
                if index not in self._split:
                    self._split[index] = words(self._texts[index])
                yield done + i, (index, " ".join(self._split[index][first : first + self._n]))
            done = end


@jit
def _index(ids: Ids, offsets: Ints, n: int) -> tuple[Ints, Keys]:
    """Table from the hash of an n-gram to the place of its first occurrence, and a bitmap of the hashes."""
    size = 1 << 10
    while size < 2 * len(ids):
        size *= 2
    slots = np.full(size, -1, dtype=np.int64)
    bits = np.zeros(max(1, size // 8), dtype=np.uint64)
    for text in range(len(offsets) - 1):
        for place in range(offsets[text], offsets[text + 1] - n + 1):
            code = np.uint64(0)
            for k in range(n):
                code = code * _FACTOR + np.uint64(ids[place + k] + 1)
            high = code ^ (code >> np.uint64(32))
            bit = np.int64((high * _FACTOR) >> np.uint64(20)) & (len(bits) * 64 - 1)
            bits[bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)
            slot = np.int64(high) & (size - 1)
            while slots[slot] >= 0 and not _same(ids, slots[slot], ids, place, n):
                slot = (slot + 1) & (size - 1)
            if slots[slot] < 0:
                slots[slot] = place
    return slots, bits


@jit
def _same(a: Ids, at: int, b: Ids, bt: int, n: int) -> bool:
    for k in range(n):  # noqa: SIM110 (numba compiles no generator)
        if a[at + k] != b[bt + k]:
            return False
    return True


@jit
def _search(
    buffer: NDArray[np.uint8], starts: Ints, table: NDArray[np.bool_], known: NDArray[np.uint8], word_slots: Ids,
    codes: Keys, known_start: Ints, known_end: Ints, ids: Ids, slots: Ints, bits: Keys, n: int,
) -> Ints:  # fmt: skip
    """For each text the place in `ids` of the first n-gram that it shares, or -1."""
    texts = len(starts) - 1
    found = np.full(texts, -1, dtype=np.int64)
    recent = np.zeros(n, dtype=np.int32)
    window = np.empty(n, dtype=np.int32)
    power = np.uint64(1)
    for _ in range(n):
        power *= _FACTOR
    for text in range(texts):
        at, stop = starts[text], starts[text + 1]
        run = 0
        code = np.uint64(0)
        while found[text] < 0:
            start, end, word = next_word(buffer, at, stop, table)
            if start == end:
                break
            at = end
            id = word_slots[find_word(buffer, start, end, word, word_slots, codes, known, known_start, known_end)]
            if id < 0:
                run = 0
                code = np.uint64(0)
                continue
            code = code * _FACTOR + np.uint64(id + 1)
            if run >= n:
                code -= power * np.uint64(recent[run % n] + 1)
            recent[run % n] = id
            run += 1
            if run < n:
                continue
            high = code ^ (code >> np.uint64(32))
            bit = np.int64((high * _FACTOR) >> np.uint64(20)) & (len(bits) * 64 - 1)
            if not (bits[bit >> 6] >> np.uint64(bit & 63)) & np.uint64(1):
                continue
            for k in range(n):
                window[k] = recent[(run - n + k) % n]
            slot = np.int64(high) & (len(slots) - 1)
            while slots[slot] >= 0:
                if _same(ids, slots[slot], window, 0, n):
                    found[text] = slots[slot]
                    break
                slot = (slot + 1) & (len(slots) - 1)
    return found
