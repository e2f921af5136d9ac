"""Scores from trained reward models, for whoever holds rows and a folder: a reward an answer, a probability a step.

The models are read as `tilth verify --with reward` and `--with prm` read them. Knows no training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.rows.text import last_assistant, prompt_text


@dataclass(frozen=True, slots=True)
class StepScores:
    """A solution's steps in a process-reward model's eyes (Lightman et al. 2023, section 2.6 and appendix F).

    Args:
        steps: each step's probability of being right; empty when the solution does not fit the model.
    """

    steps: tuple[float, ...]

    @property
    def product(self) -> float:
        """The probability that every step is right; it falls with the number of steps. NaN without steps."""
        return math.prod(self.steps) if self.steps else math.nan

    @property
    def least(self) -> float:
        """The probability of the least likely step. NaN without steps."""
        return min(self.steps, default=math.nan)


def reward_scores(folder: str | Path, rows: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """The reward of each row's answer; None for one that does not fit the model.

    Args:
        folder: of a sequence classification model with one output.
        rows: ``prompt`` and ``completion``, or ``messages``.

    Raises:
        UsageError: torch is missing or the folder holds no such model.
    """
    from tilth.verify.reward import RewardVerifier

    pairs = [(prompt_text(row) or "", last_assistant(row) or "") for row in rows]
    return RewardVerifier(model=f"hf:{folder}").rewards(pairs)


def step_scores(folder: str | Path, rows: Sequence[Mapping[str, Any]]) -> list[StepScores]:
    """The probabilities of each row's steps.

    Args:
        folder: of a token classification model.
        rows: ``prompt`` and ``completions`` (the steps), or ``completion``, whose lines are the steps.

    Raises:
        UsageError: torch is missing or the folder holds no such model.
    """
    from tilth.verify.prm import PrmVerifier
    from tilth.verify.stepwise import steps_of

    found = PrmVerifier(model=f"hf:{folder}").probabilities([(prompt_text(row) or "", steps_of(row)) for row in rows])
    return [StepScores(tuple(steps or ())) for steps in found]
