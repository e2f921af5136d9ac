"""Compiled kernels of n-gram search (numba, ``cache=True``): hash, bitmap, look-up by bytes.

They know word ids and bytes, no texts and no thresholds but as integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from tilth.select.kernels import Bytes, Ids, Ints, Keys, WordTable, jit

FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_LOW, _HIGH = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)
_LOWER, _FROM_A, _PAST_Z = (np.uint64(b * 0x0101010101010101) for b in (0x20, 0x80 - 97, 0x80 - 123))
_FROM_0, _PAST_9, _UNDERSCORE = (np.uint64(b * 0x0101010101010101) for b in (0x80 - 48, 0x80 - 58, 95))
_PLACES = np.uint64(0x0001020304050607)
PADDING = 8
"""Bytes that must follow the last text in a buffer that `matches` reads."""


def _load(context: Any, buffer: Any, at: Any) -> Any:

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        whole = builder.bitcast(builder.gep(data, [given[1]]), ir.IntType(64).as_pointer())
        return builder.load(whole, align=1)

    return types.uint64(buffer, types.int64), build


_eight = cast(Callable[[Bytes, int], np.uint64], intrinsic(_load))
"""Eight bytes of a buffer from a place on, wherever that lies, as one number, the first byte lowest."""


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
def _code_of(buffer: Bytes, begin: int, end: int, folds: Bytes) -> np.uint64:
    """The hash of a word: eight bytes at a time, the first one lowest, capitals folded; never 0."""
    code = np.uint64(0)
    for start in range(begin, end, 8):
        group = np.uint64(0)
        for i in range(start, min(start + 8, end)):
            byte = folds[buffer[i]] if buffer[i] < 128 else buffer[i]
            group |= np.uint64(byte) << np.uint64(8 * (i - start))
        code = (code + group) * _MIX
        code ^= code >> np.uint64(29)
    return code | np.uint64(1)


@jit
def word_codes(buffer: Bytes, first: Ints, last: Ints) -> Keys:
    """The hash of each known word, as `matches` computes it."""
    folds = _folds()
    out = np.zeros(len(first), dtype=np.uint64)
    for word in range(len(first)):
        out[word] = _code_of(buffer, first[word], last[word], folds)
    return out


@jit
def spread(code: np.uint64) -> np.uint64:
    """A hash whose bits all depend on all of the code's."""
    code = (code ^ (code >> np.uint64(32))) * FACTOR
    return code ^ (code >> np.uint64(29))


@jit
def _two_bits(code: np.uint64) -> np.uint64:
    return np.uint64(1) << (code >> np.uint64(20) & np.uint64(63)) | np.uint64(1) << (
        code >> np.uint64(26) & np.uint64(63)
    )


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
                code = code * FACTOR + codes[ids[place + k]]
            code = spread(code)
            bits[np.int64(code >> np.uint64(32)) & (len(bits) - 1)] |= _two_bits(code)
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
def _width(lead: np.uint8) -> int:
    """Bytes of the character that begins with `lead`."""
    return 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


@jit
def _end_of_word(buffer: Bytes, i: int, stop: int, folds: Bytes, table: WordTable) -> int:
    """Where the run of word characters from `i` on ends, character by character."""
    while i < stop:
        lead = buffer[i]
        if lead < 128:
            if folds[lead] == 0:
                break
            i += 1
            continue
        wide = _width(lead)
        point = np.int64(lead) & (0x7F >> wide)
        for k in range(1, wide):
            point = (point << 6) | np.int64(buffer[i + k] & 63)
        if not table[point]:
            break
        i += wide
    return i


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
    mask, spots = width - 1, len(bits) - 1
    power = np.uint64(1)
    for _ in range(n):
        power *= FACTOR
    # room for every word: growing an array in the loop would cost ten times the search
    most = len(starts) if only_first else len(buffer) // 2 + 1
    found, hits, total = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int64), 0
    for text in range(len(starts) - 1):
        run, i, stop = 0, starts[text], starts[text + 1]
        rolling = np.uint64(0)
        while i < stop:
            begin, word = i, np.uint64(0)
            while True:
                eight = _eight(buffer, i)
                plain = eight & _LOW
                folded = plain | _LOWER
                letters = ((folded + _FROM_A) ^ (folded + _PAST_Z)) & _HIGH
                inner = ((plain + _FROM_0) ^ (plain + _PAST_9)) | letters | ~((plain ^ _UNDERSCORE) + _LOW)
                other = (~inner | eight) & _HIGH
                folded = plain | letters >> np.uint64(2)
                if other != 0:
                    break
                word = (word + folded) * _MIX
                word ^= word >> np.uint64(29)
                i += 8
            lowest = other & (~other + np.uint64(1))
            if eight & lowest != 0:
                # a character beyond ASCII: the slow way through this word, from its start
                i = end = _end_of_word(buffer, begin, stop, folds, table)
                if end == begin:
                    i += _width(buffer[i])
                    continue
                word = _code_of(buffer, begin, end, folds)
            else:
                size = np.int64((lowest >> np.uint64(7)) * _PLACES >> np.uint64(56))
                if size > 0:
                    word = (word + (folded & ((lowest >> np.uint64(7)) - np.uint64(1)))) * _MIX
                    word ^= word >> np.uint64(29)
                end = i + size
                i = end + 1
                if end == begin:
                    continue
                word |= np.uint64(1)
            rolling = rolling * FACTOR + word
            if run >= n:
                rolling -= power * recent[(run - n) & mask]
            recent[run & mask], begins[run & mask], ends[run & mask] = word, begin, end
            run += 1
            if run >= n:
                code = spread(rolling)
                both = _two_bits(code)
                if bits[np.int64(code >> np.uint64(32)) & spots] & both == both:
                    slot = _look_up(buffer, begins, ends, run, folds, code, known, first, last, ids, slots, held, n)
                    if slot >= 0:
                        found[total], hits[total] = text, slot
                        total += 1
                        if only_first:
                            break
    return found[:total], hits[:total]
