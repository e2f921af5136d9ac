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
"""Of each round's model: better than the start, hardly worse than that, much worse."""


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


@pytest.mark.parametrize(("gate", "error", "number"), [("not-worse", 0.2, 1), ("higher", 0.2, 1), ("none", 0.9, None)])
def test_a_loop_ends_with_the_model_that_was_best_on_held_out_rows(gate: str, error: float, number: int | None) -> None:
    found = run_recipe(three_models, STORY.problems(60, 3), Oracle(STORY, error=0.6), gate=gate)
    notes = found.numbers.notes
    assert notes["error at the end"] == error
    assert notes.get("ended with the model of round") == number
    assert [notes[f"round {r}: accepted"] for r in (1, 2, 3)] == {
        "not-worse": [1, 1, 0], "higher": [1, 0, 0], "none": [1, 1, 1],
    }[gate]  # fmt: skip


def test_a_loop_that_never_gains_ends_with_the_model_that_it_began_with() -> None:
    start = Oracle(STORY, error=0.1)
    found = run_recipe(three_models, STORY.problems(60, 3), start)
    assert found.numbers.notes["error at the end"] == 0.1
    assert found.numbers.notes["ended with the model of round"] == 0
