"""Near duplicates in bounded memory: MinHash bands choose the pairs, exact Jaccard decides (numba, ``cache=True``).

Broder 1997; banding as in Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4. No pair below the
threshold is ever joined (precision 1), and a pair at the threshold is met with probability 1 - (1 - t^r)^b, which
`bands_for` puts at `RECALL` or more; pairs above it are met more often. Knows no rows.
"""

from __future__ import annotations

import math

import numpy as np

from tilth.select.join import root
from tilth.select.kernels import Ids, Ints, Keys, jit

RECALL = 0.995
MOST_HASHES = 160
_A, _B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


def bands_for(threshold: float) -> tuple[int, int]:
    """Bands and rows a band, with as many rows as `MOST_HASHES` hashes allow.

    Args:
        threshold: t in (0, 1].
    """
    for rows in range(12, 1, -1):
        hit = min(1 - 1e-9, threshold**rows)
        bands = math.ceil(math.log(1 - RECALL) / math.log(1 - hit))
        if bands * rows <= MOST_HASHES:
            return bands, rows
    return MOST_HASHES // 2, 2


@jit
def _gram_code(ids: Ids, at: int, end: int, n: int) -> np.uint64:
    code = np.uint64(0)
    for k in range(at, min(at + n, end)):
        code = (code + np.uint64(ids[k] + 1)) * _A
        code ^= code >> np.uint64(29)
    return code * _B


@jit
def band_keys(ids: Ids, offsets: Ints, n: int, bands: int, rows: int) -> Keys:
    """One key for each band and text.

    Args:
        ids, offsets: token ids of all texts end to end, and n + 1 starts.
        n: tokens a shingle; a shorter text is one shingle.
        bands, rows: from `bands_for`.

    Returns:
        (bands, texts); the keys of texts without tokens mean nothing.
    """
    texts = len(offsets) - 1
    out = np.zeros((bands, texts), dtype=np.uint64)
    least = np.empty(bands * rows, dtype=np.uint32)
    turns = np.empty(bands * rows, dtype=np.uint64)
    state = np.uint64(1)
    for k in range(bands * rows):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        turns[k] = (state ^ (state >> np.uint64(33))) | np.uint64(1)
    for text in range(texts):
        start, end = offsets[text], offsets[text + 1]
        least[:] = np.uint32(0xFFFFFFFF)
        for at in range(start, max(start + 1, end - n + 1) if end > start else start):
            code = _gram_code(ids, at, end, n)
            code ^= code >> np.uint64(32)
            for k in range(bands * rows):
                least[k] = min(least[k], np.uint32((code * turns[k]) >> np.uint64(32)))
        for band in range(bands):
            key = np.uint64(band + 1)
            for k in range(band * rows, band * rows + rows):
                key = (key ^ np.uint64(least[k])) * _A
                key ^= key >> np.uint64(29)
            out[band, text] = key
    return out


@jit
def _same(ids: Ids, a: int, end_a: int, b: int, end_b: int, n: int) -> bool:
    width = min(n, end_a - a)
    if width != min(n, end_b - b):
        return False
    for k in range(width):  # noqa: SIM110 (numba compiles no generator)
        if ids[a + k] != ids[b + k]:
            return False
    return True


@jit
def jaccard_parts(ids: Ids, offsets: Ints, a: int, b: int, n: int, slots: Ints) -> tuple[int, int]:
    """Sizes of intersection and union of the shingle sets of texts a and b, exactly.

    Args:
        ids, offsets, n: as in `band_keys`.
        slots: room of at least four times the shingles of a, a power of two; filled with -1, and left so.
    """
    start, end = offsets[a], offsets[a + 1]
    last = max(start + 1, end - n + 1)
    mask = len(slots) - 1
    distinct, common, size = 0, 0, 0
    used = np.empty(last - start, dtype=np.int64)
    hit = np.zeros(last - start, dtype=np.bool_)
    for at in range(start, last):
        slot = np.int64(_gram_code(ids, at, end, n) >> np.uint64(32)) & mask
        while slots[slot] >= 0 and not _same(ids, start + slots[slot], end, at, end, n):
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = at - start
            used[distinct] = slot
            distinct += 1
    begin, stop = offsets[b], offsets[b + 1]
    final = max(begin + 1, stop - n + 1)
    for at in range(begin, final):
        slot = np.int64(_gram_code(ids, at, stop, n) >> np.uint64(32)) & mask
        while slots[slot] >= 0 and not _same(ids, start + slots[slot], end, at, stop, n):
            slot = (slot + 1) & mask
        if slots[slot] >= 0 and not hit[slots[slot]]:
            hit[slots[slot]] = True
            common += 1
    for k in range(distinct):
        slots[used[k]] = -1
    other = np.empty(final - begin, dtype=np.int64)
    for at in range(begin, final):
        slot = np.int64(_gram_code(ids, at, stop, n) >> np.uint64(32)) & mask
        while slots[slot] >= 0 and not _same(ids, begin + slots[slot], stop, at, stop, n):
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = at - begin
            other[size] = slot
            size += 1
    for k in range(size):
        slots[other[k]] = -1
    return common, distinct + size - common


@jit
def banded_components(
    ids: Ids, offsets: Ints, n: int, orders: Ints, keys: Keys, parent: Ids, numerator: int, denominator: int
) -> None:
    """Join the texts that share a band's key and have Jaccard >= numerator / denominator.

    Args:
        ids, offsets, n: as in `band_keys`.
        orders: texts sorted by the band's key, file order among equals.
        keys: the band's keys.
        parent: the components so far; changed in place.
        numerator, denominator: the threshold.
    """
    longest = 1
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    size = 16
    while size < 4 * longest:
        size *= 2
    slots = np.full(size, -1, dtype=np.int64)
    at = 0
    while at < len(orders):
        stop = at + 1
        while stop < len(orders) and keys[orders[stop]] == keys[orders[at]]:
            stop += 1
        for i in range(at + 1, stop):
            a = orders[i]
            for j in range(at, i):
                b = orders[j]
                left, right = root(parent, a), root(parent, b)
                if left == right:
                    continue
                common, union = jaccard_parts(ids, offsets, a, b, n, slots)
                if common * denominator >= numerator * union:
                    parent[max(left, right)] = min(left, right)
        at = stop


def components(ids: Ids, offsets: Ints, n: int, numerator: int, denominator: int) -> Ids:
    """For each text the smallest index of its component; a text without tokens stands alone.

    Args:
        ids, offsets, n: as in `band_keys`.
        numerator, denominator: the threshold, exactly.
    """
    bands, rows = bands_for(numerator / denominator)
    parent = np.arange(len(offsets) - 1, dtype=np.int32)
    keys = band_keys(ids, offsets, n, bands, rows)
    full = np.flatnonzero(np.diff(offsets))
    for band in range(bands):
        orders = full[np.argsort(keys[band][full], kind="stable")]
        banded_components(ids, offsets, n, orders, keys[band], parent, numerator, denominator)
    for text in range(len(parent)):
        parent[text] = root(parent, text)
    return parent
