"""Semantic duplicates (SemDeDup, Abbas et al. 2023): k-means, then cosines within clusters.

A row goes when a row that is preferred to it lies at the threshold or above. Pairs that k-means parts are missed; how
many is bounded (rows further from every border of their cluster than two near texts can be apart cannot be concerned)
and measured (a sample is compared with all rows). Small sets are one cluster, so nothing is missed. Knows no texts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import UsageError

Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]
ONE_CLUSTER = 20_000
"""Up to so many rows all pairs are compared."""
KEEP = ("first", "hard", "easy")
SAMPLE = 500
_BLOCK = 2_048


@dataclass(frozen=True, slots=True)
class SemanticResult:
    """Who survives.

    Args:
        survivor: for each of n rows the row that stands for it; a survivor names itself.
        nearest: the preferred row that is most like it, when that is at the threshold or above; else itself.
        similarity: cosine with `nearest` (1.0 for a survivor).
        report: clusters, probes, and what is known of missed duplicates (plain JSON).
    """

    survivor: list[int]
    nearest: list[int]
    similarity: list[float]
    report: dict[str, Any] = field(default_factory=dict)


def semantic_groups(
    vectors: Vectors,
    threshold: float = 0.95,
    *,
    keep: str = "first",
    priority: Ints | NDArray[np.float64] | None = None,
    pool: int = 0,
    clusters: int | None = None,
    probes: int = 2,
    seed: int = 0,
) -> SemanticResult:
    """Drop rows whose cosine with a preferred row is at least the threshold.

    Args:
        vectors: (n, d) unit rows, float32; a row of zeros is never a duplicate.
        threshold: cosine in (0, 1].
        keep: who is preferred: ``first`` in the file, ``hard`` (far from its cluster's centre, SemDeDup's choice) or
            ``easy`` (near it).
        priority: (n,) numbers; higher is preferred, whatever `keep` says.
        pool: so many rows at the start are an existing pool: they come before all others and stay.
        clusters: k; 1 compares all pairs. Default: 1 up to `ONE_CLUSTER` rows, else the root of n.
        probes: clusters that a row is compared in: its nearest and the next ones.
        seed: of k-means and of the sample.

    Raises:
        UsageError: a setting out of range.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"the threshold {threshold} is not above 0 and at most 1", todo="give a cosine such as 0.95")
    if keep not in KEEP:
        raise UsageError(f"keep={keep} is no rule", todo=f"use {', '.join(KEEP)}")
    count = len(vectors)
    k = clusters or (1 if count <= ONE_CLUSTER else round(math.sqrt(count)))
    k = max(1, min(k, count))
    centres = kmeans(vectors, k, seed)
    homes, closeness = _assign(vectors, centres, min(probes, k))
    sign = {"first": 0, "hard": 1, "easy": -1}[keep]
    preferred = sign * closeness.astype(np.float64) if priority is None else -np.asarray(priority, dtype=np.float64)
    preferred[:pool] = -np.inf
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(preferred, kind="stable")] = np.arange(count)
    nearest, best = np.arange(count), np.full(count, -1.0, dtype=np.float32)
    # compared in single precision: equal vectors must not fall short of 1 by a rounding
    least = np.float32(threshold - 1e-6)
    by_cluster = np.argsort(homes.ravel(), kind="stable")
    bounds = np.searchsorted(homes.ravel()[by_cluster], np.arange(k + 1))
    for c in range(k):
        members = by_cluster[bounds[c] : bounds[c + 1]] // homes.shape[1]
        _compare(vectors, members[np.argsort(rank[members])], least, nearest, best)
    best[:pool] = -1
    dropped = best >= least
    survivor = np.arange(count)
    for i in np.argsort(rank).tolist():
        if dropped[i]:
            survivor[i] = survivor[nearest[i]]
    nearest = np.where(dropped, nearest, np.arange(count))
    report = {"clusters": k, "probes": int(homes.shape[1]), "keep": keep}
    report |= _missed(vectors, centres, rank, dropped, least, threshold, pool, seed)
    similarity = np.where(dropped, np.minimum(best, 1.0), 1.0)
    return SemanticResult(survivor.tolist(), nearest.tolist(), similarity.astype(float).tolist(), report)


def kmeans(vectors: Vectors, k: int, seed: int = 0, rounds: int = 10) -> Vectors:
    """Spherical k-means on a sample of at most 256 rows a cluster.

    Returns:
        (k, d) unit centres.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(vectors))[: max(1, 256 * k)])
    sample = vectors[chosen] if len(chosen) < len(vectors) else vectors
    if k == 1:
        return _unit(sample.mean(axis=0, keepdims=True))
    centres = _unit(sample[rng.permutation(len(sample))[:k]].copy())
    for _ in range(rounds):
        homes, closeness = _assign(sample, centres, 1)
        own = homes[:, 0]
        order = np.argsort(own, kind="stable")
        sizes = np.bincount(own, minlength=k)
        full = np.flatnonzero(sizes)
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        sums = np.zeros_like(centres)
        for at in range(0, len(full), 64):
            part = full[at : at + 64]
            rows = order[starts[part[0]] : starts[part[-1]] + sizes[part[-1]]]
            sums[part] = np.add.reduceat(sample[rows], starts[part] - starts[part[0]], axis=0)
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            sums[empty] = sample[np.argsort(closeness)[: len(empty)]]
        centres = _unit(sums)
    return centres


def _unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _assign(vectors: Vectors, centres: Vectors, probes: int) -> tuple[Ints, Vectors]:
    """(n, probes) nearest clusters, the nearest first, and the cosine with the nearest centre."""
    homes = np.zeros((len(vectors), probes), dtype=np.int64)
    closeness = np.zeros(len(vectors), dtype=np.float32)
    block = max(256, (1 << 24) // max(1, len(centres)))
    for start in range(0, len(vectors), block):
        cosines = vectors[start : start + block] @ centres.T
        rows = np.arange(len(cosines))
        for probe in range(probes):
            best = cosines.argmax(axis=1)
            homes[start : start + block, probe] = best
            if probe == 0:
                closeness[start : start + block] = cosines[rows, best]
            cosines[rows, best] = -2
    return homes, closeness


def _compare(vectors: Vectors, members: Ints, least: np.float32, nearest: Ints, best: Vectors) -> None:
    """For each member its most similar one among those before it; changes `nearest` and `best` in place."""
    own = vectors[members]
    for start in range(0, len(members), _BLOCK):
        stop = min(len(members), start + _BLOCK)
        cosines = own[start:stop] @ own[:stop].T
        inner = cosines[:, start:]
        inner[np.triu_indices(stop - start)] = -2
        place = cosines.argmax(axis=1)
        value = cosines[np.arange(stop - start), place]
        rows = members[start:stop]
        better = (value >= least) & (value > best[rows])
        nearest[rows[better]], best[rows[better]] = members[place[better]], value[better]


def _missed(
    vectors: Vectors,
    centres: Vectors,
    rank: Ints,
    dropped: NDArray[np.bool_],
    least: np.float32,
    threshold: float,
    pool: int,
    seed: int,
) -> dict[str, Any]:
    """What a sample compared with all rows says of missed duplicates, and the share that no border can concern."""
    count, k = len(vectors), len(centres)
    if k == 1:
        return {"missed": {"bound": 0.0, "why": "all pairs were compared"}}
    rng = np.random.default_rng(seed + 1)
    sample = np.sort(rng.permutation(count - pool)[:SAMPLE] + pool)
    cosines = vectors[sample] @ centres.T
    own = cosines.argmax(axis=1)
    apart = np.sqrt(np.maximum(1e-12, 2 - 2 * centres @ centres.T))[own]
    margin = (cosines[np.arange(len(sample)), own][:, None] - cosines) / apart
    margin[np.arange(len(sample)), own] = np.inf
    # two unit vectors with cosine >= t lie at most sqrt(2 - 2t) apart
    safe = margin.min(axis=1) > math.sqrt(2 - 2 * threshold)
    has = np.zeros(len(sample), dtype=bool)
    for start in range(0, count, 65_536):
        near = vectors[sample] @ vectors[start : start + 65_536].T >= least
        near &= rank[None, start : start + 65_536] < rank[sample][:, None]
        has |= near.any(axis=1)
    true, found = int(has.sum()), int((has & dropped[sample]).sum())
    return {
        "missed": {
            "sampled": len(sample), "duplicates": true, "found": found,
            "recall": found / true if true else None,
            "share_of_rows_upper_95": _wilson_upper(true - found, len(sample)),
            "proven_safe": float(safe.mean()),
        }
    }  # fmt: skip


def _wilson_upper(hits: int, trials: int, z: float = 1.959964) -> float:
    """Upper end of Wilson's 95 % interval (Wilson 1927)."""
    p = hits / trials
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return (p + z * z / (2 * trials) + half) / (1 + z * z / trials)
