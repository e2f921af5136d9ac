"""A map of the texts: kept and dropped rows in the plane, near where they share words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilth.audit.texts import text_features
from tilth.report.section import Section, legend
from tilth.report.wording import count

MAP_ROWS = 500
"""Rows of each side that are drawn."""
LEAST = 12
"""Rows below which a map says nothing."""
DIRECTIONS = 12
"""Directions of the TF-IDF space from which the plane is taken."""
HEIGHT = 340
"""Pixels."""


def diversity(kept: Sequence[str], dropped: Sequence[str]) -> Section | None:
    """The map, or None when there are too few texts.

    Args:
        kept, dropped: texts of some rows of each side.
    """
    if len(kept) + len(dropped) < LEAST:
        return None
    points = plane([*kept, *dropped])
    if points is None:
        return None
    order = np.random.default_rng(0).permutation(len(points))
    dots = "".join(
        f'<circle class="{"kept" if i < len(kept) else "dropped"}" cx="{1.5 + 97 * points[i, 0]:.2f}%" '
        f'cy="{8 + (HEIGHT - 16) * (1 - points[i, 1]):.1f}" r="3"/>'
        for i in order
    )
    sides = [("kept", kept), ("dropped", dropped)]
    told = " and ".join(f"{count(len(texts))} {name}" for name, texts in sides if texts)
    body = legend([(name, f"{count(len(texts))} {name}") for name, texts in sides if texts])
    body += f'<svg class="map" width="100%" height="{HEIGHT}" role="img" aria-label="map of {told} rows">{dots}</svg>'
    about = (
        "One dot a row: dots that lie near each other share words. Clumps are repeated patterns; kept rows that leave "
        "out a part of the map leave out a kind of text.\nThe two main directions of hashed TF-IDF, of a random sample."
    )
    return Section("diversity", "Map of the texts", about, body)


def plane(texts: Sequence[str]) -> NDArray[np.float64] | None:
    """Texts as points of the unit square: the two main directions of their TF-IDF, outer points drawn in.

    Args:
        texts: at least two.

    Returns:
        (n, 2) in [0, 1]; None when the texts are all alike.
    """
    wide, _ = text_features(texts, [], DIRECTIONS)
    wide = wide - wide.mean(axis=0)
    _, sizes, directions = np.linalg.svd(wide, full_matrices=False)
    if len(sizes) < 2 or sizes[0] < 1e-6:
        return None
    flat = wide @ directions[:2].T
    flat *= np.where(np.abs(flat).max(axis=0) == flat.max(axis=0), 1.0, -1.0)
    lo, hi = np.quantile(flat, [0.005, 0.995], axis=0)
    found: NDArray[np.float64] = np.clip((flat - lo) / np.maximum(hi - lo, 1e-9), 0, 1)
    return found
