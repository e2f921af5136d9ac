"""Features of texts without a model: hashed TF-IDF of words and word pairs, projected. Knows no labels and no theory."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tilth.errors import InputError

Array = NDArray[np.float64]
DIMENSION = 100
"""Whitened dimensions at most; the mapping to the theory was validated at about this number."""
BUCKETS = 4096
BASIS_ROWS = 5_000
"""Real texts at most from which weights and directions are taken, evenly spaced."""
BLOCK = 2_000
"""Texts hashed at a time, so that memory does not grow with the file."""
_WORD = re.compile(r"\w+")


def text_features(real: Sequence[str], fake: Sequence[str], p: int = DIMENSION, seed: int = 0) -> tuple[Array, Array]:
    """Hashed TF-IDF of words and word pairs, projected on the leading directions of the real texts.

    Args:
        real, fake: texts.
        p: directions wanted; fewer when there are not enough texts.
        seed: of the randomised decomposition.

    Returns:
        (n, p) and (m, p), not yet whitened.

    Raises:
        InputError: fewer than two real texts.
    """
    if len(real) < 2:
        raise InputError(f"{len(real)} real texts", todo="give at least 10 real rows")
    some = np.stack([_hashed(t) for t in real[:: -(-len(real) // BASIS_ROWS)]])
    idf = (np.log((1 + len(some)) / (1 + (some > 0).sum(axis=0))) + 1).astype(np.float32)
    basis = _leading(_weighted(some, idf), min(p, len(some) - 1, BUCKETS), seed)

    def project(texts: Sequence[str]) -> Array:
        out = np.empty((len(texts), basis.shape[1]))
        for start in range(0, len(texts), BLOCK):
            block = np.stack([_hashed(t) for t in texts[start : start + BLOCK]])
            out[start : start + BLOCK] = _weighted(block, idf) @ basis
        return out

    return project(real), project(fake)


def _weighted(counts: NDArray[np.float32], idf: NDArray[np.float32]) -> NDArray[np.float32]:
    """TF-IDF with logarithmic counts, each row of length 1."""
    rows = np.log1p(counts) * idf
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _hashed(text: str) -> NDArray[np.float32]:
    words = _WORD.findall(text.lower())
    row = np.zeros(BUCKETS, np.float32)
    for term, count in Counter([*words, *map(" ".join, pairwise(words))]).items():
        row[zlib.crc32(term.encode()) % BUCKETS] += count
    return row


def _leading(x: NDArray[np.float32], p: int, seed: int) -> NDArray[np.float32]:
    """The leading p right singular directions, by subspace iteration (Halko, Martinsson & Tropp, SIAM Review 2011)."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((x.shape[1], min(p + 10, x.shape[1]))).astype(np.float32)
    for _ in range(4):
        basis = np.linalg.qr(x.T @ (x @ basis))[0]
    _, _, right = np.linalg.svd(x @ basis, full_matrices=False)
    return np.asarray(basis @ right[:p].T)
