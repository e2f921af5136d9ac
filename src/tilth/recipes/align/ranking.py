"""Rankings of several answers: reading them, joining them, and the Plackett-Luce model of them. Knows no prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from tilth.verify.parse import final_order

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def read_ranking(text: str, k: int) -> list[int] | None:
    """The permutation on a reply's last line, such as ``Ranking: C > A > B``.

    Args:
        text: the reply.
        k: how many answers were shown as A, B, C, ...

    Returns:
        Places of the answers, the best first; None when the line is no permutation of all k letters.
    """
    return final_order(text, LETTERS[:k])


def kendall_tau(a: Sequence[int], b: Sequence[int]) -> float:
    """Kendall's tau of two rankings of the same items: 1 when equal, -1 when reversed."""
    place = {item: i for i, item in enumerate(b)}
    pairs = list(combinations(a, 2))
    agree = sum(place[x] < place[y] for x, y in pairs)
    return (2 * agree - len(pairs)) / len(pairs) if pairs else 1.0


def joined(rankings: Sequence[Sequence[int]]) -> list[float]:
    """Mean place (0 is best) of each item over several rankings of the same items (Borda)."""
    places = [0.0] * len(rankings[0])
    for ranking in rankings:
        for place, item in enumerate(ranking):
            places[item] += place / len(rankings)
    return places


def plackett_luce_loss(rewards: Sequence[float], ranking: Sequence[int]) -> float:
    """Negative log-likelihood of a ranking under Plackett-Luce; for two items this is Bradley-Terry.

    Args:
        rewards: one number an item; adding a constant changes nothing.
        ranking: item indices, the best first.

    Source:
        Plackett 1975; Zhu et al. 2023, "Principled RLHF from Pairwise or K-wise Comparisons", arXiv:2301.11270.
    """
    total = 0.0
    for i in range(len(ranking) - 1):
        rest = [rewards[item] for item in ranking[i:]]
        top = max(rest)
        total += top + math.log(sum(math.exp(r - top) for r in rest)) - rest[0]
    return total


def plackett_luce(rankings: Sequence[Sequence[int]], n: int, *, iterations: int = 500) -> list[float]:
    """Maximum-likelihood rewards of n items, with mean 0.

    Args:
        rankings: item indices, the best first; a ranking may leave items out.
        n: how many items there are.
        iterations: steps at most; it stops earlier when nothing moves.

    Returns:
        n rewards; -inf or inf never occurs, since half a win against an average rival is added to every item.

    Source:
        Hunter 2004, "MM algorithms for generalized Bradley-Terry models", section 5.
    """
    wins = [0.5] * n
    for ranking in rankings:
        for item in ranking[:-1]:
            wins[item] += 1
    strength = [1.0] * n
    for _ in range(iterations):
        weight = [1 / (s + 1) for s in strength]
        for ranking in rankings:
            left = sum(strength[item] for item in ranking)
            seen = 0.0
            for place, item in enumerate(ranking):
                if place < len(ranking) - 1:
                    seen += 1 / left
                weight[item] += seen
                left -= strength[item]
        fresh = [wins[i] / weight[i] for i in range(n)]
        moved = max(abs(math.log(a / b)) for a, b in zip(fresh, strength, strict=True))
        strength = fresh
        if moved < 1e-9:
            break
    rewards = [math.log(s) for s in strength]
    mean = sum(rewards) / n
    return [r - mean for r in rewards]
