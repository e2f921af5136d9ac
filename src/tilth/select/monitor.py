"""Figures that compare: coverage of a grid of attributes, generations of lineage, spread of embeddings, and what a later
round has lost of an earlier one's tail (the early sign of model collapse, Shumailov et al. 2024). Drops nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from tilth.errors import InputError, did_you_mean
from tilth.rows.lineage import Lineage
from tilth.select.words import words

BANDS = (0.5, 0.9, 1.0)
"""Head, middle and tail: the commonest words that make up half of all occurrences, the next 40 %, the rest."""
BAND_NAMES = ("head", "middle", "tail")
MOST_CELLS = 100_000


def grid_coverage(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], show: int = 20) -> dict[str, Any]:
    """Which combinations of attribute values occur.

    Args:
        rows: the rows; a missing value is a value of its own.
        columns: the attributes.
        show: how many empty and how many of the fullest cells to list.

    Returns:
        ``cells`` (combinations of the values seen), ``filled``, ``share``, ``evenness`` (entropy over its maximum),
        ``empty`` and ``fullest`` (plain JSON).

    Raises:
        InputError: no row has a column, or the grid has more than `MOST_CELLS` cells.
    """
    for column in columns:
        if not any(column in row for row in rows):
            known = {name for row in rows[:100] for name in row}
            raise InputError(f"no row has a column '{column}'", todo=did_you_mean(column, sorted(known)))
    counts = Counter(tuple(str(row.get(column)) for column in columns) for row in rows)
    values = [sorted({cell[k] for cell in counts}) for k in range(len(columns))]
    cells = math.prod(map(len, values))
    if cells > MOST_CELLS:
        raise InputError(f"the grid has {cells:,} cells", todo="choose columns with fewer values")
    entropy = -sum(n / len(rows) * math.log(n / len(rows)) for n in counts.values())
    empty = [list(cell) for cell in product(*values) if cell not in counts]
    return {
        "columns": list(columns), "cells": cells, "filled": len(counts), "share": len(counts) / cells,
        "evenness": entropy / math.log(cells) if cells > 1 else 1.0, "empty": empty[:show],
        "fullest": [{"cell": list(cell), "rows": n} for cell, n in counts.most_common(show)],
    }  # fmt: skip


def lineage_depth(lines: Iterable[Lineage]) -> dict[str, Any]:
    """Generations between a row and its sources: 0 for a source row, else one more than its deepest parent.

    A parent that is not among the lines counts as a source.

    Returns:
        ``depth`` (rows by generation), ``max``, ``mean``, ``rounds`` (rows by round) and ``seeds`` (distinct).
    """
    known = {line.id: line for line in lines}
    depth: dict[str, int] = {}
    for start in known:
        stack = [start]
        while stack:
            line = known[stack[-1]]
            parents = [p for p in line.parents if p in known and p != line.id]
            open_ = [p for p in parents if p not in depth and p not in stack]
            if open_:
                stack += open_
                continue
            made = bool(line.parents) or line.method != "source"
            depth[line.id] = max((depth.get(p, 0) for p in parents), default=0) + made
            stack.pop()
    counts = Counter(depth.values())
    return {
        "depth": {str(k): n for k, n in sorted(counts.items())},
        "max": max(counts, default=0),
        "mean": sum(k * n for k, n in counts.items()) / max(1, len(depth)),
        "rounds": {str(k): n for k, n in sorted(Counter(line.round for line in known.values()).items())},
        "seeds": len({seed for line in known.values() for seed in line.seeds}),
    }


def tail_loss(before: Sequence[str], after: Sequence[str], show: int = 20) -> dict[str, Any]:
    """What a later round has lost of an earlier one's vocabulary, by how common the words were.

    A word of share p is missing from n words by chance with probability exp(-n p); the loss is what is missing beyond
    that, so a smaller round alone loses nothing.

    Args:
        before, after: texts of the two rounds.
        show: how many of the commonest lost words to list.

    Returns:
        For each band of `BAND_NAMES` the words in it, the share that is ``left``, the share ``expected`` by size, and
        ``loss`` = max(0, 1 - left / expected); ``lost`` words; and ``entropy_bits`` of the words before and after.
    """
    early, late = (Counter(word for text in texts for word in words(text)) for texts in (before, after))
    total, size = sum(early.values()), sum(late.values())
    out: dict[str, Any] = {"words_before": total, "words_after": size}
    ranked = early.most_common()
    mass, band = 0, 0
    parts: list[list[tuple[str, int]]] = [[], [], []]
    for word, count in ranked:
        parts[band].append((word, count))
        mass += count
        while band < 2 and mass >= BANDS[band] * total:
            band += 1
    for name, part in zip(BAND_NAMES, parts, strict=True):
        # words seen once before say little of their true share: half of them would not come again anyway
        often = [(word, count) for word, count in part if count > 1]
        left = sum(word in late for word, _ in often)
        expected = sum(1 - math.exp(-size * count / max(1, total)) for _, count in often)
        out[name] = {
            "words": len(often),
            "left": left / len(often) if often else None,
            "expected": expected / len(often) if often else None,
            "loss": max(0.0, 1 - left / expected) if expected else None,
        }
    out["lost"] = [{"word": word, "before": count} for word, count in ranked if count > 1 and word not in late][:show]
    out["entropy_bits"] = {"before": _entropy(early), "after": _entropy(late)}
    return out


def embedding_spread(vectors: Any) -> dict[str, float]:
    """How far embeddings lie apart.

    Args:
        vectors: (n, d) unit rows.

    Returns:
        ``mean_distance`` (1 - mean cosine over all pairs, exactly, from the length of the mean) and
        ``effective_rank`` (exp of the entropy of the spectrum, Roy and Vetterli 2007).
    """
    rows = np.asarray(vectors, dtype=np.float64)
    rows = rows[np.linalg.norm(rows, axis=1) > 0]
    count = len(rows)
    if count < 2:
        return {"mean_distance": 0.0, "effective_rank": float(count)}
    mean_cosine = (float(np.square(rows.sum(axis=0)).sum()) - count) / (count * (count - 1))
    values = np.linalg.eigvalsh(rows.T @ rows / count)
    values = values[values > 1e-12] / values[values > 1e-12].sum()
    return {"mean_distance": 1 - mean_cosine, "effective_rank": float(np.exp(-(values * np.log(values)).sum()))}


def _entropy(counts: Counter[str]) -> float:
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values()) + 0.0 if total else 0.0
