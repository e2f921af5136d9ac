"""Self-BLEU (Zhu et al. 2018, Texygen), equal to nltk's definition, without comparing each text with all others.

Clipping a text's n-gram by its highest count among all *other* texts needs only the two highest counts of each n-gram
and who holds the first; so the cost is one sort for each order instead of n² comparisons.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilth.select.words import words

Ints = NDArray[np.int64]
ORDERS = 4


@dataclass(frozen=True, slots=True)
class Grams:
    """Word n-grams of a corpus, numbered.

    Args:
        ids: gram id of each occurrence, texts in order.
        text: text of each occurrence.
        distinct: number of distinct n-grams.
    """

    ids: Ints
    text: Ints
    distinct: int


def corpus_grams(texts: Sequence[str], orders: int = ORDERS) -> tuple[Ints, list[Grams]]:
    """Words a text, and its n-grams for n = 1 .. orders (words as in `tilth.select.words`)."""
    vocabulary: dict[str, int] = {}
    flat: list[int] = []
    sizes = np.zeros(len(texts), dtype=np.int64)
    for index, text in enumerate(texts):
        found = words(text)
        sizes[index] = len(found)
        flat += [vocabulary.setdefault(word, len(vocabulary)) for word in found]
    word = np.array(flat, dtype=np.int64)
    owner = np.repeat(np.arange(len(texts)), sizes)
    out = [Grams(word, owner, len(vocabulary))]
    ids = word
    for n in range(2, orders + 1):
        inside = owner[: max(0, len(ids) - 1)] == owner[n - 1 :]
        keys = ids[:-1] * max(1, len(vocabulary)) + word[n - 1 :]
        _, numbered = np.unique(keys, return_inverse=True)
        ids = numbered.astype(np.int64)
        _, dense = np.unique(ids[inside], return_inverse=True)
        out.append(Grams(dense.astype(np.int64), owner[: len(ids)][inside], int(dense.max()) + 1 if len(dense) else 0))
    return sizes, out


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU-4 of each text against all others (nltk's ``sentence_bleu``, uniform weights, no smoothing).

    Args:
        texts: at least two; words are ``\\w+`` of the lower-cased text.

    Returns:
        The mean; 0.0 for fewer than two texts.
    """
    if len(texts) < 2:
        return 0.0
    sizes, grams = corpus_grams(texts)
    return self_bleu_of(sizes, grams)


def self_bleu_of(sizes: Ints, grams: Sequence[Grams]) -> float:
    """See `self_bleu`; from `corpus_grams`."""
    total = len(sizes)
    log_precision = np.zeros(total)
    matched = np.zeros(total)
    for n, found in enumerate(grams, 1):
        clipped = _clipped_matches(found, total)
        if n == 1:
            matched = clipped
        possible = np.maximum(1, sizes - n + 1)
        # nltk's method0 puts the smallest normal float where nothing matches
        precision = np.where(clipped > 0, clipped / possible, sys.float_info.min)
        log_precision += np.log(precision) / len(grams)
    scores = np.where(matched > 0, _brevity(sizes) * np.exp(log_precision), 0.0)
    return math.fsum(scores.tolist()) / total


def _clipped_matches(grams: Grams, texts: int) -> NDArray[np.float64]:
    """For each text the sum over its n-grams of min(its count, highest count in any other text)."""
    pairs, counts = np.unique(grams.ids * texts + grams.text, return_counts=True)
    ids, owner = pairs // texts, pairs % texts
    by_count = np.lexsort((-counts, ids))
    ids, owner, counts = ids[by_count], owner[by_count], counts[by_count]
    start = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1]))) if len(ids) else np.empty(0, dtype=np.int64)
    widths = np.diff(np.append(start, len(ids)))
    second = np.where(widths > 1, counts[np.minimum(start + 1, max(0, len(ids) - 1))], 0) if len(ids) else start
    is_first = np.zeros(len(ids), dtype=bool)
    is_first[start] = True
    limit = np.where(is_first, np.repeat(second, widths), np.repeat(counts[start], widths))
    return np.bincount(owner, weights=np.minimum(counts, limit), minlength=texts).astype(np.float64)


def _brevity(sizes: Ints) -> NDArray[np.float64]:
    """nltk's brevity penalty against the reference nearest in length, the shorter among equals."""
    lengths, counts = np.unique(sizes, return_counts=True)
    penalty = np.ones(len(sizes))
    by_length: dict[int, float] = {}
    for k, length in enumerate(lengths.tolist()):
        if counts[k] > 1:
            closest = length
        else:
            others = [int(lengths[j]) for j in (k - 1, k + 1) if 0 <= j < len(lengths)]
            closest = min(others, key=lambda other: (abs(other - length), other))
        by_length[length] = 1.0 if length > closest else 0.0 if length == 0 else math.exp(1 - closest / length)
    for index, size in enumerate(sizes.tolist()):
        penalty[index] = by_length[size]
    return penalty
