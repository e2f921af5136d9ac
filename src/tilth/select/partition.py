"""Selection in partitions that see only their own rows or sets, here or on a cluster, with the result of one machine.

Rows are cut into ranges for what judges them singly. Equal texts meet in the partition of their digest; near duplicates in
one of those of their rarest shingles. The partitions answer with pairs; these are joined where the command runs. Where the
work is done, a `Cluster` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilth.rows.row import Row
from tilth.select import join
from tilth.select.decontaminate import Decontaminator, Hit
from tilth.select.exact import first_of_equals
from tilth.select.filters import Answer, Fault, Filter, Given, merged, no_vectors
from tilth.select.kernels import Ints, Keys, dense_ids, encode, word_ids
from tilth.select.near import NearResult, links_by, near_settings, survivors
from tilth.select.set_kernels import Counts, hashed_sets, prefix_parts, take_sets
from tilth.select.words import character_shingles, digest, normalised, shingles

BUCKET_BITS = 20
"""Elements are counted in 2**20 buckets, which is all that the ranges must know of each other."""
Sets = tuple[Keys, Ints]
Piece = tuple[Ints, Keys, Ints]
"""Rows, and their sets end to end with starts."""


class Cluster(Protocol):
    """Where work is done: results are handles, which may be given to further work."""

    def start(self, function: Callable[..., Any], *arguments: Any, outputs: int | None = None) -> Any:
        """Begin ``function(*arguments)``; a handle, or `outputs` handles when it returns a list of so many (two or more)."""
        ...

    def get(self, handles: Sequence[Any]) -> list[Any]:
        """The results behind handles, in order."""
        ...


class Here:
    """This process: one task after the other."""

    def start(self, function: Callable[..., Any], *arguments: Any, outputs: int | None = None) -> Any:
        """See `Cluster`."""
        return function(*arguments)

    def get(self, handles: Sequence[Any]) -> list[Any]:
        """See `Cluster`."""
        return list(handles)


class Partitions:
    """Work in a number of partitions.

    Args:
        count: at least 2.
        cluster: where; this process by default.
    """

    def __init__(self, count: int, cluster: Cluster | None = None) -> None:
        self.count, self.cluster = count, cluster or Here()

    def hits(self, gate: Decontaminator, texts: Sequence[str], parts: Sequence[Sequence[str]]) -> list[Hit | None]:
        """See `Decontaminator.check`; in one piece where it embeds, for the texts decide on the directions."""
        if gate.embedder is not None:
            return gate.check(texts, parts)
        work = [self.cluster.start(gate.check, *part) for part in self._ranges(texts, parts)]
        return [hit for part in self.cluster.get(work) for hit in part]

    def filtered(self, filter: Filter, rows: Sequence[Row], texts: Sequence[str], seed: int) -> Answer:
        """What a filter that judges each row alone says of rows."""
        ranges = list(self._ranges(range(len(rows)), rows, texts, first=True))
        work = [self.cluster.start(_filtered, filter, part, own, seed) for _, part, own in ranges]
        faults: dict[int, Fault] = {}
        reports = []
        for (start, _, _), (found, report) in zip(ranges, self.cluster.get(work), strict=True):
            faults |= {start + i: fault for i, fault in found.items()}
            reports.append(report)
        return faults, merged(reports)

    def exact_groups(self, texts: Sequence[str], priority: Sequence[float] | None = None) -> list[int]:
        """See `tilth.select.exact.exact_groups`."""
        ranks = np.zeros(len(texts)) if priority is None else -np.asarray(priority, dtype=np.float64)
        pieces = [
            self.cluster.start(_spread_texts, start, part, rank, self.count, outputs=self.count)
            for start, part, rank in self._ranges(range(len(texts)), texts, ranks, first=True)
        ]
        held = np.arange(len(texts))
        for rows, first in self.cluster.get([self.cluster.start(_equal, *part) for part in zip(*pieces, strict=True)]):
            held[rows] = first
        return held.tolist()

    def near_groups(
        self, texts: Sequence[str], threshold: str | float, *, n: int = 3, unit: str = "word", pool: int = 0,
        priority: Sequence[float] | None = None, chained: Sequence[int] = (),
    ) -> NearResult:  # fmt: skip
        """See `tilth.select.near.near_groups`; a partition compares exactly, whatever its size."""
        bound = near_settings(threshold, n, unit)
        ratio = bound.numerator, bound.denominator
        ranges = list(self._ranges(range(len(texts)), texts, first=True))
        sets = [self.cluster.start(hashed_shingles, part, unit, n) for _, part in ranges]
        counts = sum(self.cluster.get([self.cluster.start(_counts, found) for found in sets]), _no_counts())
        pieces = [
            self.cluster.start(_spread_sets, start, found, counts, ratio, self.count, outputs=self.count)
            for (start, _), found in zip(ranges, sets, strict=True)
        ]
        roots = np.arange(len(texts)).tolist()
        work = [self.cluster.start(_near, ratio, *part) for part in zip(*pieces, strict=True)]
        for left, right in self.cluster.get(work):
            for a, b in zip(left.tolist(), right.tolist(), strict=True):
                low, high = sorted((_root(roots, a), _root(roots, b)))
                roots[high] = low

        @lru_cache(maxsize=1 << 12)
        def set_of(i: int) -> frozenset[str]:
            return shingles(texts[i], n) if unit == "word" else character_shingles(texts[i], n)

        roots = [_root(roots, i) for i in range(len(roots))]
        return survivors(roots, links_by(set_of, bound), priority, pool, chained=chained)

    def _ranges(self, *columns: Any, first: bool = False) -> Any:
        bounds = np.linspace(0, len(columns[0]), self.count + 1).astype(int).tolist()
        for start, stop in pairwise(bounds):
            parts = [column[start:stop] for column in columns]
            yield [start, *parts[1:]] if first else parts


def _filtered(filter: Filter, rows: Sequence[Row], texts: Sequence[str], seed: int) -> Answer:
    return filter(Given(rows, texts, no_vectors, seed))


def _root(parent: list[int], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


def hashed_shingles(texts: Sequence[str], unit: str, n: int) -> Sets:
    """Sets of shingles as hashes that are the same in every partition."""
    if unit == "word":
        ids, offsets, _, codes, _, _ = word_ids(*encode(texts))
        return hashed_sets(ids, offsets, codes, n)
    parts = [normalised(text) for text in texts]
    points = np.frombuffer("".join(parts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)), out=offsets[1:])
    codes = np.arange(1, 0x110001, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return hashed_sets(points.astype(np.int32), offsets, codes, n)


def _no_counts() -> Counts:
    return np.zeros(1 << BUCKET_BITS, dtype=np.uint32)


def _counts(sets: Sets) -> Counts:
    buckets = (sets[0] >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
    return np.bincount(buckets, minlength=1 << BUCKET_BITS).astype(np.uint32)


def _spread_sets(start: int, sets: Sets, counts: Counts, ratio: tuple[int, int], parts: int) -> list[Piece]:
    part_of, set_of = prefix_parts(*sets, counts, 64 - BUCKET_BITS, *ratio, parts)
    out = []
    for part in range(parts):
        chosen = set_of[part_of == part]
        out.append((chosen + start, *take_sets(*sets, chosen)))
    return out


def _near(ratio: tuple[int, int], *pieces: Piece) -> tuple[Ints, Ints]:
    """Pairs that join the rows of a partition into its components."""
    rows = np.concatenate([piece[0] for piece in pieces])
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(np.concatenate([np.diff(piece[2]) for piece in pieces]), out=starts[1:])
    ids, distinct = dense_ids(np.concatenate([piece[1] for piece in pieces]))
    elements, set_starts, frequency = join.rarest_first(ids, starts, distinct)
    found = join.components(elements, set_starts, frequency, join.signatures_of(elements, set_starts), *ratio)
    linked = np.flatnonzero(found != np.arange(len(found)))
    return rows[linked], rows[found[linked]]


def _spread_texts(start: int, texts: Sequence[str], ranks: NDArray[np.float64], parts: int) -> list[Any]:
    keys = np.frombuffer(b"".join(map(digest, texts)), dtype=np.uint64).reshape(-1, 2)
    rows = np.arange(start, start + len(texts))
    part_of = (keys[:, 0] % np.uint64(parts)).astype(np.int64)
    real = keys.any(axis=1)
    return [(rows[own], keys[own], ranks[own]) for own in (real & (part_of == part) for part in range(parts))]


def _equal(*pieces: tuple[Ints, Keys, NDArray[np.float64]]) -> tuple[Ints, Ints]:
    """Rows and the survivor of each."""
    rows, keys, ranks = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return rows, rows[first_of_equals(keys, ranks)]
