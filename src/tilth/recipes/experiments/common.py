"""What experiments share: arms of rows, one student a seed, all measured on the same held-out problems. Knows no claim.

An experiment is a pool recipe whose rows are its results, so that `tilth run` stops, resumes and replays it like any other
run and the table of results is a dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tilth.errors import UsageError
from tilth.models.base import Model
from tilth.recipes.loops.loop import Check, measure, train
from tilth.recipes.recipe import Candidate, Context
from tilth.rows.row import Row, digest
from tilth.rows.verdict import Verdict
from tilth.verify.math import check_answer
from tilth.worlds.arithmetic import STORY, SUBTRACTION
from tilth.worlds.stories import read_story
from tilth.worlds.tree import Num, Step, Tree, apply, rationale

SETTINGS: Mapping[str, Any] = {
    "max_steps": 600, "per_device_train_batch_size": 8, "learning_rate": 2e-3, "save_steps": 0,
}  # fmt: skip
"""Of a student's training: equal steps for every arm (benchmarks/train/arms.py compares other choices)."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of making training rows.

    Args:
        name: short and stable.
        rows: with ``prompt`` and ``completion``.
        facts: further columns of its result rows.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)


def right(completion: str, row: Mapping[str, Any]) -> Verdict:
    """Whether the final answer is the row's."""
    return check_answer(completion, str(row["answer"]))


def problems(n: int, seed: int, name: str) -> list[Row]:
    """Small subtraction problems of story arithmetic: what `nano:student` lacks and `nano` half knows.

    Args:
        n: how many.
        seed: of the world.
        name: of the set, for the rows' ids.
    """
    rows = STORY.problems(n, seed, **SUBTRACTION)
    return [Row(row, f"{name}-{i}") for i, row in enumerate(rows)]


def with_errors(
    rows: Sequence[Mapping[str, Any]], share: float, rng: Random, spoil: Callable[[str, Random], str] = STORY.corrupt
) -> list[dict[str, Any]]:
    """The rows, a `share` of them with a wrong rationale in the right form, and ``wrong`` saying which.

    Args:
        rows: with ``prompt`` and ``completion``.
        share: of the rows.
        rng: decides which, and how.
        spoil: the wrong rationale to a prompt; by default one of many plausible slips.
    """
    wrong = set(rng.sample(range(len(rows)), round(share * len(rows))))
    return [
        {
            **row,
            "completion": spoil(str(row["prompt"]), rng) if i in wrong else row["completion"],
            "wrong": i in wrong,
        }
        for i, row in enumerate(rows)
    ]


async def student(
    ctx: Context, arm: Arm, seed: int, *, method: str = "sft", start: Model | str = "nano:student",
    settings: Mapping[str, Any] = SETTINGS,
) -> Model:  # fmt: skip
    """Train one student of an arm; it plays ``student`` in `ctx`."""
    name = f"{arm.name}-{seed}".replace(" ", "-").replace("/", "-")
    return await train(ctx, name, "student", method, arm.rows, start=start, settings={**settings, "seed": seed})


async def compare_arms(
    ctx: Context,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    held_out: Sequence[Row],
    check: Check = right,
    **options: Any,
) -> list[Candidate]:
    """Train a student for every arm and seed and measure all on the same rows.

    Args:
        arms: the first is what the others are compared with.
        seeds: of the trainings.
        held_out: rows to answer.
        check: of an answer.
        options: of `student`.

    Returns:
        One result row for each arm and seed: ``arm, seed, training_rows, score, right`` (0 or 1 a held-out row) and the
        arm's facts, by arm and then seed.
    """

    async def one(job: tuple[Arm, int], own: Context) -> Candidate:
        arm, seed = job
        await student(own, arm, seed, **options)
        scores = await measure(own, "held out", "student", held_out, check)
        return result(own, arm.name, seed, scores, training_rows=len(arm.rows), **arm.facts)

    return await ctx.each([(arm, seed) for arm in arms for seed in seeds], one, name="arms")


def result(ctx: Context, arm: str, seed: int, scores: Sequence[float], **facts: Any) -> Candidate:
    """A result row: who, with which seed, how often right, and on which held-out rows."""
    return ctx.make(
        {"arm": arm, "seed": seed, "score": sum(scores) / len(scores), **facts, "right": [int(s == 1) for s in scores]}
    )


def one_too_many(prompt: str, rng: Random) -> str:
    """The rationale of who takes every difference for one more than it is: an error that all wrong rows share."""
    return _reworked(prompt, lambda step: Step(step.symbol, step.a, step.b, step.result + (step.symbol == "-")))


def adds_instead(prompt: str, rng: Random) -> str:
    """The rationale of who adds where the story takes away: the opposite of the right one."""
    return _reworked(prompt, lambda step: Step("+", step.a, step.b, step.a + step.b) if step.symbol == "-" else step)


def _reworked(prompt: str, rule: Callable[[Step], Step]) -> str:
    """The rationale in which each step is what `rule` makes of it and later steps go on from there.

    Raises:
        ValueError: the prompt holds no story.
    """
    story = read_story(prompt)
    if story is None:
        raise ValueError(f"not a problem of {STORY.id}: {prompt[:80]!r}")
    worked: list[Step] = []

    def value(tree: Tree) -> int:
        if isinstance(tree, Num):
            return tree.value
        a, b = value(tree.left), value(tree.right)
        worked.append(rule(Step(tree.symbol, a, b, apply(tree.symbol, a, b))))
        return worked[-1].result

    answer = value(story.tree)
    return rationale(worked, answer)


def seeds_of(n: int, first: int = 0) -> list[int]:
    """`n` seeds, from `first` on.

    Raises:
        UsageError: there is none.
    """
    if n < 1:
        raise UsageError(f"{n} seeds", where="--set seeds", todo="give at least 1")
    return list(range(first, first + n))


def key_of(*parts: Any) -> int:
    """A world's seed from names."""
    return int(digest(*[str(p) for p in parts])[:8], 16)


def numbers(text: str | int, name: str, least: int = 1) -> list[int]:
    """The whole numbers of a comma-separated setting, `least` or more each.

    Raises:
        UsageError: there is none, or another thing among them.
    """
    parts = [part.strip() for part in str(text).split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) >= least for part in parts):
        raise UsageError(f"{name} is '{text}'", where=f"--set {name}", todo="give numbers such as 60,300")
    return [int(part) for part in parts]
