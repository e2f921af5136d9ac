"""Going through a source again and again without holding it. Knows nothing of what the rows are gone through for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np

from tilth.rows.row import Row

Change = Callable[[Row], tuple[Row, Counter[str]]]
_DIGEST = 16


class Pass:
    """Something that can be iterated again and again."""

    def __init__(self, begin: Callable[[], Iterator[Any]]) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[Any]:
        return self._begin()


class RowStream:
    """The rows of a source, any number of times, with the ids that `read_rows` gives them.

    Args:
        source: gives the rows, with ids that derive from the source; iterated once for each pass.
        change: gives for a row the row to use instead, and what has been changed in it.
    """

    def __init__(self, source: Iterable[Row], change: Change | None = None) -> None:
        self._source, self._change = source, change
        self._own: bool | None = None
        self.changed: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Row]:
        first = self._own is None
        rows = self._first_pass() if first else (Row(r, r["id"]) for r in self._source) if self._own else self._source
        if self._change is None:
            yield from rows
            return
        for row in rows:
            changed, counts = self._change(row)
            if first:
                self.changed += counts
            yield changed

    def _first_pass(self) -> Iterator[Row]:
        own, digests, count = True, bytearray(), 0
        for count, row in enumerate(self._source, 1):  # noqa: B007 (the count is used below)
            own = own and isinstance(id := row.get("id"), str) and bool(id)
            if own:
                digests += blake2b(row["id"].encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
            yield row
        self._own = own and len(np.unique(np.frombuffer(bytes(digests), dtype=f"V{_DIGEST}"))) == count
