"""reflexion: attempts at a programming task, each run on the model's own tests, with a reflection before the next attempt.

1. The generator writes tests of its own; those that parse are kept.
2. It attempts the task, and the tests run. When they pass, this is the solution.
3. Otherwise it reflects in a few sentences on its code and the feedback, and tries again with its code, the feedback and
   its last `memory` reflections, at most `retries` times.
4. The row's `tests` only decide at the end: they are never shown, and nothing of them reaches a prompt. A solution that
   passes its own tests and fails these is put aside as a false positive.
With `repairs` a solution that took more than one attempt also becomes a repair row: the failed attempt with its feedback
and reflection as prompt, the solution as completion.

Source: Shinn et al. 2023, "Reflexion: Language Agents with Verbal Reinforcement Learning", sections 3 and 4.3, and the
released code. The repair rows are ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import fault
from tilth.recipes.code.programs import asserts_in, program_in
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, UNKNOWN, Verdict
from tilth.verify.code import check_code

RETRIES = 4
"""Retries after the first attempt (released code: the number of iterations is a setting; recalled)."""
MEMORY = 3
"""Reflections that are shown, the last ones (Shinn et al. 2023, section 3: one to three)."""

TESTS = Prompt(
    "tests",
    """Write {count} tests for a solution of the task below, simple ones and edge cases: one Python assert a line, each a \
call with its exact result. Write one code block and nothing else.

Task:
{task}""",
)
ATTEMPT = Prompt(
    "attempt",
    """Solve the task below in Python. Write the whole program in one code block and nothing else.

Task:
{task}""",
)
REFLECT = Prompt(
    "reflect",
    """A program for the task below failed. Say in two or three sentences what is wrong with it and what to do instead. \
Do not write code.

Task:
{task}

Program:
{program}

What happened:
{feedback}""",
)
RETRY = Prompt(
    "retry",
    """A program for the task below failed. Write a better one: the whole program in one code block and nothing else.

Task:
{task}

Program:
{program}

What happened:
{feedback}

What was learnt so far:
{reflections}""",
)


@recipe(
    "reflexion",
    family="code",
    cites=("Shinn et al. 2023, Reflexion: Language Agents with Verbal Reinforcement Learning, arXiv:2303.11366",),
    takes=("prompt",),
    makes=("prompt", "completion", "kind", "attempts", "feedback", "reflections", "internal_pass", "hidden_pass"),
    prompts=(TESTS, ATTEMPT, REFLECT, RETRY),
)
async def reflexion(
    row: Row,
    ctx: Context,
    *,
    retries: int = RETRIES,
    own_tests: int = 5,
    memory: int = MEMORY,
    repairs: bool = True,
    temperature: float = 0.2,
    max_tokens: int = 2048,
) -> AsyncIterator[Candidate]:
    """Solve a programming task by trying, testing and reflecting; hidden tests decide what is kept.

    Args:
        row: `prompt`; `tests` (hidden) and `entry_point` where there are any.
        ctx: the run.
        retries: attempts after the first.
        own_tests: tests that the generator is asked for.
        memory: reflections shown at a retry; 0 leaves reflecting out.
        repairs: also make repair rows.
        temperature, max_tokens: sampling.
    """
    task, entry = str(row["prompt"]), row.get("entry_point")
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    written = await ctx.ask("generator", ctx.fill(TESTS, task=task, count=own_tests), **sampling)
    tests = [] if written.cut else asserts_in(written.text, entry)
    ctx.note("tasks without own tests", not tests)

    attempts: list[str] = []
    feedback: list[str] = []
    reflections: list[str] = []
    passes: list[bool] = []
    by: list[Reply] = [written]
    verdict = Verdict("code", UNKNOWN, detail="no-tests")
    asked = ctx.fill(ATTEMPT, task=task)
    for turn in range(retries + 1):
        reply = await ctx.ask("generator", asked, **sampling)
        by.append(reply)
        attempts.append(reply.text.strip())
        if reason := fault(reply):
            feedback.append(f"The answer was {reason.partition(':')[2]}.")
            verdict = Verdict("code", UNKNOWN, detail=reason.partition(":")[2])
        elif tests:
            verdict = await ctx.run(
                check_code, {"prompt": task, "completion": reply.text, "tests": tests, "entry_point": entry}
            )
            feedback.append(_told(verdict))
        else:
            feedback.append("")
        passes.append(verdict.passed)
        if verdict.passed or not tests or turn == retries:
            break
        program = program_in(reply.text, entry) or reply.text.strip()
        if memory:
            told = ctx.fill(REFLECT, task=task, program=program, feedback=feedback[-1])
            thought = await ctx.ask("generator", told, **sampling)
            by.append(thought)
            reflections.append("" if thought.problem else thought.text.strip())
        shown = "\n".join(f"- {r}" for r in reflections[-memory:] if r) if memory else ""
        asked = ctx.fill(RETRY, task=task, program=program, feedback=feedback[-1], reflections=shown or "- nothing yet")

    hidden = await ctx.run(check_code, {**row, "completion": attempts[-1]}) if row.get("tests") else None
    columns = {
        **row, "completion": attempts[-1], "kind": "solution", "attempts": attempts, "feedback": feedback,
        "reflections": reflections, "internal_tests": tests, "internal_pass": passes,
        "hidden_pass": None if hidden is None or hidden.outcome == UNKNOWN else hidden.passed,
    }  # fmt: skip
    made = ctx.make(columns, of=row, by=by, verdicts=[hidden or verdict])
    if hidden is not None and hidden.outcome == FAIL and passes[-1]:
        ctx.drop(made, "hidden:fail:false-positive")
    elif not (hidden or verdict).passed:
        ctx.drop(made, f"{'hidden' if hidden else 'own'}:{(hidden or verdict).reason}")
    else:
        yield made
        if repairs and len(attempts) > 1:
            yield ctx.make({**columns, "prompt": asked, "kind": "repair"}, of=made, by=by, verdicts=[hidden or verdict])


def _told(verdict: Verdict) -> str:
    """A verdict in words for the model."""
    said = str(verdict.evidence.get("message") or verdict.evidence.get("output") or "").strip()
    return "All tests pass." if verdict.passed else f"{verdict.detail or verdict.outcome}: {said}".strip(": ")
