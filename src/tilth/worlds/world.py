"""What it is to be a world: it makes problems, and it knows every answer. Knows no particular world."""

from __future__ import annotations

from random import Random
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class World(Protocol):
    """A source of problems with truth.

    Attributes:
        id: registry id, such as ``story-arithmetic``.
        skills: the tags that `problems` puts in the column ``skill``; a tag left out of a training set is a known gap.
    """

    id: str
    skills: tuple[str, ...]

    def problems(self, n: int, seed: int, **knobs: Any) -> list[dict[str, Any]]:
        """Make plain rows.

        Args:
            n: how many.
            seed: the same seed and knobs give the same rows; the first rows do not depend on `n`.
            knobs: the world's own settings.

        Returns:
            Rows with at least ``prompt``, ``answer`` (canonical string), ``completion`` (gold rationale whose last line
            is ``#### <answer>``) and ``skill``.

        Raises:
            UsageError: a knob is unknown, or no problem satisfies the knobs.
        """
        ...

    def solve(self, prompt: str) -> str | None:
        """The gold rationale for a prompt, by reading the text; None when it is not a problem of this world."""
        ...

    def corrupt(self, prompt: str, rng: Random) -> str:
        """A plausible rationale whose final answer is wrong.

        Raises:
            ValueError: the prompt is not a problem of this world.
        """
        ...

    def answer(self, prompt: str) -> str | None:
        """The canonical answer to a prompt; None when it is not a problem of this world."""
        ...

    def check(self, prompt: str, completion: str) -> bool | None:
        """Whether a completion's final answer is right; None when it has none, or the prompt is not of this world."""
        ...
