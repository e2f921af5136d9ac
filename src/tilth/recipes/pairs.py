"""Pairs of a better and a worse answer, from scores or from a ranking. Knows no prompt and no judge."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from tilth.rows.row import digest

LENGTH_RATIO = 2.0
"""Ours: a pair whose longer answer has more than twice the characters of the shorter teaches length."""
_EXACT = 1e-9


class Pair(NamedTuple):
    """Indices of a better and a worse answer, and how far apart they are on their scale."""

    better: int
    worse: int
    margin: float


def best_and_worst(scores: Sequence[float | None], *, least_margin: float = 0.0) -> Pair | None:
    """The best and the worst of some scored answers; the first among equals.

    Args:
        scores: one score an answer, None where it is unknown (such an answer takes no part).
        least_margin: how far apart the two must be at least.

    Returns:
        The pair, or None when fewer than two are scored, all are equal, or the margin is too small.
    """
    known = [(score, -i) for i, score in enumerate(scores) if score is not None]
    if len(known) < 2:
        return None
    (high, best), (low, worst) = max(known), min(known, key=lambda k: (k[0], -k[1]))
    margin = high - low
    return Pair(-best, -worst, margin) if margin > 0 and margin >= least_margin - _EXACT else None


def all_pairs(ranking: Sequence[int]) -> list[Pair]:
    """All k(k-1)/2 pairs of a ranking, best pairs first.

    Args:
        ranking: indices of answers, the best first.

    Returns:
        Pairs whose margin is the number of places between the two.
    """
    return [Pair(ranking[i], ranking[j], float(j - i)) for i, j in combinations(range(len(ranking)), 2)]


def unequal_pairs(scores: Sequence[float | None], *, least_margin: float = 0.0) -> list[Pair]:
    """Every pair with unequal scores that are at least `least_margin` apart, in the order of the answers."""
    found = []
    for i, j in combinations(range(len(scores)), 2):
        a, b = scores[i], scores[j]
        if a is None or b is None or a == b or abs(a - b) < least_margin - _EXACT:
            continue
        found.append(Pair(i, j, a - b) if a > b else Pair(j, i, b - a))
    return found


def pair_problem(better: str, worse: str, *, length_ratio: float | None = LENGTH_RATIO) -> str | None:
    """Why two texts make no pair to learn from, as a drop reason; or None.

    Args:
        better: the chosen text.
        worse: the rejected text.
        length_ratio: characters of the longer over those of the shorter, at most; None for no limit.
    """
    a, b = " ".join(better.split()), " ".join(worse.split())
    if not a or not b:
        return "pair:fail:empty"
    if a == b:
        return "pair:fail:identical"
    long, short = max(len(a), len(b)), min(len(a), len(b))
    return "pair:fail:length-ratio" if length_ratio is not None and long > length_ratio * short else None


def held_out(key: str, share: float) -> bool:
    """Whether all rows with this key (a prompt) belong to the held-out part; the same key always does, in every run."""
    return int(digest("held-out", key, size=6), 16) < share * 2**48


def answer_to(prompt: Any, text: str) -> Any:
    """A text as trainers want the answer to this prompt: one assistant turn when the prompt is turns, else the text."""
    return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
