"""ROUGE-L novelty against a growing pool (Self-Instruct, Wang et al. 2022, section 2.2), with rouge_score's decisions.

`Novelty` is the live filter that recipes use; `novelty_pass` runs a whole list through the same rule. Neither compares
all pairs: bag-of-words bounds rule out what cannot matter, bit-parallel LCS (Hyyrö 2004) decides the rest, and F is
computed by rouge_score's own float expression, so that decisions at the threshold are the same. Knows no rows.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilth.errors import UsageError
from tilth.select.words import is_small, porter, rouge_tokens


def rouge_f(lcs: int, a: int, b: int) -> float:
    """ROUGE-L F1 from the LCS length and the two token counts (rouge_score 0.1.2, ``scoring.fmeasure``; symmetric)."""
    if not lcs:
        return 0.0
    precision, recall = lcs / a, lcs / b
    return 2 * precision * recall / (precision + recall)


def rouge_l(a: str, b: str, *, stemmer: bool = False) -> float:
    """ROUGE-L F1 of two texts, as rouge_score computes it.

    Args:
        a, b: texts; the order does not matter.
        stemmer: Porter stemming (needs nltk).
    """
    stem = porter() if stemmer else None
    left, right = rouge_tokens(a, stem), rouge_tokens(b, stem)
    return rouge_f(_lcs(_places(left), len(left), right), len(left), len(right))


def least_lcs(threshold: float, a: int, b: int) -> int:
    """The smallest LCS length at which F > threshold for token counts a and b (beyond min(a, b) when none is)."""
    least = max(0, math.floor(threshold * (a + b) / 2) - 1)
    while least <= min(a, b) and not rouge_f(least, a, b) > threshold:
        least += 1
    return least


def _places(tokens: Sequence[str]) -> dict[str, int]:
    """Bit masks of the places of each token."""
    places: dict[str, int] = defaultdict(int)
    for index, token in enumerate(tokens):
        places[token] |= 1 << index
    return places


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence of two token lists."""
    return _lcs(_places(a), len(a), b)


def _lcs(places: dict[str, int], size: int, tokens: Sequence[str]) -> int:
    full = (1 << size) - 1
    row = full
    for token in tokens:
        held = places.get(token)
        if held is not None:
            common = row & held
            row = ((row + common) | (row - common)) & full
    return size - row.bit_count()


class Novelty:
    """A growing pool of texts that answers how like its members a new text is.

    Args:
        threshold: a text is novel when no member has ROUGE-L F above it (Self-Instruct: 0.7).
        stemmer: Porter stemming as rouge_score's ``use_stemmer`` (needs nltk).

    Raises:
        UsageError: the threshold is not in [0, 1], or the stemmer is not installed.
    """

    def __init__(self, threshold: float = 0.7, *, stemmer: bool = False) -> None:
        if not 0 <= threshold <= 1:
            todo = "give a number such as 0.7"
            raise UsageError(f"the novelty threshold {threshold} is not between 0 and 1", todo=todo)
        self.threshold = threshold
        self._stem = porter() if stemmer else None
        self._tokens: list[list[str]] = []
        self._sizes = array("q")
        # the k-th occurrence of a token has postings of its own, so that bag overlap is a plain count
        self._postings: dict[tuple[str, int], array[int]] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, text: str) -> int:
        """Put a text into the pool, novel or not; returns its index."""
        index, tokens = len(self._tokens), rouge_tokens(text, self._stem)
        self._tokens.append(tokens)
        self._sizes.append(len(tokens))
        for key in _occurrences(tokens):
            self._postings.setdefault(key, array("q")).append(index)
        return index

    def check(self, text: str) -> tuple[float, int]:
        """The highest F with any member and the first member that has it; (0.0, -1) when nothing is shared."""
        best = self.nearest(text, 1)
        return best[0] if best else (0.0, -1)

    def nearest(self, text: str, k: int = 10) -> list[tuple[float, int]]:
        """The k most similar members that share a token: (F, index), F falling, index rising among equals."""
        tokens = rouge_tokens(text, self._stem)
        bags, bounds = self._bounds(tokens)
        candidates = np.flatnonzero(bags)
        candidates = candidates[np.argsort(-bounds[candidates], kind="stable")]
        places = _places(tokens)
        found: list[tuple[float, int]] = []
        for index in candidates.tolist():
            if len(found) == k and bounds[index] < found[-1][0]:
                break
            member = self._tokens[index]
            score = rouge_f(_lcs(places, len(tokens), member), len(tokens), len(member))
            found.append((score, index))
            found.sort(key=lambda pair: (-pair[0], pair[1]))
            del found[k:]
        return [pair for pair in found if pair[0] > 0]

    def mean(self, text: str) -> float:
        """The mean F over all members (0.0 for an empty pool)."""
        if not self._tokens:
            return 0.0
        tokens = rouge_tokens(text, self._stem)
        bags, _ = self._bounds(tokens)
        places = _places(tokens)
        sharing = [self._tokens[i] for i in np.flatnonzero(bags).tolist()]
        scores = (rouge_f(_lcs(places, len(tokens), member), len(tokens), len(member)) for member in sharing)
        return math.fsum(scores) / len(self._tokens)

    def is_novel(self, text: str) -> bool:
        """Whether no member has F above the threshold."""
        return self.check_above(text) is None

    def check_above(self, text: str) -> tuple[float, int] | None:
        """Like `check`, but only when F is above the threshold; much cheaper where most texts are novel."""
        tokens = rouge_tokens(text, self._stem)
        _, bounds = self._bounds(tokens)
        places = _places(tokens)
        best: tuple[float, int] | None = None
        for index in np.flatnonzero(bounds > self.threshold).tolist():
            member = self._tokens[index]
            score = rouge_f(_lcs(places, len(tokens), member), len(tokens), len(member))
            if score > (self.threshold if best is None else best[0]):
                best = score, index
        return best

    def _bounds(self, tokens: list[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Bag overlap with every member, and the F it would give were it all in order."""
        lists = [self._postings[key] for key in _occurrences(tokens) if key in self._postings]
        # copied, because an array that is looked at cannot grow
        members = np.concatenate(
            [np.frombuffer(found, dtype=np.int64) for found in lists] or [np.empty(0, dtype=np.int64)]
        )
        bags = np.bincount(members, minlength=len(self._tokens))
        precision = bags / max(1, len(tokens))
        recall = bags / np.maximum(1, np.array(self._sizes, dtype=np.int64))
        with np.errstate(invalid="ignore"):
            bounds = np.where(bags > 0, 2 * precision * recall / (precision + recall), 0.0)
        return bags, bounds


def _occurrences(tokens: Sequence[str]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    out = []
    for token in tokens:
        seen[token] += 1
        out.append((token, seen[token]))
    return out


@dataclass(frozen=True, slots=True)
class NoveltyResult:
    """One greedy pass in order: accepted texts enter the pool at once.

    Args:
        nearest: for each text the most similar text accepted before it, when its F is above the threshold; else -1.
        similarity: that F; 0.0 for accepted texts.
    """

    nearest: list[int]
    similarity: list[float]

    @property
    def kept(self) -> list[int]:
        """Indices of the accepted texts, ascending."""
        return [index for index, held in enumerate(self.nearest) if held < 0]


def novelty_pass(
    texts: Sequence[str], threshold: float = 0.7, *, stemmer: bool = False, pool: int = 0, compiled: bool | None = None
) -> NoveltyResult:
    """Run texts through the rule of `Novelty`: drop a text when F > threshold with one accepted before it.

    Args:
        texts: in order.
        threshold: in [0, 1].
        stemmer: Porter stemming (needs nltk).
        pool: so many texts at the start are an existing pool: accepted unseen.
        compiled: force the compiled (True) or the plain path (False); both decide alike.
    """
    texts = list(texts)
    if not is_small(texts) if compiled is None else compiled:
        return _compiled_pass(texts, Novelty(threshold, stemmer=stemmer), pool)
    held, accepted = Novelty(threshold, stemmer=stemmer), []
    result = NoveltyResult([-1] * len(texts), [0.0] * len(texts))
    for index, text in enumerate(texts):
        above = held.check_above(text) if index >= pool else None
        if above is None:
            held.add(text)
            accepted.append(index)
        else:
            result.similarity[index], result.nearest[index] = above[0], accepted[above[1]]
    return result


def _compiled_pass(texts: list[str], settings: Novelty, pool: int) -> NoveltyResult:
    from tilth.select.lcs import greedy_pass

    vocabulary: dict[Any, int] = {}
    flat, offsets = array("i"), array("q", [0])
    for text in texts:
        flat.extend([vocabulary.setdefault(token, len(vocabulary)) for token in rouge_tokens(text, settings._stem)])
        offsets.append(len(flat))
    ids, starts = np.array(flat, dtype=np.int32), np.array(offsets, dtype=np.int64)
    ranks = np.empty(len(vocabulary), dtype=np.int32)
    ranks[np.argsort(np.bincount(ids, minlength=len(vocabulary)), kind="stable")] = np.arange(len(vocabulary))
    nearest, similarity = greedy_pass(ranks[ids], starts, len(vocabulary), settings.threshold, pool)
    return NoveltyResult(nearest.tolist(), similarity.tolist())
