"""The checkers as reward functions of TRL's GRPOTrainer: texts and the dataset's columns in, one number each out.

``trl grpo --reward_funcs tilth.verify.rewards.math_reward`` finds them by their path. 1 is right and 0 is not; a completion
that cannot be read earns nothing, and a row without the needed column gives None, which the trainer leaves out. Knows no
trainer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

from tilth.rows.row import Row
from tilth.rows.text import turn_text
from tilth.rows.verdict import PASS, Verdict
from tilth.verify.math import check_answer, find_answer
from tilth.verify.steps import check_steps

Completions = Sequence[Any]
"""Texts, or lists of turns, as the trainer gives them."""


def text_of(completion: Any) -> str:
    """A completion's text: itself, or the last turn's."""
    if isinstance(completion, list):
        return turn_text(completion[-1]) if completion else ""
    return str(completion)


def math_reward(completions: Completions, answer: Sequence[Any] | None = None, **columns: Any) -> list[float | None]:
    """1 where the final answer equals the column `answer` exactly, else 0.

    Args:
        completions: what the model wrote.
        answer: the reference of each.
        columns: others, not used.
    """
    wanted = answer if answer is not None else [None] * len(completions)
    return [
        None if a in (None, "") else float(check_answer(text_of(c), a).outcome == PASS)
        for c, a in zip(completions, wanted, strict=True)
    ]


def code_reward(
    completions: Completions, tests: Sequence[Any] | None = None, prompts: Sequence[Any] | None = None, **columns: Any
) -> list[float | None]:
    """1 where the program passes the tests in the sandbox, else 0.

    Args:
        completions: what the model wrote.
        tests: of each, as `tilth verify --with code` reads them.
        prompts: of each; a text may be the prefix that the program goes on from.
        columns: `entry_point` and others that the checker reads.

    Raises:
        SandboxError: there is no isolation on this machine.
    """
    from tilth.verify.code import CodeVerifier

    n = len(completions)
    others = {k: v for k, v in columns.items() if isinstance(v, list | tuple) and len(v) == n}
    rows = []
    for i, completion in enumerate(completions):
        row = {k: v[i] for k, v in others.items()}
        row |= {"completion": text_of(completion), "tests": tests[i] if tests is not None else None}
        if prompts is not None and isinstance(prompts[i], str):
            row["prompt"] = prompts[i]
        rows.append(Row({k: v for k, v in row.items() if v is not None}, str(i)))
    ready = [row for row in rows if row.get("tests")]
    found = dict(zip((r.id for r in ready), _wait(CodeVerifier().verify_rows(ready)), strict=True)) if ready else {}
    return [float(found[row.id].outcome == PASS) if row.id in found else None for row in rows]


def steps_reward(completions: Completions, **columns: Any) -> list[float | None]:
    """The share of written equations that hold; None for a completion without any."""
    return [check_steps(text_of(c)).score for c in completions]


def format_reward(completions: Completions, **columns: Any) -> list[float]:
    """1 where the completion ends with one marked final answer (``#### 7`` or a box), else 0."""
    return [float(_ends_marked(text_of(c))) for c in completions]


def _ends_marked(text: str) -> bool:
    last = text.strip().rpartition("\n")[2]
    found = find_answer(last)
    return found is not None and found.how in ("marker", "boxed") and text.count("####") + text.count("boxed") == 1


def _wait(work: Coroutine[Any, Any, list[Verdict]]) -> list[Verdict]:
    """The result of a coroutine, whether or not the caller runs in an event loop."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return list(found[0])
