"""Choosing a subset: by coverage of the embedding space, by score and novelty, or by quotas of an attribute.

Greedy k-center (Sener and Savarese 2018), facility location (Mirzasoleiman et al. 2020, lazy greedy), and DEITA's
score-first selection (Liu et al. 2024). All are deterministic. Knows vectors, scores and labels, no texts.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import InputError, UsageError

Vectors = NDArray[np.float32]
FACILITY_ROWS = 20_000
"""Facility location compares all pairs; beyond this it asks for another rule."""


def k_center(vectors: Vectors, count: int) -> list[int]:
    """Rows such that no row is far from all of them: each next one is the farthest from those chosen (the first: row 0).

    Args:
        vectors: (n, d) unit rows.
        count: rows wanted.

    Returns:
        Indices in the order of choice.
    """
    total = len(vectors)
    if not min(count, total):
        return []
    chosen = [0]
    nearest = vectors @ vectors[0]
    for _ in range(min(count, total) - 1):
        nearest[chosen[-1]] = np.inf
        chosen.append(int(nearest.argmin()))
        np.maximum(nearest, vectors @ vectors[chosen[-1]], out=nearest)
    return chosen


def facility_location(vectors: Vectors, count: int) -> list[int]:
    """Rows that together represent all rows best: the greedy maximum of the sum of each row's best cosine (not below 0).

    Args:
        vectors: (n, d) unit rows, at most `FACILITY_ROWS`.
        count: rows wanted.

    Returns:
        Indices in the order of choice; the sum is at least 1 - 1/e of the best possible.

    Raises:
        UsageError: too many rows.
    """
    if len(vectors) > FACILITY_ROWS:
        todo = "use k-center, or prune with --semantic first"
        raise UsageError(f"facility location takes at most {FACILITY_ROWS:,} rows, not {len(vectors):,}", todo=todo)
    covered = np.zeros(len(vectors), dtype=np.float32)
    gains = np.concatenate(
        [np.maximum(vectors[i : i + 1024] @ vectors.T, 0).sum(axis=1) for i in range(0, len(vectors), 1024)]
        or [np.zeros(0)]
    )
    heap = [(-float(gain), i, 0) for i, gain in enumerate(gains)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < count:
        _, i, seen = heapq.heappop(heap)
        cosines = np.maximum(vectors @ vectors[i], 0)
        if seen < len(chosen):
            # gains only shrink as the set grows, so a stale one is an upper bound
            heapq.heappush(heap, (-float(np.maximum(cosines - covered, 0).sum()), i, len(chosen)))
            continue
        chosen.append(i)
        np.maximum(covered, cosines, out=covered)
    return chosen


def score_first(scores: Sequence[float], vectors: Vectors, count: int, most: float = 0.9) -> list[int]:
    """The highest scores first, leaving out rows whose cosine with one chosen already is `most` or more (DEITA).

    Args:
        scores: n numbers, such as complexity times quality.
        vectors: (n, d) unit rows.
        count: rows wanted; fewer when the rest are all too near.
        most: cosine from which a row adds nothing.
    """
    chosen: list[int] = []
    held = np.zeros((min(count, len(scores)), vectors.shape[1]), dtype=np.float32)
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if len(chosen) == count:
            break
        if not chosen or float((held[: len(chosen)] @ vectors[i]).max()) < most:
            held[len(chosen)] = vectors[i]
            chosen.append(i)
    return chosen


def quotas_of(labels: Sequence[Any], asked: Mapping[str, int] | int | None = None) -> dict[str, int]:
    """Rows of each label.

    Args:
        labels: one a row.
        asked: rows a label; one number for all; None takes as many of each as the rarest has.

    Raises:
        InputError: a label has fewer rows than asked, or does not occur.
    """
    held = Counter(map(str, labels))
    if asked is None:
        least = min(held.values(), default=0)
        return dict.fromkeys(sorted(held), least)
    wanted = dict.fromkeys(sorted(held), asked) if isinstance(asked, int) else {str(k): v for k, v in asked.items()}
    for label, count in wanted.items():
        if count > held[label]:
            todo = "ask for fewer, or make more rows of this kind"
            raise InputError(f"{count} rows of '{label}' are asked for, there are {held[label]}", todo=todo)
    return wanted


def balanced(
    labels: Sequence[Any], quotas: Mapping[str, int], priority: Sequence[float] | None = None, seed: int = 0
) -> list[int]:
    """Exactly as many rows of each label as the quota says; labels without a quota get none.

    Args:
        labels: one a row.
        quotas: from `quotas_of`.
        priority: the highest of a label stay, the first among equals; default: drawn by seed.
        seed: of the draw.

    Returns:
        Indices, ascending.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        members[str(label)].append(i)
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for label in sorted(members):
        rows, count = members[label], quotas.get(label, 0)
        if priority is None:
            chosen += rng.choice(np.array(rows), size=count, replace=False).tolist()
        else:
            chosen += sorted(rows, key=lambda i: (-priority[i], i))[:count]
    return sorted(chosen)


def bins(values: Sequence[float], count: int) -> list[str]:
    """Labels of equal-sized ranges of a number (quantiles), for balancing by length or score."""
    edges = np.unique(np.quantile(np.array(values, dtype=float), np.linspace(0, 1, count + 1)[1:-1]))
    places = np.searchsorted(edges, np.array(values, dtype=float), side="right").tolist()
    names = ["", *(f"{edge:g}" for edge in edges.tolist()), ""]
    return [f"{names[p] or 'below'}..{names[p + 1] or 'above'}" for p in places]
