"""Mixing real and synthetic rows: which rows, in which order, by share and seed. Does not read or write files."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

from tilth.errors import InputError, UsageError

REAL, SYNTHETIC = "real", "synthetic"


@dataclass(frozen=True, slots=True)
class Mix:
    """The rows drawn.

    Args:
        order: (``real`` or ``synthetic``, index in that source), shuffled.
        real: how many of them are real.
        synthetic: how many are synthetic.
    """

    order: tuple[tuple[str, int], ...]
    real: int
    synthetic: int


def mix(real: int, synthetic: int, *, share: str | float | None = None, rows: int | None = None, seed: int = 0) -> Mix:
    """Draw without repetition and shuffle.

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
    take = {REAL: rows - take_synthetic, SYNTHETIC: take_synthetic}
    for name, held in ((REAL, real), (SYNTHETIC, synthetic)):
        if take[name] > held:
            todo = "ask for fewer --rows, or another --share"
            raise InputError(f"the mix needs {take[name]} {name} rows, the source has {held}", todo=todo)
    rng = random.Random(seed)
    order = [(REAL, i) for i in sorted(rng.sample(range(real), take[REAL]))]
    order += [(SYNTHETIC, i) for i in sorted(rng.sample(range(synthetic), take[SYNTHETIC]))]
    rng.shuffle(order)
    return Mix(tuple(order), take[REAL], take[SYNTHETIC])
