"""The compiled part of the exact Jaccard self-join: sets of ids to connected components.

Prefix filter (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007, AllPairs): with elements in one order,
rarest first, two sets whose overlap is at least k share an element among the first |x| - k + 1 of each. Length and
positional filters as in PPJoin (Xiao et al. 2008). Every surviving pair is decided by integers. numba, ``cache=True``.
"""

from __future__ import annotations

import numpy as np

from tilth.select.kernels import Ids, Ints, Keys, jit


@jit
def rarest_first(ids: Ids, starts: Ints, distinct: int) -> tuple[Keys, Ints, Ids]:
    """Turn lists of ids into sets ordered by document frequency.

    Args:
        ids, starts: lists of ids end to end (repeats allowed) and their starts.
        distinct: number of distinct ids.

    Returns:
        Elements ``frequency << 32 | id``, ascending within each set; the sets' starts; frequency by id.
    """
    sets = len(starts) - 1
    frequency = np.zeros(distinct, dtype=np.int32)
    last = np.full(distinct, -1, dtype=np.int32)
    offsets = np.zeros(sets + 1, dtype=np.int64)
    kept = np.empty(len(ids), dtype=np.uint64)
    total = 0
    for s in range(sets):
        for i in range(starts[s], starts[s + 1]):
            id = ids[i]
            if last[id] != s:
                last[id] = s
                frequency[id] += 1
                kept[total] = np.uint64(id)
                total += 1
        offsets[s + 1] = total
    for i in range(total):
        kept[i] |= np.uint64(frequency[np.int64(kept[i])]) << np.uint64(32)
    for s in range(sets):
        start, end = offsets[s], offsets[s + 1]
        if end - start > 48:
            kept[start:end] = np.sort(kept[start:end])
            continue
        for i in range(start + 1, end):
            value, j = kept[i], i - 1
            while j >= start and kept[j] > value:
                kept[j + 1] = kept[j]
                j -= 1
            kept[j + 1] = value
    return kept[:total], offsets, frequency


@jit
def overlap(elements: Keys, offsets: Ints, a: int, b: int, least: int) -> int:
    """Size of the intersection of sets a and b, or a smaller number once `least` is out of reach."""
    i, end_i = offsets[a], offsets[a + 1]
    j, end_j = offsets[b], offsets[b + 1]
    common = 0
    while i < end_i and j < end_j:
        if common + min(end_i - i, end_j - j) < least:
            return common
        x, y = elements[i], elements[j]
        if x == y:
            common += 1
            i += 1
            j += 1
        elif x < y:
            i += 1
        else:
            j += 1
    return common


@jit
def root(parent: Ids, node: int) -> int:
    """The representative of a node's component."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@jit
def _merge_equal_sets(elements: Keys, offsets: Ints, parent: Ids) -> None:
    """Join equal sets at once, so that a thousand copies cost a thousand steps and not half a million."""
    sets = len(offsets) - 1
    size = 16
    while size < 2 * sets:
        size *= 2
    slots = np.full(size, -1, dtype=np.int32)
    for s in range(sets):
        if offsets[s] == offsets[s + 1]:
            continue
        code = np.uint64(offsets[s + 1] - offsets[s])
        for i in range(offsets[s], offsets[s + 1]):
            code = (code ^ elements[i]) * np.uint64(0x9E3779B97F4A7C15)
            code ^= code >> np.uint64(29)
        slot = np.int64(code >> np.uint64(16)) & (size - 1)
        while slots[slot] >= 0:
            held = slots[slot]
            width = offsets[s + 1] - offsets[s]
            same = offsets[held + 1] - offsets[held] == width
            for k in range(width if same else 0):
                if elements[offsets[held] + k] != elements[offsets[s] + k]:
                    same = False
                    break
            if same:
                parent[s] = held
                break
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot] = s


@jit
def signatures_of(elements: Keys, offsets: Ints) -> Keys:
    """256 bits a set, each the parity of the elements that hash to it.

    Two signatures differ in at most as many bits as the sets differ in elements (Sandes, Teodoro and Melo 2020).
    """
    sets = len(offsets) - 1
    found = np.zeros(4 * sets, dtype=np.uint64)
    for s in range(sets):
        for i in range(offsets[s], offsets[s + 1]):
            bit = (elements[i] & np.uint64(0xFFFFFFFF)) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(56)
            found[4 * s + np.int64(bit >> np.uint64(6))] ^= np.uint64(1) << (bit & np.uint64(63))
    return found


@jit
def _differ_by_more(signatures: Keys, a: int, b: int, most: int) -> bool:
    differing = np.uint64(0)
    for w in range(4):
        x = signatures[4 * a + w] ^ signatures[4 * b + w]
        x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
        x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
        x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        differing += (x * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return int(differing) > most


@jit
def components(
    elements: Keys, offsets: Ints, frequency: Ids, signatures: Keys, numerator: int, denominator: int
) -> Ids:
    """Connected components of the graph that joins sets with Jaccard >= numerator / denominator.

    Args:
        elements, offsets, frequency: from `rarest_first`.
        signatures: from `signatures_of`.
        numerator, denominator: the threshold, exactly.

    Returns:
        For each set the smallest index of its component; an empty set stands alone.
    """
    sets = len(offsets) - 1
    parent = np.arange(sets).astype(np.int32)
    _merge_equal_sets(elements, offsets, parent)
    sizes = offsets[1:] - offsets[:-1]
    # the counting sort by size keeps the order of the file within a size
    longest = sizes.max() if sets else 0
    by_size = np.zeros(longest + 2, dtype=np.int64)
    for s in range(sets):
        by_size[sizes[s] + 1] += 1
    by_size = np.cumsum(by_size)
    order = np.empty(sets, dtype=np.int32)
    for s in range(sets):
        order[by_size[sizes[s]]] = s
        by_size[sizes[s]] += 1
    both = numerator + denominator
    heads = np.zeros(len(frequency) + 1, dtype=np.int64)
    for s in range(sets):
        if parent[s] == s and sizes[s]:
            for k in range(sizes[s] + (-2 * numerator * sizes[s]) // both + 1):
                element = elements[offsets[s] + k]
                if element >> np.uint64(32) > 1:
                    heads[np.int64(element & np.uint64(0xFFFFFFFF)) + 1] += 1
    heads = np.cumsum(heads)
    ends = heads[:-1].copy()
    posting_set = np.empty(heads[-1], dtype=np.int32)
    posting_place = np.empty(heads[-1], dtype=np.int32)
    seen = np.full(sets, -1, dtype=np.int32)
    for probe in order:
        s = int(probe)
        size = sizes[s]
        if size == 0 or parent[s] != s:
            continue
        shortest = -((-numerator * size) // denominator)
        for k in range(size - shortest + 1):
            element = elements[offsets[s] + k]
            if element >> np.uint64(32) == 1:
                continue
            id = np.int64(element & np.uint64(0xFFFFFFFF))
            while heads[id] < ends[id] and sizes[posting_set[heads[id]]] < shortest:
                heads[id] += 1
            for p in range(heads[id], ends[id]):
                other = posting_set[p]
                if seen[other] == s:
                    continue
                seen[other] = s
                least = -((-numerator * (size + sizes[other])) // both)
                if min(size - k, sizes[other] - posting_place[p]) < least:
                    continue
                if _differ_by_more(signatures, s, other, size + sizes[other] - 2 * least):
                    continue
                a, b = root(parent, s), root(parent, other)
                if a != b and overlap(elements, offsets, s, other, least) >= least:
                    parent[max(a, b)] = min(a, b)
        for k in range(size + (-2 * numerator * size) // both + 1):
            element = elements[offsets[s] + k]
            if element >> np.uint64(32) > 1:
                id = np.int64(element & np.uint64(0xFFFFFFFF))
                posting_set[ends[id]] = s
                posting_place[ends[id]] = k
                ends[id] += 1
    for s in range(sets):
        parent[s] = root(parent, s)
    return parent


@jit
def links(
    elements: Keys, offsets: Ints, signatures: Keys, group: Ints, held: int, numerator: int, denominator: int
) -> tuple[Ints, Ints, Ints]:
    """For each member of a component its overlap with the survivor, and the member that links it.

    Args:
        elements, offsets, signatures: as for `components`.
        group: the component, ascending.
        held: the survivor.
        numerator, denominator: the threshold.

    Returns:
        Overlap with the survivor; the survivor where that is enough, else the first member that is near enough; the
        overlap with that one.
    """
    count = len(group)
    common, link, link_common = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    for i in range(count):
        a = group[i]
        size = offsets[a + 1] - offsets[a]
        common[i] = overlap(elements, offsets, a, held, 0)
        link[i], link_common[i] = held, common[i]
        if common[i] * denominator >= numerator * (size + offsets[held + 1] - offsets[held] - common[i]):
            continue
        for b in group:
            other = offsets[b + 1] - offsets[b]
            least = -((-numerator * (size + other)) // (numerator + denominator))
            if a == b or min(size, other) < least or _differ_by_more(signatures, a, b, size + other - 2 * least):
                continue
            found = overlap(elements, offsets, a, b, least)
            if found >= least:
                link[i], link_common[i] = b, found
                break
    return common, link, link_common
