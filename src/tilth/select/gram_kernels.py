"""Compiled kernels of n-gram search (numba, ``cache=True``): hash, bitmap, look-up by bytes, containment.

They know word ids and bytes, no texts and no thresholds but as integers.
"""

from __future__ import annotations

import numpy as np

from tilth.select.kernels import Bytes, Ids, Ints, Keys, WordTable, jit

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)


@jit
def _folds() -> Bytes:
    """ASCII: the lower-case byte of a word character, 0 elsewhere; 255 for a byte of a longer character."""
    out = np.zeros(256, dtype=np.uint8)
    for byte in range(128):
        if 48 <= byte <= 57 or 97 <= byte <= 122 or byte == 95:
            out[byte] = byte
        if 65 <= byte <= 90:
            out[byte] = byte + 32
    out[128:] = 255
    return out


@jit
def word_codes(buffer: Bytes, first: Ints, last: Ints) -> Keys:
    """The hash of each known word, as `matches` computes it."""
    out = np.zeros(len(first), dtype=np.uint64)
    for word in range(len(first)):
        code = np.uint64(0)
        for i in range(first[word], last[word]):
            code = code * _MIX + np.uint64(buffer[i])
        out[word] = code ^ (code >> np.uint64(29))
    return out


@jit
def _spread(code: np.uint64) -> np.uint64:
    code = (code ^ (code >> np.uint64(32))) * _FACTOR
    return code ^ (code >> np.uint64(29))


@jit
def index_grams(ids: Ids, offsets: Ints, codes: Keys, n: int) -> tuple[Ints, Keys, Keys]:
    """Table from the hash of an n-gram to the place of its first occurrence; the hashes; a bitmap of them."""
    size = 1 << 10
    while size < 2 * len(ids):
        size *= 2
    slots = np.full(size, -1, dtype=np.int64)
    held = np.zeros(size, dtype=np.uint64)
    bits = np.zeros(max(1, size // 8), dtype=np.uint64)
    for text in range(len(offsets) - 1):
        for place in range(offsets[text], offsets[text + 1] - n + 1):
            code = np.uint64(0)
            for k in range(n):
                code = code * _FACTOR + codes[ids[place + k]]
            code = _spread(code)
            bit = np.int64(code >> np.uint64(20)) & (len(bits) * 64 - 1)
            bits[bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)
            slot = np.int64(code & np.uint64(0x7FFFFFFFFFFFFFFF)) & (size - 1)
            while slots[slot] >= 0:
                same = True
                for k in range(n):
                    if ids[slots[slot] + k] != ids[place + k]:
                        same = False
                        break
                if same:
                    break
                slot = (slot + 1) & (size - 1)
            if slots[slot] < 0:
                slots[slot], held[slot] = place, code
    return slots, held, bits


@jit
def _look_up(
    buffer: Bytes, begins: Ints, ends: Ints, run: int, folds: Bytes, code: np.uint64,
    known: Bytes, first: Ints, last: Ints, ids: Ids, slots: Ints, held: Keys, n: int,
) -> int:  # fmt: skip
    """The slot of the n-gram whose words end in the rings at `run`, compared byte by byte; -1 when unknown."""
    slot = np.int64(code & np.uint64(0x7FFFFFFFFFFFFFFF)) & (len(slots) - 1)
    while slots[slot] >= 0:
        if held[slot] == code:
            same = True
            for k in range(n):
                ring, word = (run - n + k) & (len(begins) - 1), ids[slots[slot] + k]
                width = ends[ring] - begins[ring]
                if last[word] - first[word] != width:
                    same = False
                    break
                for j in range(width):
                    byte = buffer[begins[ring] + j]
                    if (folds[byte] if byte < 128 else byte) != known[first[word] + j]:
                        same = False
                        break
                if not same:
                    break
            if same:
                return int(slot)
        slot = (slot + 1) & (len(slots) - 1)
    return -1


@jit
def matches(
    buffer: Bytes, starts: Ints, table: WordTable, known: Bytes, first: Ints, last: Ints, ids: Ids,
    slots: Ints, held: Keys, bits: Keys, n: int, only_first: bool,
) -> tuple[Ids, Ints]:  # fmt: skip
    """Known n-grams in the order in which they stand: text and slot of each, or of the first of each text."""
    folds = _folds()
    width = 1
    while width < n:
        width *= 2
    recent = np.zeros(width, dtype=np.uint64)
    begins, ends = np.zeros(width, dtype=np.int64), np.zeros(width, dtype=np.int64)
    mask = width - 1
    spots = len(bits) * 64 - 1
    power = np.uint64(1)
    for _ in range(n):
        power *= _FACTOR
    # room for every word: growing an array in the loop would cost ten times the search
    most = len(starts) if only_first else len(buffer) // 2 + 1
    found, hits, total = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int64), 0
    for text in range(len(starts) - 1):
        run, i, begin, stop = 0, starts[text], starts[text], starts[text + 1]
        word, rolling = np.uint64(0), np.uint64(0)
        while i < stop:
            byte = folds[buffer[i]]
            wide = 1
            if byte != 0:
                if byte != 255:
                    word = word * _MIX + np.uint64(byte)
                    i += 1
                    continue
                lead = buffer[i]
                wide, point = 2, np.int64(lead & 31)
                if lead >= 0xF0:
                    wide, point = 4, np.int64(lead & 7)
                elif lead >= 0xE0:
                    wide, point = 3, np.int64(lead & 15)
                for k in range(1, wide):
                    point = (point << 6) | np.int64(buffer[i + k] & 63)
                if table[point]:
                    for k in range(wide):
                        word = word * _MIX + np.uint64(buffer[i + k])
                    i += wide
                    continue
            if word != 0:
                word ^= word >> np.uint64(29)
                rolling = rolling * _FACTOR + word
                if run >= n:
                    rolling -= power * recent[(run - n) & mask]
                recent[run & mask], begins[run & mask], ends[run & mask] = word, begin, i
                run += 1
                word = np.uint64(0)
                if run >= n:
                    code = _spread(rolling)
                    bit = np.int64(code >> np.uint64(20)) & spots
                    if (bits[bit >> 6] >> np.uint64(bit & 63)) & np.uint64(1):
                        slot = _look_up(buffer, begins, ends, run, folds, code, known, first, last, ids, slots, held, n)
                        if slot >= 0:
                            found[total], hits[total] = text, slot
                            total += 1
                            if only_first:
                                break
            i += wide
            begin = i
    return found[:total], hits[:total]


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
                code = code * _FACTOR + codes[ids[place + k]]
            slot = np.int64(_spread(code) & np.uint64(0x7FFFFFFFFFFFFFFF)) & (len(slots) - 1)
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
