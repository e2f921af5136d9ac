"""xwin-math: brand-new questions from seed questions, checked and mended by a second pass, solved by a third.

1. From a seed the generator writes `each` new questions.
2. The checker attempts each one and says whether it is well-posed. If it is not, it writes a corrected question, which is
   attempted in its turn, at most `corrections` times. Only a question that was found well-posed goes on.
3. What is near a seed or an accepted question (ROUGE-L), or repeats a benchmark, is put aside.
4. The solver writes `samples` solutions; no answer is known, so with several the final answers vote.

Source: Li et al. 2024, "Common 7B Language Models Already Possess Strong Math Capabilities" (Xwin-Math), section 3. The
vote is ours (the paper keeps the one solution), and the column `how` says how the answer was read: the authors' evaluation
moves one model's MATH score from 23.8 to 37.1 by the extractor alone, so `strict` takes a marked or boxed answer only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import ask_or_none, fault, given
from tilth.recipes.gates import Gate
from tilth.recipes.maths.rejection_sampling import SOLVE
from tilth.recipes.maths.solving import Solved, solve_by_vote
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.select.novelty import Novelty
from tilth.verify.math import find_answer
from tilth.verify.parse import label, sections

NOVELTY = 0.7
"""Ours: ROUGE-L F above which a question is a near copy (the threshold of Wang et al. 2022, Self-Instruct)."""
ROUND = 64
"""Ours: questions a round; their rows are on disk before the next round begins."""

NEW = Prompt(
    "new",
    """Write a wholly new maths problem. The one below shows the level and the field; take no names, numbers or story \
from it. The new problem must say everything that is needed and have exactly one answer. Do not solve it. Write the \
problem and nothing else.

Example: {problem}""",
)
CHECK = Prompt(
    "check",
    """Try to solve the problem below, and watch whether it can be solved as it stands: is anything missing, \
contradictory, impossible or ambiguous?

Problem: {problem}

Write three parts, each under its heading:
[Attempt]
your attempt
[Verdict]
one line: well-posed or ill-posed
[Problem]
the problem word by word if it is well-posed, else a corrected one""",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question on its way, with the replies behind it; `reason` is None while it may go on."""

    text: str
    seed: Row
    by: tuple[Reply, ...] = ()
    reason: str | None = None
    corrections: int = 0
    solved: Solved | None = None


@recipe(
    "xwin-math",
    family="maths",
    cites=("Li et al. 2024, Common 7B Language Models Already Possess Strong Math Capabilities, arXiv:2403.04706",),
    takes=("prompt",),
    makes=("prompt", "completion", "answer", "corrections", "agreement", "how"),
    roles=("generator", "checker", "solver"),
    pool=True,
    prompts=(NEW, CHECK, SOLVE),
)
async def xwin_math(
    rows: list[Row],
    ctx: Context,
    *,
    each: int = 4,
    corrections: int = 1,
    samples: int = 1,
    least: float = 0.5,
    strict: bool = True,
    novelty: float = NOVELTY,
    benchmarks: str | None = None,
    temperature: float = 1.0,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Write new questions after seeds, have them checked, and solve those that are well-posed and new."""
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    gate, pool = Gate(benchmarks), Novelty(novelty)
    for row in rows:
        pool.add(str(row["prompt"]))

    async def write(row: Row, branch: Context) -> Question:
        reply = await ask_or_none(branch, "generator", branch.fill(NEW, problem=row["prompt"]), **sampling)
        question = Question(reply.text.strip() if reply else "", row, tuple(given(reply)), fault(reply))
        return question if question.reason else await _checked(question, branch, corrections, max_tokens)

    async def solve(question: Question, branch: Context) -> Question:
        solved = await solve_by_vote(branch, question.text, samples, least, role="solver", **sampling)
        reason = solved.verdict.reason if not solved.verdict.passed else None
        found = find_answer(solved.reply.text)
        if reason is None and strict and (found is None or found.how not in ("marker", "boxed")):
            reason = "answer:unmarked"
        return replace(question, reason=reason, solved=solved, by=(*question.by, *solved.replies))

    asked = [row for row in rows for _ in range(each)]
    for at in range(0, len(asked), ROUND):
        questions = await ctx.each(
            list(enumerate(asked[at : at + ROUND])), lambda item, branch: write(item[1], branch), name=f"write-{at}"
        )
        dirty = gate.reasons([q.text for q in questions])
        for i, question in enumerate(questions):
            if question.reason is None and not pool.is_novel(question.text):
                questions[i] = replace(question, reason="novelty:near")
            elif question.reason is None and dirty[i]:
                questions[i] = replace(question, reason=dirty[i])
            elif question.reason is None:
                pool.add(question.text)
        sound = [q for q in questions if q.reason is None]
        done = iter(await ctx.each(sound, solve, name=f"solve-{at}"))
        for question in (q if q.reason else next(done) for q in questions):
            made = _made(ctx, question)
            if question.reason:
                ctx.drop(made, question.reason)
            else:
                yield made
        await ctx.round()


async def _checked(question: Question, ctx: Context, corrections: int, max_tokens: int) -> Question:
    """The question after the second pass: found well-posed, perhaps after corrections, or with a reason against it."""
    for turn in range(corrections + 1):
        said = await ask_or_none(
            ctx, "checker", ctx.fill(CHECK, problem=question.text), temperature=0.0, max_tokens=2 * max_tokens
        )
        question = replace(question, by=(*given(said), *question.by))
        parts = sections(said.text, ["Attempt", "Verdict", "Problem"]) if said and not said.cut else None
        word = label(parts["Verdict"], ("well-posed", "ill-posed")) if parts else None
        if parts is None or word is None:
            return replace(question, reason="check:unknown:unparsed")
        if word == "well-posed":
            return question
        if turn < corrections:
            question = replace(question, text=parts["Problem"], corrections=turn + 1)
    return replace(question, reason="check:ill-posed")


def _made(ctx: Context, question: Question) -> Candidate:
    solved = question.solved
    text = solved.reply.text.strip() if solved else ""
    found = find_answer(text)
    columns = {
        **question.seed, "prompt": question.text, "completion": text, "answer": solved.answer if solved else "",
        "corrections": question.corrections, "agreement": solved.verdict.score if solved else None,
        "how": found.how if found else None,
    }  # fmt: skip
    return ctx.make(columns, of=question.seed, by=question.by, verdicts=[solved.verdict] if solved else [])
