"""step-labels: which step of a solution goes wrong, found without people by rolling out from every prefix.

1. Sample `samples` solutions, one step a line, and grade their final answers (the outcome label).
2. Choose `label` of them: up to 80 % from the convincing wrong ones, whose answer is wrong but which score highest; the rest
   from the best of what is left. The score is a judge's when the role `judge` is bound, else the share of samples that
   agree with the answer, times the share of its equations that hold.
3. From the prefix that ends in each step sample `rollouts` continuations: the step's value is the share that ends right.
4. Label: -1 when the value is 0 or an equation of the step does not hold, +1 when it is at least `tau`, else 0. Labels end
   with the first -1, as in PRM800K; what comes after it has none.

Source: Lightman et al. 2023, "Let's Verify Step by Step" (labels, active selection; PRM800K's form: `tilth export
--format prm800k`), and Wang et al. 2023, "Math-Shepherd", section 3.3, for values by rollout. In place of the paper's
selector model, retrained between generations, ours scores by vote or by a judge.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import fault
from tilth.recipes.maths.rejection_sampling import SOLVE
from tilth.recipes.maths.solving import solution_steps
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import UNKNOWN, Verdict
from tilth.verify.agreement import majority
from tilth.verify.judge import score as judge_score
from tilth.verify.math import canonical, check_answer, final_answer
from tilth.verify.step_values import CONTINUE as CONTINUE_WORDS
from tilth.verify.step_values import ROLLOUTS, TAU
from tilth.verify.steps import equations
from tilth.verify.stepwise import is_final, solution_scores

CONVINCING = 0.8
"""Share of convincing wrong solutions among those that are labelled (Lightman et al. 2023, section 4.2; recalled)."""
CONTINUE = Prompt("continue", CONTINUE_WORDS)


@dataclass(frozen=True, slots=True)
class Solution:
    """A sampled solution, its outcome, and how convincing it is; once labelled, with values and labels of its steps."""

    reply: Reply
    outcome: Verdict
    convincing: float = 0.0
    values: tuple[float, ...] = ()
    labels: tuple[int, ...] = ()
    by: tuple[Reply, ...] = ()
    reason: str | None = None


def chosen(solutions: Sequence[Solution], count: int) -> set[int]:
    """Indices of the solutions to label: convincing wrong ones for 80 % of the places, the best others for the rest.

    Args:
        solutions: graded solutions.
        count: places.
    """
    order = sorted(range(len(solutions)), key=lambda i: (-solutions[i].convincing, i))
    wrong = [i for i in order if not solutions[i].outcome.passed][: round(CONVINCING * count)]
    return {*wrong, *[i for i in order if i not in wrong][: max(0, count - len(wrong))]}


@recipe(
    "step-labels",
    family="maths",
    cites=(
        "Lightman et al. 2023, Let's Verify Step by Step, arXiv:2305.20050",
        "Wang et al. 2023, Math-Shepherd, arXiv:2312.08935",
    ),
    takes=("prompt", "answer"),
    makes=("prompt", "completions", "labels", "values", "completion", "outcome", "first_error", "score", "convincing"),
    optional_roles=("judge",),
    prompts=(SOLVE, CONTINUE),
)
async def step_labels(
    row: Row,
    ctx: Context,
    *,
    samples: int = 8,
    label: int = 4,
    rollouts: int = ROLLOUTS,
    tau: float = TAU,
    temperature: float = 0.7,
    max_tokens: int = 1024,
) -> AsyncIterator[Candidate]:
    """Label the steps of the most telling solutions by the outcomes of continuations."""
    problem, sampling = str(row["prompt"]), {"temperature": temperature, "max_tokens": max_tokens}
    asked = ctx.fill(SOLVE, problem=problem)
    replies = await ctx.sample("generator", asked, samples, **sampling)
    graded = [_graded(r, row["answer"]) for r in replies]
    usable = [s for s in graded if s.reason is None]
    vote = majority([final_answer(s.reply.text) for s in usable])
    shares = {key: votes / vote.voters for key, votes in vote.counts}

    async def rate(solution: Solution, branch: Context) -> Solution:
        text, share = solution.reply.text, shares.get(canonical(final_answer(solution.reply.text) or ""), 0.0)
        if "judge" in ctx.roles:
            judged = await judge_score(branch.ask, problem, text, temperature=0.0)
            return replace(solution, convincing=judged or 0.0)
        held = [e.right for e in equations(text)]
        return replace(solution, convincing=share * (sum(held) / len(held) if held else 1.0))

    async def work(solution: Solution, branch: Context) -> Solution:
        return await _labelled(solution, row, branch, rollouts, tau, sampling)

    rated = await ctx.each(usable, rate, name="rate")
    places = chosen(rated, label)
    labelled = iter(await ctx.each([rated[i] for i in sorted(places)], work, name="label"))
    rated = [next(labelled) if i in places else replace(s, reason="selection:not-chosen") for i, s in enumerate(rated)]
    done = iter(rated)
    for solution in (s if s.reason else next(done) for s in graded):
        text = solution.reply.text.strip()
        known = solution_scores(solution.values)
        columns: dict[str, Any] = {
            **row, "completion": text, "completions": solution_steps(text)[: len(solution.labels)],
            "labels": list(solution.labels), "values": list(solution.values), "outcome": solution.outcome.passed,
            "first_error": solution.labels.index(-1) if -1 in solution.labels else None,
            "score": known["product"], "score_min": known["min"], "score_mean_log": known["mean_log"],
            "convincing": solution.convincing,
        }  # fmt: skip
        made = ctx.make(columns, of=row, by=[*solution.by, solution.reply], verdicts=[solution.outcome])
        if solution.reason:
            ctx.drop(made, solution.reason)
        else:
            yield made


def _graded(reply: Reply, answer: Any) -> Solution:
    verdict = check_answer(reply.text, answer)
    reason = fault(reply) or (verdict.reason if verdict.outcome == UNKNOWN else None)
    return Solution(reply, verdict, reason=reason)


async def _labelled(
    solution: Solution, row: Row, ctx: Context, rollouts: int, tau: float, sampling: dict[str, Any]
) -> Solution:
    steps = solution_steps(solution.reply.text)
    false = {e.step for e in equations(solution.reply.text) if not e.right}
    values: list[float] = []
    labels: list[int] = []
    by: list[Reply] = []
    for i, step in enumerate(steps):
        if i in false:
            value = 0.0
        elif i == len(steps) - 1 or is_final(step):
            value = float(solution.outcome.passed)
        else:
            asked = ctx.fill(CONTINUE, problem=row["prompt"], steps="\n".join(steps[: i + 1]))
            tried = await ctx.sample("generator", asked, rollouts, **sampling)
            by += tried
            told = [v for r in tried if not r.cut and (v := check_answer(r.text, row["answer"])).outcome != UNKNOWN]
            if not told:
                return replace(solution, by=tuple(by), reason="rollouts:unknown")
            value = sum(v.passed for v in told) / len(told)
        values.append(value)
        labels.append(-1 if value == 0 else 1 if value >= tau else 0)
        if value == 0:
            break
    return replace(solution, values=tuple(values), labels=tuple(labels), by=tuple(by))
