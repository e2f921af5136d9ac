"""Arms side by side: each one's score over its seeds, and its paired difference to the first arm, seed by seed and over seeds.

Knows no training: what an arm's trainings consumed is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilth.evaluate.estimates import Seeds, over_seeds
from tilth.evaluate.paired import Paired, compare
from tilth.evaluate.score import Scores

TOLERANCE = 0.05
"""Ours: numbers of training tokens within so much of each other count as equal; a batch more or less is."""


def equal_tokens(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two arms' trainings read the same number of tokens, on average within `TOLERANCE`."""
    left, right = sum(a) / len(a), sum(b) / len(b)
    return abs(left - right) <= TOLERANCE * max(left, right)


@dataclass(frozen=True, slots=True)
class Against:
    """An arm against the first one.

    Args:
        mean: the paired difference of the means over seeds, for these trainings and further problems.
        by_seed: the paired difference of the two trainings of each seed, with McNemar's exact test.
        seeds: the seeds' differences, with an interval for further seeds and one for further seeds and problems.
        equal: whether both arms' trainings read the same number of tokens; None where that is not known.
    """

    mean: Paired
    by_seed: tuple[Paired, ...]
    seeds: Seeds
    equal: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        found = {**self.mean.as_dict(), "by_seed": [p.as_dict() for p in self.by_seed], "seeds": self.seeds.to_dict()}
        return found if self.equal is None else {**found, "equal_tokens": self.equal}


def compare_runs(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> tuple[Paired, Seeds]:
    """The difference b - a of two sides with one run a seed: its interval over problems, and those over seeds.

    Args:
        a: ``[seeds][problems]``, each score from 0 to 1.
        b: the same seeds and problems in the same order.
    """
    gains = [[y - x for x, y in zip(one, other, strict=True)] for one, other in zip(a, b, strict=True)]
    return compare(a, b), over_seeds(gains)


def against_first(
    arms: Mapping[str, Sequence[Scores]], tokens: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Against]:
    """Every other arm against the first.

    Args:
        arms: name to one `Scores` a seed, the same seeds and rows in the same order in every arm.
        tokens: what each training of an arm read.

    Raises:
        InputError: the arms were not asked the same.
    """
    scores = {name: [[r.score for r in run.results] for run in runs] for name, runs in arms.items()}
    (first, base), *others = scores.items()
    found = {}
    for name, runs in others:
        mean, seeds = compare_runs(base, runs)
        each = tuple(compare(a, b) for a, b in zip(base, runs, strict=True))
        equal = equal_tokens(tokens[first], tokens[name]) if tokens else None
        found[name] = Against(mean, each, seeds, equal)
    return found
