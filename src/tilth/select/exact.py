"""Exact duplicates: texts that are equal once normalised. Does not know what a row is."""

from __future__ import annotations

from collections.abc import Sequence

from tilth.select.words import normalised


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
