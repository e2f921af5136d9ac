"""Exact duplicates: texts that are equal once normalised. Does not know what a row is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilth.select.words import normalised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def exact_groups(texts: Sequence[str], priority: Sequence[float] | None = None) -> list[int]:
    """For each text the survivor of its group of equal normalised texts (NFKC, lower case, single spaces).

    A text that is empty once normalised is never a duplicate.

    Args:
        texts: n texts.
        priority: n numbers; the highest of a group survives, the first among equals. Default: the first survives.

    Returns:
        n indices; a text survives when its own index stands there.
    """
    best: dict[str, int] = {}
    keys = [normalised(text) for text in texts]
    for index, key in enumerate(keys):
        held = best.setdefault(key, index)
        if priority is not None and priority[index] > priority[held]:
            best[key] = index
    return [best[key] if key else index for index, key in enumerate(keys)]


def first_of_equals(keys: NDArray[np.uint64], ranks: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each of n keys (n, 2) the index of the equal key with the lowest rank, the first among equals."""
    import numpy as np

    order = np.lexsort((np.arange(len(keys)), ranks, keys[:, 1], keys[:, 0]))
    fresh = np.ones(len(keys), dtype=np.bool_)
    fresh[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    out = np.empty(len(keys), dtype=np.int64)
    out[order] = order[np.maximum.accumulate(np.where(fresh, np.arange(len(keys)), 0))]
    return out
