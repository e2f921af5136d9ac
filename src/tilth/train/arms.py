"""Arms: the same start trained on several sets of rows, several seeds each, and asked the same held-out questions.

Any method and either trainer (`tilth.train.engine.train`). Every training has a process of its own; a finished one is not
repeated and a stopped one goes on when the same arms are trained again. Knows not where the rows come from.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.rows.verdict import Verdict
from tilth.train.apart import train_apart
from tilth.train.columns import COLUMNS
from tilth.train.config import LENGTHS, check_budget, need_torch
from tilth.train.engine import choose
from tilth.verify.math import check_answer

EQUAL = ("tokens", "steps")
Rows = Sequence[Mapping[str, Any]]
Check = Callable[[str, Mapping[str, Any]], Verdict]


def by_answer(text: str, row: Mapping[str, Any]) -> Verdict:
    """Whether a text's final answer is the row's ``answer``."""
    return check_answer(text, str(row["answer"]))


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One training of one arm.

    Args:
        arm: its name.
        seed: its seed.
        rows: rows trained on.
        right: for each held-out row, whether the answer was right (unknown counts as not right); empty without a check.
        answers: for each held-out row, what the model wrote; empty where it could not read the question.
        seconds: CPU seconds of the training.
        loss: training loss at the end.
        folder: the trained model.
        tokens: what the training really read, padding apart.
        steps: its optimiser steps.
    """

    arm: str
    seed: int
    rows: int
    right: tuple[bool, ...]
    answers: tuple[str, ...]
    seconds: float
    loss: float
    folder: Path
    tokens: int = 0
    steps: int = 0

    @property
    def accuracy(self) -> float:
        """Share of held-out rows answered rightly."""
        return sum(self.right) / len(self.right)


def train_arms(
    arms: Mapping[str, Rows],
    seeds: Sequence[int],
    out: str | Path,
    *,
    held_out: Rows,
    method: str = "sft",
    base: str = "nano:student",
    settings: Mapping[str, Any] | None = None,
    equal: str = "tokens",
    check: Check | None = by_answer,
    temperature: float = 0.0,
    max_tokens: int = 64,
    processes: int | None = None,
    tell: Callable[[ArmResult], None] | None = None,
) -> list[ArmResult]:
    """Train every arm with every seed and ask the held-out questions.

    The trainings of one seed differ in their rows alone, and in the number of steps where rows differ in length.

    Args:
        arms: name to rows with the columns of the method; the first arm is the one that others are held against.
        seeds: of the trainings.
        out: folder; each model goes to ``out/ARM-SEED``.
        held_out: rows with ``prompt`` and what `check` reads; none where nothing is to be asked.
        method: one of `tilth.train.config.METHODS`; reward and prm where nothing is asked.
        base: what each training starts from (`tilth.train.engine.train`).
        settings: of every training; the seed is replaced.
        equal: ``tokens`` gives every arm the same number of training tokens, padding apart: the ``tokens`` of `settings`,
            or else what the first arm's first training reads by its own ``max_steps`` or epochs. ``steps`` leaves the
            settings as they are: the same steps and rows, more tokens where rows are longer.
        check: whether an answer is right; None leaves `ArmResult.right` empty.
        temperature: of the answers; 0 = greedy. Each seed draws its own.
        max_tokens: of an answer.
        processes: side by side; default the number of cores for the plain loop and 1 for TRL.
        tell: called when a training is done, in no fixed order.

    Returns:
        One result for each arm and seed, seeds within arms, in the order given.

    Raises:
        UsageError: no arm or seed, settings that the trainer refuses, or torch is missing.
        InputError: rows cannot be trained on.
    """
    need_torch()
    given = {**(settings or {}), "trainer": (settings or {}).get("trainer", "auto")}
    if equal not in EQUAL:
        raise UsageError(f"arms cannot be equal in '{equal}'", todo=did_you_mean(equal, EQUAL))
    if not arms or not seeds:
        raise UsageError("arms need at least one set of rows and one seed")
    check_budget(given)
    if equal == "steps" and "tokens" in given:
        raise UsageError("tokens=N makes arms equal in tokens", todo="leave equal=steps out, or give max_steps")
    if held_out and method in ("reward", "prm"):
        raise UsageError(f"a {method} model answers no questions", todo="leave the held-out rows out")
    if len({name.casefold() for name in arms}) < len(arms) or any(not n or set(n) & set("/\\\0") for n in arms):
        raise UsageError(
            f"arms are called {', '.join(map(repr, arms))}", todo="give each a name that a folder can have"
        )
    width = processes or ((os.cpu_count() or 1) if choose(method, base, given).name == "plain" else 1)
    data = {arm: [{c: row[c] for c in COLUMNS if c in row} for row in rows] for arm, rows in arms.items()}
    ask = {"prompts": [row["prompt"] for row in held_out], "temperature": temperature, "max_tokens": max_tokens}

    async def one(arm: str, seed: int, own: Mapping[str, Any], gate: asyncio.Semaphore) -> ArmResult:
        folder = Path(out) / f"{arm}-{seed}"
        async with gate:
            made = await train_apart(
                method, data[arm], folder, base=base, settings={**own, "seed": seed},
                ask={**ask, "seed": seed} if held_out else None,
            )  # fmt: skip
        answers = tuple(made.get("answers", ()))
        right = [check(t, row).passed for t, row in zip(answers, held_out, strict=True)] if check and held_out else []
        result = ArmResult(
            arm, seed, made["rows"], tuple(right), answers, made["seconds"], made["losses"][-1], folder, made["tokens"],
            made["steps"],
        )  # fmt: skip
        if tell:
            tell(result)
        return result

    async def every() -> list[ArmResult]:
        gate, first = asyncio.Semaphore(max(1, width)), next(iter(arms))
        done: dict[tuple[str, int], ArmResult] = {}
        others = given
        if equal == "tokens" and "tokens" not in given and len(arms) > 1:
            done[first, seeds[0]] = await one(first, seeds[0], given, gate)
            unmeasured = {k: v for k, v in given.items() if k not in LENGTHS}
            others = {**unmeasured, "tokens": done[first, seeds[0]].tokens}
        todo = [(arm, seed) for arm in arms for seed in seeds if (arm, seed) not in done]
        tasks = [asyncio.ensure_future(one(a, s, given if a == first else others, gate)) for a, s in todo]
        try:
            done |= dict(zip(todo, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [done[arm, seed] for arm in arms for seed in seeds]

    return asyncio.run(every())
