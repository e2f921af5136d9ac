"""Compiled ROUGE-L: bit-parallel LCS on token ids and the greedy novelty pass (numba, ``cache=True``).

Floats follow rouge_score's expression without fast-math, so decisions equal Python's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilth.select.kernels import Ids, Ints, Keys, jit


@jit
def f_measure(lcs: int, a: int, b: int) -> float:
    """See `tilth.select.novelty.rouge_f`."""
    if lcs == 0:
        return 0.0
    precision, recall = lcs / a, lcs / b
    return 2 * precision * recall / (precision + recall)


@jit
def _least(threshold: float, a: int, b: int) -> int:
    least = max(0, int(np.floor(threshold * (a + b) / 2)) - 1)
    while least <= min(a, b) and not f_measure(least, a, b) > threshold:
        least += 1
    return least


@jit
def lcs_length(masks: Keys, local: Ids, blocks: int, row: Keys, size: int, ids: Ids, start: int, end: int) -> int:
    """LCS of the loaded query with ``ids[start:end]`` (Hyyrö 2004, with carries between 64-bit blocks).

    Args:
        masks: ``blocks`` words for each distinct token of the query: the bits of its places.
        local: token id to its number in `masks`, or -1.
        blocks: words a mask.
        row: scratch of at least `blocks` words.
        size: tokens in the query.
        ids, start, end: the other text.
    """
    full = ~np.uint64(0)
    if blocks == 1:
        state = full
        for p in range(start, end):
            k = local[ids[p]]
            if k >= 0:
                common = state & masks[k]
                state = (state + common) | (state & ~masks[k])
        return _zeros(state, size)
    for w in range(blocks):
        row[w] = full
    for p in range(start, end):
        k = local[ids[p]]
        if k < 0:
            continue
        carry = np.uint64(0)
        for w in range(blocks):
            mask = masks[k * blocks + w]
            common = row[w] & mask
            total = row[w] + common
            over = np.uint64(total < common)
            total += carry
            over |= np.uint64(total < carry)
            row[w] = total | (row[w] & ~mask)
            carry = over
    lcs = 0
    for w in range(blocks):
        lcs += _zeros(row[w], min(64, size - 64 * w))
    return lcs


@jit
def _zeros(state: np.uint64, bits: int) -> int:
    """Zero bits among the lowest `bits` of a word."""
    low = ~state
    if bits < 64:
        low &= (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    low = low - ((low >> np.uint64(1)) & np.uint64(0x5555555555555555))
    low = (low & np.uint64(0x3333333333333333)) + ((low >> np.uint64(2)) & np.uint64(0x3333333333333333))
    low = (low + (low >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((low * np.uint64(0x0101010101010101)) >> np.uint64(56))


@jit
def _bag_overlap(bags: Ids, i: int, end_i: int, j: int, end_j: int, least: int) -> int:
    """Multiset intersection of two ascending runs, or a smaller number once `least` is out of reach."""
    common = 0
    while i < end_i and j < end_j:
        if common + min(end_i - i, end_j - j) < least:
            return common
        x, y = bags[i], bags[j]
        common += x == y
        i += x <= y
        j += y <= x
    return common


@jit
def greedy_pass(
    ids: Ids, starts: Ints, vocabulary: int, threshold: float, pool: int
) -> tuple[Ids, NDArray[np.float64]]:
    """The greedy novelty pass over token ids.

    F > T between texts of a and b tokens needs an LCS, so a bag overlap, above T·(a + b)/2, which for any b that
    allows it is above T·a/(2 - T) and for any a above T·b/(2 - T). So only the rarest tokens of each text, all but that
    many less one, need be indexed and looked up (the prefix filter, on multisets); then length, bag and order decide.

    Args:
        ids: tokens of n texts end to end, numbered rarest first.
        starts: their n + 1 starts.
        vocabulary: number of distinct tokens.
        threshold: T.
        pool: so many texts at the start are accepted unseen.

    Returns:
        Nearest accepted text above the threshold, or -1; and its F, or 0.
    """
    texts = len(starts) - 1
    nearest, similarity = np.full(texts, -1, dtype=np.int32), np.zeros(texts, dtype=np.float64)
    bags = ids.copy()
    prefix = np.zeros(texts, dtype=np.int64)
    room = np.zeros(vocabulary + 1, dtype=np.int64)
    longest = 0
    for t in range(texts):
        size = starts[t + 1] - starts[t]
        longest = max(longest, size)
        bags[starts[t] : starts[t + 1]] = np.sort(bags[starts[t] : starts[t + 1]])
        # one token fewer than the bound, so that rounding in the bound cannot lose a pair
        must = max(1, np.int64(np.floor(threshold * size / (2 - threshold))) - 1)
        prefix[t] = max(0, size - must + 1)
        for p in range(starts[t], starts[t] + prefix[t]):
            room[bags[p] + 1] += 1
    heads = np.cumsum(room)
    ends = heads[:-1].copy()
    posting_text = np.empty(heads[-1], dtype=np.int32)
    posting_place = np.empty(heads[-1], dtype=np.int32)
    local = np.full(vocabulary + 1, -1, dtype=np.int32)
    row = np.empty(longest // 64 + 1, dtype=np.uint64)
    masks = np.zeros(64, dtype=np.uint64)
    seen = np.full(texts, -1, dtype=np.int32)
    for t in range(texts):
        start, end = starts[t], starts[t + 1]
        size = end - start
        blocks = (size + 63) // 64
        loaded = False
        best = threshold
        for k in range(prefix[t] if t >= pool else 0):
            token = bags[start + k]
            if k and bags[start + k - 1] == token:
                continue
            for p in range(heads[token], ends[token]):
                other = posting_text[p]
                if seen[other] == t:
                    continue
                seen[other] = t
                other_start, other_end = starts[other], starts[other + 1]
                other_size = other_end - other_start
                reach = min(size - k, other_size - posting_place[p])
                # 2·lcs/(a + b) is F up to rounding: a cheap bound first, with room for the rounding
                if 2.0 * reach < best * (size + other_size) - 1e-6:
                    continue
                least = _least(best, size, other_size) if nearest[t] < 0 else 1
                if reach < least or _bag_overlap(bags, start, end, other_start, other_end, least) < least:
                    continue
                if not loaded:
                    loaded = True
                    kinds = 0
                    for q in range(start, end):
                        if local[ids[q]] < 0:
                            local[ids[q]] = kinds
                            kinds += 1
                    if kinds * blocks > len(masks):
                        masks = np.zeros(2 * kinds * blocks, dtype=np.uint64)
                    masks[: kinds * blocks] = np.uint64(0)
                    for q in range(size):
                        masks[local[ids[start + q]] * blocks + q // 64] |= np.uint64(1) << np.uint64(q % 64)
                lcs = lcs_length(masks, local, blocks, row, size, ids, other_start, other_end)
                f = f_measure(lcs, size, other_size)
                if f > best or (nearest[t] >= 0 and f == best and other < nearest[t]):
                    best = f
                    nearest[t] = other
        if loaded:
            for q in range(start, end):
                local[ids[q]] = -1
        if nearest[t] >= 0:
            similarity[t] = best
            continue
        for k in range(prefix[t]):
            token = bags[start + k]
            if k == 0 or bags[start + k - 1] != token:
                posting_text[ends[token]] = t
                posting_place[ends[token]] = k
                ends[token] += 1
    return nearest, similarity
