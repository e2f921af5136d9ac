"""Compiled kernels (numba, ``cache=True``: compiled once a machine, some seconds, then loaded in tenths of a second).

They turn bytes into word ids, n-grams into ids and sets into joined components. Everything here is exact: a hash only
chooses a slot, the bytes or the keys themselves decide. They know no thresholds but as integers, and no rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Keys = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
WordTable = NDArray[np.bool_]
_PRIME, _BASIS = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)  # FNV-1a, 64 bits
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def jit(function: F) -> F:
    """numba's njit, cached on disk, releasing the GIL, without fast-math (so that floats equal Python's)."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))


def encode(texts: Sequence[str]) -> tuple[NDArray[np.uint8], Ints, NDArray[np.bool_]]:
    """Lower-cased UTF-8 of all texts end to end.

    Args:
        texts: n texts.

    Returns:
        The bytes; n + 1 starts; a table that says of each code point that occurs whether it is a word character.
    """
    parts = [text.lower().encode("utf-8", "surrogatepass") for text in texts]
    starts = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)), out=starts[1:])
    buffer = np.frombuffer(b"".join(parts), dtype=np.uint8)
    return buffer, starts, word_characters(0x110000 if buffer.size and buffer.max() >= 128 else 128)


@lru_cache(maxsize=2)
def word_characters(size: int) -> WordTable:
    """Whether each code point below `size` is one that ``\\w`` matches."""
    table = np.zeros(size, dtype=np.bool_)
    table[[ord(c) for c in re.findall(r"\w", "".join(map(chr, range(size))))]] = True
    return table


@jit
def next_word(buffer: NDArray[np.uint8], at: int, end: int, table: NDArray[np.bool_]) -> tuple[int, int, np.uint64]:
    """The next run of word characters in ``buffer[at:end]``: start, end and FNV-1a hash; start = end if none."""
    start = -1
    code = _BASIS
    while at < end:
        byte = buffer[at]
        width, point = 1, np.int64(byte)
        if byte >= 0xF0:
            width, point = 4, np.int64(byte & 7)
        elif byte >= 0xE0:
            width, point = 3, np.int64(byte & 15)
        elif byte >= 0x80:
            width, point = 2, np.int64(byte & 31)
        for k in range(1, width):
            point = (point << 6) | np.int64(buffer[at + k] & 63)
        if table[point]:
            if start < 0:
                start = at
            for k in range(width):
                code = (code ^ np.uint64(buffer[at + k])) * _PRIME
        elif start >= 0:
            return start, at, code
        at += width
    if start < 0:
        return end, end, code
    return start, end, code


@jit
def find_word(
    buffer: NDArray[np.uint8], start: int, end: int, code: np.uint64, slots: Ids, codes: Keys,
    known: NDArray[np.uint8], known_start: Ints, known_end: Ints,
) -> int:  # fmt: skip
    """The slot of ``buffer[start:end]`` in a table of words of `known`, or the free slot where it would go."""
    mask = len(slots) - 1
    slot = np.int64((code * _GOLDEN) >> np.uint64(32)) & mask
    while slots[slot] >= 0:
        id = slots[slot]
        if codes[id] == code and known_end[id] - known_start[id] == end - start:
            same = True
            for k in range(end - start):
                if known[known_start[id] + k] != buffer[start + k]:
                    same = False
                    break
            if same:
                return int(slot)
        slot = (slot + 1) & mask
    return int(slot)


@jit
def word_ids(
    buffer: NDArray[np.uint8], starts: Ints, table: NDArray[np.bool_]
) -> tuple[Ids, Ints, Ids, Keys, Ints, Ints]:
    """Number the distinct words of all texts in order of appearance.

    Args:
        buffer, starts, table: from `encode`.

    Returns:
        Word ids of all texts end to end; n + 1 starts into them; then the table: slots, hash, start and end by id.
    """
    texts = len(starts) - 1
    ids = np.empty(len(buffer) // 2 + texts + 1, dtype=np.int32)
    offsets = np.zeros(texts + 1, dtype=np.int64)
    size = 1 << 12
    slots = np.full(size, -1, dtype=np.int32)
    codes = np.empty(size, dtype=np.uint64)
    word_start, word_end = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    count, total = 0, 0
    for text in range(texts):
        at, stop = starts[text], starts[text + 1]
        while True:
            start, end, code = next_word(buffer, at, stop, table)
            if start == end:
                break
            slot = find_word(buffer, start, end, code, slots, codes, buffer, word_start, word_end)
            if slots[slot] < 0:
                codes[count], word_start[count], word_end[count] = code, start, end
                slots[slot] = count
                ids[total] = count
                count += 1
                if count * 2 > size:
                    size *= 4
                    codes = np.concatenate((codes, np.empty(size - len(codes), dtype=np.uint64)))
                    word_start = np.concatenate((word_start, np.empty(size - len(word_start), dtype=np.int64)))
                    word_end = np.concatenate((word_end, np.empty(size - len(word_end), dtype=np.int64)))
                    slots = np.full(size, -1, dtype=np.int32)
                    for id in range(count):
                        free = np.int64((codes[id] * _GOLDEN) >> np.uint64(32)) & (size - 1)
                        while slots[free] >= 0:
                            free = (free + 1) & (size - 1)
                        slots[free] = id
            else:
                ids[total] = slots[slot]
            total += 1
            at = end
        offsets[text + 1] = total
    return ids[:total], offsets, slots, codes[:count], word_start[:count], word_end[:count]


@jit
def dense_ids(keys: Keys) -> tuple[Ids, int]:
    """Number distinct 64-bit keys in order of appearance: the ids, and how many there are."""
    size = 1 << 10
    while size < 1.5 * len(keys):
        size *= 2
    slot_key, slot_id = np.empty(size, dtype=np.uint64), np.full(size, -1, dtype=np.int32)
    ids = np.empty(len(keys), dtype=np.int32)
    count = 0
    for i in range(len(keys)):
        # packed words sit in separate bits of the key, so the high ones are folded in before and after the product
        code = (keys[i] ^ (keys[i] >> np.uint64(32))) * _GOLDEN
        slot = np.int64(code ^ (code >> np.uint64(32))) & (size - 1)
        while slot_id[slot] >= 0 and slot_key[slot] != keys[i]:
            slot = (slot + 1) & (size - 1)
        if slot_id[slot] < 0:
            slot_key[slot], slot_id[slot] = keys[i], count
            count += 1
        ids[i] = slot_id[slot]
    return ids, count


@jit
def gram_keys(ids: Ids, offsets: Ints, n: int, bits: int) -> tuple[Keys, Ints]:
    """Pack each n-gram of word ids into one key of ``n * bits`` bits.

    A text shorter than n words gives one key, zero where a word is missing; a text without words gives none.

    Args:
        ids, offsets: from `word_ids`, every id + 1 below ``2**bits``.
        n: words an n-gram.
        bits: bits a word, at most ``64 // n``.

    Returns:
        Keys end to end; starts by text.
    """
    texts = len(offsets) - 1
    starts = np.zeros(texts + 1, dtype=np.int64)
    for text in range(texts):
        length = offsets[text + 1] - offsets[text]
        starts[text + 1] = starts[text] + (max(1, length - n + 1) if length else 0)
    keys = np.zeros(starts[texts], dtype=np.uint64)
    for text in range(texts):
        end = offsets[text + 1]
        for i in range(starts[text + 1] - starts[text]):
            key = np.uint64(0)
            for k in range(offsets[text] + i, offsets[text] + i + n):
                key = (key << np.uint64(bits)) | (np.uint64(ids[k] + 1) if k < end else np.uint64(0))
            keys[starts[text] + i] = key
    return keys, starts


def gram_ids(ids: Ids, offsets: Ints, vocabulary: int, n: int) -> tuple[Ids, Ints, int]:
    """Exact ids of the word n-grams of each text, whatever the size of the vocabulary.

    Args:
        ids, offsets: from `word_ids`.
        vocabulary: number of distinct words.
        n: words an n-gram.

    Returns:
        Ids end to end (not yet sets); starts by text; number of distinct n-grams.
    """
    if vocabulary + 1 < 1 << (64 // n):
        keys, starts = gram_keys(ids, offsets, n, 64 // n)
        return _swap(dense_ids(keys), starts)
    grams, left = ids, np.arange(len(ids))
    ends = np.repeat(offsets[1:], np.diff(offsets))
    for k in range(1, n):
        follows = np.where(left + k < ends, ids[np.minimum(left + k, len(ids) - 1)] + 1, 0)
        grams, _ = dense_ids(((grams.astype(np.uint64) + np.uint64(1)) << np.uint64(32)) | follows.astype(np.uint64))
    first = np.repeat(offsets[:-1], np.diff(offsets))
    chosen = (left + n <= ends) | (left == first)
    starts = np.concatenate(([0], np.cumsum(chosen)))[offsets].astype(np.int64)
    return _swap(dense_ids(grams[chosen].astype(np.uint64)), starts)


def _swap(numbered: tuple[Ids, int], starts: Ints) -> tuple[Ids, Ints, int]:
    return numbered[0], starts, numbered[1]
