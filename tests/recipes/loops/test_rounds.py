"""Which model a loop ends with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tilth.engine.memory import run_recipe
from tilth.models.oracle import Oracle
from tilth.recipes.loops.rounds import Rounds, checker
from tilth.recipes.recipe import recipe
from tilth.worlds.arithmetic import STORY

ERRORS = (0.2, 0.26, 0.9)
"""Of each round's model."""


@recipe("three-models", family="loops", takes=("prompt", "answer"), roles=("target",), pool=True)
async def three_models(rows: list[Any], ctx: Any, *, gate: str = "not-worse") -> AsyncIterator[Any]:
    """Play one model a round."""
    loop = await Rounds.start(ctx, "target", rows, checker("maths"), gate=gate, rounds=3, patience=3)
    while await loop.begin():
        ctx.play("target", Oracle(STORY, error=ERRORS[loop.number - 1], seed=loop.number))
        await loop.decide()
    ctx.note("error at the end", ctx.model("target").error)
    if not rows:
        yield {}


def ended(start: float, gate: str = "not-worse") -> tuple[float, float, list[float]]:
    """Error and round of the model at the end, and which rounds were let pass."""
    notes = run_recipe(three_models, STORY.problems(60, 3), Oracle(STORY, error=start), gate=gate).numbers.notes
    passed = [notes[f"round {r}: accepted"] for r in (1, 2, 3)]
    return notes["error at the end"], notes["ended with the model of round"], passed


@pytest.mark.parametrize(
    ("gate", "error", "number", "passed"),
    [("not-worse", 0.26, 2, [1, 1, 0]), ("higher", 0.2, 1, [1, 0, 0]), ("none", 0.9, 3, [1, 1, 1])],
)
def test_a_loop_that_gained_ends_with_the_last_model_that_was_let_pass(
    gate: str, error: float, number: int, passed: list[float]
) -> None:
    assert ended(0.6, gate) == (error, number, passed)


def test_a_loop_whose_last_model_is_below_the_first_ends_with_the_best() -> None:
    assert ended(0.1) == (0.1, 0, [1, 1, 0])
