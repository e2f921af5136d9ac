"""Compiled containment (numba, ``cache=True``): from the n-grams found in texts to the benchmark text they come from."""

from __future__ import annotations

import numpy as np

from tilth.select.gram_kernels import FACTOR, spread
from tilth.select.kernels import Ids, Ints, Keys, jit


@jit
def owners_of(ids: Ids, offsets: Ints, codes: Keys, slots: Ints, n: int, sizes: Ints) -> tuple[Ints, Ids]:
    """For each slot of the table the benchmark texts that hold its n-gram: starts, and texts end to end."""
    count = np.zeros(len(slots) + 1, dtype=np.int64)
    last = np.full(len(slots), -1, dtype=np.int64)
    places = np.full(len(ids), -1, dtype=np.int64)
    for text in range(len(offsets) - 1):
        if sizes[text] == 0:
            continue
        for place in range(offsets[text], offsets[text + 1] - n + 1):
            code = np.uint64(0)
            for k in range(n):
                code = code * FACTOR + codes[ids[place + k]]
            slot = np.int64(spread(code) & np.uint64(0x7FFFFFFFFFFFFFFF)) & (len(slots) - 1)
            while True:
                same = True
                for k in range(n):
                    if ids[slots[slot] + k] != ids[place + k]:
                        same = False
                        break
                if same:
                    break
                slot = (slot + 1) & (len(slots) - 1)
            if last[slot] != text:
                last[slot], places[place] = text, slot
                count[slot + 1] += 1
    count = np.cumsum(count)
    ends, owners = count[:-1].copy(), np.empty(count[-1], dtype=np.int32)
    for text in range(len(offsets) - 1):
        for place in range(offsets[text], offsets[text + 1]):
            if places[place] >= 0:
                owners[ends[places[place]]] = text
                ends[places[place]] += 1
    return count, owners


@jit
def contain(
    texts: int,
    found: Ids,
    hits: Ints,
    table: int,
    owner_starts: Ints,
    owners: Ids,
    sizes: Ints,
    above: int,
    below: int,
) -> tuple[Ints, Ints]:
    """For each text the benchmark text with the largest share of its n-grams found (the first among equals)."""
    best, counts = np.full(texts, -1, dtype=np.int64), np.zeros(texts, dtype=np.int64)
    stamp = np.full(table, -1, dtype=np.int64)
    common, touched = np.zeros(len(sizes), dtype=np.int64), np.empty(len(sizes), dtype=np.int64)
    i = 0
    while i < len(found):
        text, met = found[i], 0
        while i < len(found) and found[i] == text:
            slot = hits[i]
            i += 1
            if stamp[slot] == text:
                continue
            stamp[slot] = text
            for k in range(owner_starts[slot], owner_starts[slot + 1]):
                if common[owners[k]] == 0:
                    touched[met] = owners[k]
                    met += 1
                common[owners[k]] += 1
        for k in range(met):
            owner = touched[k]
            held = best[text]
            if common[owner] * below >= above * sizes[owner]:
                mine, other = common[owner] * sizes[held], counts[text] * sizes[owner]
                if held < 0 or mine > other or (mine == other and owner < held):
                    best[text], counts[text] = owner, common[owner]
            common[owner] = 0
    return best, counts
