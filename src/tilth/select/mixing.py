"""Mixing sources: how many rows of each, which ones, in which order, by share, ratio, temperature and seed.

Every draw is without repetition and reproducible by seed. Does not read or write files.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tilth.errors import InputError, UsageError

REAL, SYNTHETIC = "real", "synthetic"


@dataclass(frozen=True, slots=True)
class Mix:
    """The rows drawn.

    Args:
        order: (source, index in that source), shuffled.
        drawn: rows of each source.
    """

    order: tuple[tuple[str, int], ...]
    drawn: Mapping[str, int]

    @property
    def real(self) -> int:
        """Rows of the source ``real``."""
        return self.drawn.get(REAL, 0)

    @property
    def synthetic(self) -> int:
        """Rows of the source ``synthetic``."""
        return self.drawn.get(SYNTHETIC, 0)


def mix(real: int, synthetic: int, *, share: str | float | None = None, rows: int | None = None, seed: int = 0) -> Mix:
    """Draw from a real and a synthetic source.

    Args:
        real: rows at hand in the real source.
        synthetic: rows at hand in the synthetic source.
        share: part of the result that is synthetic, in [0, 1], read as its decimal spelling; None takes each source in
            proportion to its size.
        rows: rows of the result; None takes as many as the share allows (all, without a share).
        seed: the same seed draws the same rows in the same order.

    Raises:
        UsageError: a share or number out of range.
        InputError: a source has too few rows.
    """
    if share is None:
        part = Fraction(synthetic, max(1, real + synthetic))
    else:
        try:
            part = Fraction(str(share))
        except ValueError as error:
            raise UsageError(f"the share '{share}' is not a number", todo="give a number such as 0.5") from error
        if not 0 <= part <= 1:
            raise UsageError(f"the share {share} is not between 0 and 1", todo="give the synthetic part, such as 0.5")
    if rows is not None and rows < 1:
        raise UsageError(f"{rows} rows cannot be drawn", todo="give --rows a number above 0")
    if rows is None:
        limits = ([int(real / (1 - part))] if part < 1 else []) + ([int(synthetic / part)] if part > 0 else [])
        rows = min(limits)
    take_synthetic = int(rows * part + Fraction(1, 2))
    return draw({REAL: rows - take_synthetic, SYNTHETIC: take_synthetic}, {REAL: real, SYNTHETIC: synthetic}, seed)


def draw(counts: Mapping[str, int], held: Mapping[str, int], seed: int = 0) -> Mix:
    """Draw so many rows of each source and shuffle them together.

    Args:
        counts: rows wanted of each source.
        held: rows at hand.
        seed: the same seed draws the same rows in the same order.

    Raises:
        InputError: a source has too few rows.
    """
    for name, count in counts.items():
        if count > held[name]:
            todo = "ask for fewer --rows, or another --share"
            raise InputError(f"the mix needs {count} {name} rows, the source has {held[name]}", todo=todo)
    rng = random.Random(seed)
    order = [(name, i) for name, count in counts.items() for i in sorted(rng.sample(range(held[name]), count))]
    rng.shuffle(order)
    return Mix(tuple(order), dict(counts))


def by_ratio(held: Mapping[str, int], ratio: Mapping[str, float], rows: int | None = None) -> dict[str, int]:
    """Rows of each source in a stated ratio.

    Args:
        held: rows at hand.
        ratio: a number for each source, 0 or more.
        rows: rows together; None takes as many as the scarcest source allows.

    Raises:
        UsageError: a source without a number, or no number above 0.
    """
    if set(ratio) != set(held) or min(ratio.values()) < 0 or not sum(ratio.values()):
        raise UsageError("the ratio does not name each source once", todo=f"for example {'=1,'.join(held)}=1")
    parts = {name: Fraction(str(value)) for name, value in ratio.items()}
    whole = sum(parts.values(), Fraction(0))
    if rows is None:
        rows = min(int(held[name] * whole / part) for name, part in parts.items() if part)
    return _apportion({name: parts[name] / whole for name in held}, rows)


def by_temperature(held: Mapping[str, int], temperature: float, rows: int | None = None) -> dict[str, int]:
    """Rows of each source with shares proportional to size ** (1 / temperature) (Arivazhagan et al. 2019).

    Temperature 1 keeps the proportions, a high one evens them out. A source that is used up gives all it has and the
    others share the rest.

    Args:
        held: rows at hand.
        temperature: above 0.
        rows: rows together; None takes as many as no source is used up before.

    Raises:
        UsageError: the temperature is not above 0. InputError: fewer rows at hand than asked.
    """
    if not temperature > 0:
        raise UsageError(f"the temperature {temperature} is not above 0", todo="1 keeps proportions, 5 evens them out")
    largest = max(held.values())
    weight = {name: Fraction((size / largest) ** (1 / temperature)) for name, size in held.items() if size}
    if rows is None:
        rows = min(int(held[name] * sum(weight.values()) / part) for name, part in weight.items())
    if rows > sum(held.values()):
        raise InputError(
            f"{rows} rows are asked for, the sources have {sum(held.values())}", todo="ask for fewer --rows"
        )
    full: dict[str, int] = {}
    while True:
        open_ = {name: part for name, part in weight.items() if name not in full}
        whole = sum(open_.values(), Fraction(0))
        left = rows - sum(full.values())
        counts = _apportion({name: part / whole for name, part in open_.items()}, left) if open_ else {}
        over = {name: held[name] for name, count in counts.items() if count > held[name]}
        if not over:
            return {name: full.get(name, counts.get(name, 0)) for name in held}
        full |= over


def _apportion(shares: Mapping[str, Fraction], rows: int) -> dict[str, int]:
    """Whole numbers that sum to `rows`, by largest remainders, the first source among equals."""
    exact = {name: share * rows for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_rest = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_rest[: rows - sum(counts.values())]:
        counts[name] += 1
    return counts


def curriculum(scores: Sequence[float], stages: int = 0, seed: int = 0) -> list[int]:
    """An order from low to high scores (easy to hard).

    Args:
        scores: one number a row.
        stages: 0 sorts fully; else rows are cut into so many stages of equal size and shuffled within each (Bengio et
            al. 2009 train in such stages).
        seed: of the shuffles.

    Returns:
        A permutation of the indices.
    """
    order = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    if stages:
        rng = random.Random(seed)
        bounds = [round(k * len(order) / stages) for k in range(stages + 1)]
        parts = [order[bounds[k] : bounds[k + 1]] for k in range(stages)]
        for part in parts:
            rng.shuffle(part)
        order = [i for part in parts for i in part]
    return order
