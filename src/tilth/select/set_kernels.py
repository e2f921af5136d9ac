"""Compiled parts of joins that do not see all texts at once: sets of shingles as sorted hashes (numba, ``cache=True``).

A hash of 64 bits stands for a shingle wherever it is met, so that parts need no table in common. Two of 20 million
different shingles are alike with a probability of 1e-5, and then one overlap is one too large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilth.select.kernels import Ids, Ints, Keys, jit

Counts = NDArray[np.uint32]
_FACTOR, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


@jit
def hashed_sets(ids: Ids, offsets: Ints, codes: Keys, n: int) -> tuple[Keys, Ints]:
    """The set of n-grams of each text: ascending hashes end to end, and n + 1 starts.

    Args:
        ids, offsets: tokens of all texts end to end, and n + 1 starts.
        codes: a hash of each token that is the same wherever the token is met.
        n: tokens an n-gram; a shorter text is one, a text without tokens has none.
    """
    texts = len(offsets) - 1
    elements, starts = np.empty(len(ids), dtype=np.uint64), np.zeros(texts + 1, dtype=np.int64)
    total = 0
    for text in range(texts):
        begin, end = offsets[text], offsets[text + 1]
        first = total
        for at in range(begin, max(begin + 1, end - n + 1) if end > begin else begin):
            code = np.uint64(0)
            for k in range(at, min(at + n, end)):
                code = (code + codes[ids[k]]) * _FACTOR
                code ^= code >> np.uint64(29)
            code *= _MIX
            elements[total] = code ^ (code >> np.uint64(32))
            total += 1
        found = np.sort(elements[first:total])
        total = first
        for k in range(len(found)):
            if k == 0 or found[k] != found[k - 1]:
                elements[total] = found[k]
                total += 1
        starts[text + 1] = total
    return elements[:total], starts


@jit
def prefix_parts(
    elements: Keys, starts: Ints, counts: Counts, shift: int, numerator: int, denominator: int, parts: int
) -> tuple[Ids, Ints]:
    """In which parts each set must be looked at: those of its rarest elements.

    Two sets with Jaccard >= t have at least t |x| elements in common, so they share one of the first
    |x| - ceil(t |x|) + 1 of each in any one order (Vernica, Carey and Li 2010); here: counted in fewest sets first.

    Args:
        elements, starts: from `hashed_sets`.
        counts: sets that hold an element of each bucket, the bucket being the element's bits from `shift` on.
        shift: see above.
        numerator, denominator: the threshold t.
        parts: how many there are.

    Returns:
        Part and set of each assignment, by set.
    """
    most = 0
    for s in range(len(starts) - 1):
        most += min(parts, starts[s + 1] - starts[s])
    part_of, set_of = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int64)
    stamp = np.full(parts, -1, dtype=np.int64)
    total = 0
    for s in range(len(starts) - 1):
        size = starts[s + 1] - starts[s]
        if size == 0:
            continue
        own = elements[starts[s] : starts[s + 1]]
        rarity = np.empty(size, dtype=np.int64)
        for k in range(size):
            rarity[k] = counts[np.int64(own[k] >> np.uint64(shift))]
        # stable: among equals the smaller hash comes first
        order = np.argsort(rarity, kind="mergesort")
        for k in order[: size + (-numerator * size) // denominator + 1]:
            if rarity[k] > 1:
                part = np.int64((own[k] * _FACTOR) >> np.uint64(33)) % parts
                if stamp[part] != s:
                    stamp[part] = s
                    part_of[total], set_of[total] = part, s
                    total += 1
    return part_of[:total], set_of[:total]


@jit
def take_sets(elements: Keys, starts: Ints, chosen: Ints) -> tuple[Keys, Ints]:
    """Some of the sets, end to end, and their starts."""
    ends = np.zeros(len(chosen) + 1, dtype=np.int64)
    for k in range(len(chosen)):
        ends[k + 1] = ends[k] + starts[chosen[k] + 1] - starts[chosen[k]]
    out = np.empty(ends[-1], dtype=np.uint64)
    for k in range(len(chosen)):
        out[ends[k] : ends[k + 1]] = elements[starts[chosen[k]] : starts[chosen[k] + 1]]
    return out, ends


@jit
def in_prefix(starts: Ints, rarity: Ints, least: Ints) -> NDArray[np.bool_]:
    """Which elements are among the first ``size - least + 1`` of their set, those with the lowest rarity first."""
    out = np.zeros(len(rarity), dtype=np.bool_)
    for s in range(len(starts) - 1):
        size = starts[s + 1] - starts[s]
        order = np.argsort(rarity[starts[s] : starts[s + 1]], kind="mergesort")
        for k in order[: max(0, size - least[s] + 1)]:
            out[starts[s] + k] = True
    return out


@jit
def mark_like(
    elements: Keys, starts: Ints, places: Ints, chosen: NDArray[np.bool_], key_starts: Ints, key_sets: Ids, known: Keys,
    known_starts: Ints, factor: float, share: float, marked: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Mark the known sets that are like any of the given ones: ``factor * common >= share * (size + size)``.

    Args:
        elements, starts: the given sets, ascending hashes end to end.
        places: where each element stands among the keys of the known sets, -1 where none holds it.
        chosen: which elements are in the prefixes of their sets, see `in_prefix`; these alone are looked up.
        key_starts, key_sets: for each key the known sets that hold it in their prefix.
        known, known_starts: the known sets.
        factor, share: see above.
        marked: by known set; changed in place.
    """
    stamp = np.full(len(known_starts) - 1, -1, dtype=np.int64)
    for s in range(len(starts) - 1):
        size = starts[s + 1] - starts[s]
        for k in range(size):
            place = places[starts[s] + k]
            if place < 0 or not chosen[starts[s] + k]:
                continue
            for p in range(key_starts[place], key_starts[place + 1]):
                other = key_sets[p]
                if stamp[other] == s or marked[other]:
                    continue
                stamp[other] = s
                both = size + known_starts[other + 1] - known_starts[other]
                if factor * min(size, both - size) < share * both:
                    continue
                i, end, j, stop = starts[s], starts[s + 1], known_starts[other], known_starts[other + 1]
                common = 0
                while i < end and j < stop:
                    if elements[i] == known[j]:
                        common += 1
                        i += 1
                        j += 1
                    elif elements[i] < known[j]:
                        i += 1
                    else:
                        j += 1
                if factor * common >= share * both:
                    marked[other] = True
