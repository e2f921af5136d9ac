"""mmiqc-compose: new problems composed around old ones, round after round, each confirmed by a second model.

* `augment`: solutions to the seed itself that reach its known answer (skipped without one).
* `bootstrap`: one seed, five new questions; `similar`: one seed, three similar problems, each with its solution.
* `compose`: a problem in which the current one, or its answer, is a part, with its solution; the next iteration composes
  around the result, so the depth of nesting is the iteration.

Wherever the writer gave an answer, a second model (role `solver`) samples `samples` solutions, and the row is kept with
the first that reaches the writer's answer; bootstrapped questions come without one and need a vote. Problems that hold
drawing code are put aside: nobody sees their figure.

Source: Liu and Yao 2024, "Augmenting Math Word Problems via Iterative Question Composing" (MMIQC), section 3, and the
released data's structure. The last part of the paper's mix, filtered web threads and repetition, is `math-corpus` and
`tilth mix`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.asked import fault
from tilth.recipes.maths.rejection_sampling import SOLVE
from tilth.recipes.maths.solving import solve_by_vote
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.math import check_answer, final_answer, reference
from tilth.verify.parse import numbered_items, sections

KINDS = ("augment", "bootstrap", "similar", "compose")
BOOTSTRAPPED = 5
"""New questions to one seed (released structure)."""
SIMILAR = 3
"""Similar problems to one seed (released structure)."""
ITERATIONS = 4
"""Rounds of composing (Liu and Yao 2024, section 3; recalled)."""

BOOTSTRAP = Prompt(
    "bootstrap",
    """Write {count} new maths problems of the kind of the one below, each different from it and from the others. Each \
must have exactly one answer. Write a numbered list of the problems, without solutions.

Problem: {problem}""",
)
ANOTHER = Prompt(
    "another",
    """Write a maths problem that is solved in a similar way as the one below but tells of something else with other \
numbers, and solve it. This is request {number} of {count}; no two get the same problem. Write two parts, each under its \
heading:
[Problem]
[Solution]
with a last line of the form
#### answer

The problem below: {problem}""",
)
COMPOSE = Prompt(
    "compose",
    """Build a new maths problem around the one below: solving the old problem, or knowing its answer, must be one part \
of solving the new one, and more must be needed besides. The new problem must stand alone and have exactly one answer. \
Solve it. Write two parts, each under its heading:
[Problem]
[Solution]
with a last line of the form
#### answer

The old problem: {problem}

Its solution: {solution}""",
)
_DRAWING = re.compile(
    r"\[/?asy\]|\\begin\{(?:tikzpicture|asy|picture|pspicture)\}|\\includegraphics|<svg\b|<img\b", re.I
)


@dataclass(frozen=True, slots=True)
class Written:
    """A problem that a model wrote, with its own answer (empty when it gave none) and what stands against it; once the
    second model has solved it, with that solution and what was said of it."""

    kind: str
    problem: str
    answer: str
    reason: str | None
    by: tuple[Reply, ...]
    completion: str = ""
    verdicts: tuple[Verdict, ...] = ()


def written(kind: str, reply: Reply) -> Written:
    """Read a reply with a problem and its solution."""
    parts = sections(reply.text, ["Problem", "Solution"])
    problem = parts["Problem"] if parts else reply.text.strip()
    answer = final_answer(parts["Solution"]) if parts else None
    reason = fault(reply) or (None if parts else "parse:unknown:headings")
    reason = reason or ("figure:drawing-code" if _DRAWING.search(reply.text) else None)
    return Written(kind, problem, answer or "", reason or (None if answer else "parse:unknown:no-answer"), (reply,))


@recipe(
    "mmiqc-compose",
    family="maths",
    cites=("Liu and Yao 2024, Augmenting Math Word Problems via Iterative Question Composing, arXiv:2401.09003",),
    takes=("prompt",),
    makes=("prompt", "completion", "answer", "kind", "iteration", "composed_from"),
    roles=("generator", "solver"),
    prompts=(SOLVE, BOOTSTRAP, ANOTHER, COMPOSE),
)
async def mmiqc_compose(
    row: Row,
    ctx: Context,
    *,
    kinds: str = " ".join(KINDS),
    iterations: int = ITERATIONS,
    samples: int = 3,
    least: float = 0.5,
    temperature: float = 1.0,
    max_tokens: int = 2048,
) -> AsyncIterator[Candidate]:
    """Compose problems around a problem, and write others like it; keep what a second model confirms."""
    wanted = kinds.replace(",", " ").split()
    if wrong := next((k for k in wanted if k not in KINDS), None):
        raise UsageError(f"no kind '{wrong}'", where="--set kinds", todo=did_you_mean(wrong, KINDS))
    problem = str(row["prompt"])
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}

    async def settle(item: Written, branch: Context) -> Written:
        if item.reason:
            return item
        if not item.answer:
            solved = await solve_by_vote(branch, item.problem, samples, least, role="solver", **sampling)
            item, reply, verdict, replies = (
                replace(item, answer=solved.answer),
                solved.reply,
                solved.verdict,
                solved.replies,
            )
        else:
            replies = await branch.sample("solver", branch.fill(SOLVE, problem=item.problem), samples, **sampling)
            checked = [check_answer("" if r.cut else r.text, item.answer) for r in replies]
            best = min(range(samples), key=lambda i: (PASS, FAIL, UNKNOWN).index(checked[i].outcome))
            reply, verdict = replies[best], checked[best]
        reason = None if verdict.passed else verdict.reason
        return replace(item, completion=reply.text.strip(), verdicts=(verdict,), reason=reason, by=(*item.by, *replies))

    def make(item: Written, of: Row, turn: int) -> Candidate:
        columns = {
            **row,
            "prompt": item.problem,
            "completion": item.completion,
            "answer": item.answer,
            "kind": item.kind,
        }
        columns |= {"iteration": turn, "composed_from": of["prompt"] if item.kind == "compose" else None}
        return ctx.make(columns, of=of, by=item.by, verdicts=item.verdicts, round=turn)

    first = [Written("augment", problem, gold, None, ())] if "augment" in wanted and (gold := _gold(row)) else []
    if "bootstrap" in wanted:
        reply = await ctx.ask("generator", ctx.fill(BOOTSTRAP, problem=problem, count=BOOTSTRAPPED), **sampling)
        first += _bootstrapped(reply)
    for i in range(SIMILAR if "similar" in wanted else 0):
        asked = ctx.fill(ANOTHER, problem=problem, number=i + 1, count=SIMILAR)
        first.append(written("similar", await ctx.ask("generator", asked, **sampling)))
    for item in await ctx.each(first, settle, name="first"):
        made = make(item, row, 0)
        if item.reason:
            ctx.drop(made, f"{item.kind}:{item.reason}")
        else:
            yield made

    current: Row = row
    for turn in range(1, iterations + 1 if "compose" in wanted else 1):
        solution = str(current.get("completion") or current.get("answer") or "(not given)")
        asked = ctx.fill(COMPOSE, problem=current["prompt"], solution=solution)
        composed = written("compose", await ctx.ask("generator", asked, **sampling))
        item = await settle(composed, ctx.branch("compose", turn))
        made = make(item, current, turn)
        if item.reason:
            ctx.drop(made, f"{item.kind}:{item.reason}")
            break
        yield made
        current = made


def _gold(row: Row) -> str:
    return reference(row["answer"]) if row.get("answer") is not None else ""


def _bootstrapped(reply: Reply) -> list[Written]:
    """The questions of a numbered list; one that was cut off with the reply is not among them."""
    items = numbered_items(reply.text, cut=reply.cut)
    if not items:
        return [Written("bootstrap", reply.text.strip(), "", fault(reply) or "parse:unknown:no-list", (reply,))]
    found = []
    for n, text in enumerate(items):
        reason = "figure:drawing-code" if _DRAWING.search(text) else "repeated" if text in items[:n] else None
        found.append(Written("bootstrap", text, "", reason, (reply,)))
    return found
