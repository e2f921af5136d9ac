"""How far a judge follows length and position rather than content, and how to take length out of preferences.

Bias is measured on planted doubles, where the right answer is known to be a tie: the same answer against itself shows
position, against itself with words that add nothing shows length. Knows no model; it is given `ask`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tilth.rows.text import last_assistant, prompt_text
from tilth.verify.judge import compare, prefer
from tilth.verify.judging import Asking, Tally
from tilth.verify.verifier import Ask, RowAsk

FILLER = (
    " To put it in other words, what has been said above is what there is to be said about this, and it can be taken as it"
    " stands, without anything having to be added to it or left out of it."
)


@dataclass(frozen=True, slots=True)
class Bias:
    """What a judge does with doubles, where every answer but a tie is bias.

    Args:
        pairs: doubles asked about.
        read: share of replies that could be read.
        first: preference for the answer that stands first, .5 is none.
        longer: preference for the same answer with filler, after both orders are averaged; .5 is none.
        turned: share of doubles whose verdict changed with the order.
        first_error, longer_error: standard errors of both preferences.
    """

    pairs: int
    read: float
    first: float
    longer: float
    turned: float
    first_error: float = 0.0
    longer_error: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """Plain JSON, four decimals."""
        return {k: round(v, 4) for k, v in asdict(self).items()}


async def bias(
    ask: Ask, rows: Sequence[Mapping[str, Any]], *, filler: str = FILLER, how: Asking | None = None, **sampling: Any
) -> Bias:
    """Measure position and length bias on planted doubles made of rows' own answers.

    Args:
        ask: the judge.
        rows: with `prompt` and `completion`.
        filler: words that add nothing.
        how: role and sampling; a reply that cannot be read is not asked for again.
        sampling: temperature and the like, when `how` is not given.
    """
    how = how or Asking(retries=0, sampling=sampling)
    first: list[float] = []
    longer: list[float] = []
    turned, tally = 0, Tally()
    for row in rows:
        own = ask.of(row) if isinstance(ask, RowAsk) else ask
        prompt, answer = prompt_text(row) or "", last_assistant(row) or ""
        same = await prefer(own, prompt, answer, answer, how=how, tally=tally)
        there, back = await compare(own, prompt, answer + filler, answer, how=how, tally=tally)
        first += [] if same is None else [same]
        if there is not None and back is not None:
            longer.append((there + back) / 2)
            turned += there != back
    return Bias(
        len(rows), tally.read / tally.replies if tally.replies else 0.0, _mean(first), _mean(longer),
        turned / len(longer) if longer else 0.0, _error(first), _error(longer),
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.5


def _error(values: Sequence[float]) -> float:
    mean, n = _mean(values), len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (n * (n - 1))) if n > 1 else 0.0


def without_length(preferences: Sequence[float], lengths: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The share of wins that remains when both answers are equally long.

    Args:
        preferences: 1 where the first answer was preferred, 0 where the second, .5 for a tie.
        lengths: of both answers, in characters.

    Returns:
        The preference at equal length, and the coefficient of length, in log odds for each unit of tanh(difference /
        standard deviation).

    Source:
        Dubois et al. 2024, arXiv:2404.04475 (a logistic regression; here by Newton's method, with a ridge of .01).
    """
    import numpy as np

    gap = np.array([a - b for a, b in lengths], float)
    x = np.stack([np.ones_like(gap), np.tanh(gap / (gap.std() or 1.0))], 1)
    y, beta = np.array(preferences, float), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        step = np.linalg.solve((x.T * (p * (1 - p))) @ x + 0.01 * np.eye(2), x.T @ (y - p) - 0.01 * beta)
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    return float(1 / (1 + np.exp(-beta[0]))), float(beta[1])
