"""Texts as token ids that grow block by block: four bytes a token, exact, whatever the order of blocks.

A word is `\\w+` on `str.lower()`, a character one of the normalised text. What the ids are for is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilth.select.kernels import Bytes, Ids, Ints, encode, word_ids
from tilth.select.words import normalised


class Tokens:
    """Token ids of texts.

    Args:
        unit: ``word`` or ``char``.
    """

    def __init__(self, unit: str = "word") -> None:
        self.unit = unit
        self._known: dict[bytes, int] = {}
        self._ids: list[Ids] = []
        self._sizes: list[Ints] = []
        self._first: tuple[Bytes, Ints, Ints] | None = None

    def add(self, texts: Sequence[str]) -> None:
        """Append texts."""
        if self.unit == "char":
            parts = [normalised(text) for text in texts]
            points = np.frombuffer("".join(parts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
            self._ids.append(points.astype(np.int32))
            self._sizes.append(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)))
            return
        buffer, starts, table = encode(texts)
        ids, offsets, _, _, first, last = word_ids(buffer, starts, table)
        block = (buffer, first, last)
        if self._ids:
            if self._first is not None:
                self._numbers(*self._first)
                self._first = None
            ids = self._numbers(*block)[ids]
        else:
            # one block needs no table: its own numbers will do
            self._first = block
        self._ids.append(ids)
        self._sizes.append(np.diff(offsets))

    def _numbers(self, buffer: Bytes, first: Ints, last: Ints) -> Ids:
        """The numbers of a block's words among all words met."""
        data, known = buffer.tobytes(), self._known
        found = (data[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True))
        return np.fromiter((known.setdefault(w, len(known)) for w in found), dtype=np.int32, count=len(first))

    def take(self, chosen: NDArray[np.bool_] | None = None) -> tuple[Ids, Ints, int]:
        """Ids of all texts end to end, starts, and how many different ones there may be; nothing is left behind.

        Args:
            chosen: which texts are wanted.
        """
        sizes = np.concatenate(self._sizes) if self._sizes else np.zeros(0, dtype=np.int64)
        if chosen is not None and not chosen.all():
            at = 0
            for k, ids in enumerate(self._ids):
                own = self._sizes[k]
                self._ids[k] = ids[np.repeat(chosen[at : at + len(own)], own)]
                at += len(own)
            sizes = sizes[chosen]
        ids = np.concatenate(self._ids) if self._ids else np.zeros(0, dtype=np.int32)
        offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
        np.cumsum(sizes, out=offsets[1:])
        vocabulary = len(self._known) if self._first is None else len(self._first[1])
        if self.unit == "char":
            seen = np.zeros(0x110000, dtype=np.bool_)
            seen[ids] = True
            ids, vocabulary = (np.cumsum(seen) - 1).astype(np.int32)[ids], int(seen.sum())
        self._ids, self._sizes, self._known, self._first = [], [], {}, None
        return ids, offsets, vocabulary
