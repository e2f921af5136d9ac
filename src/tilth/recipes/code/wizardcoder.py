"""wizardcoder: programming tasks are rewritten into harder ones, round by round, answered, and the answers run.

In each of `rounds` rounds
1. one of five operators is drawn: one more requirement, a rarer requirement for a common one, more steps of reasoning, wrong
   code as a misleading example, a bound on time or space (with a tenth of the others' weight);
2. the generator rewrites the task, and the rewrite is checked as in `evol-instruct`; with a judge, an equal one is
   eliminated;
3. misleading code must really fail the seed's tests, so that operator is drawn only while these tests are the task's own;
4. the generator answers; the answer must hold a program that loads and keeps its own examples, and passes the tests while
   they are the task's own.
A survivor becomes a row and stands for its parent in the next round. `seeds` also keeps seeds with answers, as round 0: the
final mix is seeds and all rounds.

Source: Luo et al. 2023, "WizardCoder: Empowering Code Large Language Models with Evol-Instruct", section 3, and the released
code (nlpxucan/WizardLM, WizardCoder). The original does not execute anything; steps 3 and 4 are ours. It goes on with rounds
while a development score improves, which takes a training run a round: choose `rounds` so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import fault
from tilth.recipes.code.programs import check_examples, program_in
from tilth.recipes.instruct.evol_instruct import (
    EQUALITY,
    answer_problem,
    compared,
    instruction_problem,
    instruction_text,
)
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, Verdict, decide
from tilth.verify.code import check_code

ROUNDS = 3
"""Rounds of evolution (released code: the score usually stops improving after three)."""
SAMPLING: dict[str, Any] = {"temperature": 1.0, "top_p": 0.9, "max_tokens": 2048}
"""Sampling of rewrites and answers (released code)."""
COMPLEXITY_WEIGHT = 0.1
"""How often a bound on time or space is drawn, against 1 for every other operator (the paper: rarely; the number is ours)."""

_FORM = """Stay with a task that can be solved by one program. Keep all code, names and examples of the task. Do not \
mention the rewriting and do not solve the task. Write the new task and nothing else.

#Instruction#
{instruction}

#Rewritten#
"""
REQUIREMENT = Prompt(
    "requirement", "Make this programming task a bit harder: add one requirement, in about 10 words. " + _FORM
)
RARER = Prompt(
    "rarer",
    "Make this programming task a bit harder: put a more specific and less usual requirement in the place of a common one. "
    + _FORM,
)
REASONING = Prompt(
    "reasoning",
    "This programming task can be solved in a few steps. Make it a bit harder: let it need more steps of thought. "
    + _FORM,
)
MISDIRECT = Prompt(
    "misdirect",
    "Make this programming task a bit harder: add a code block with a plausible attempt at it that is wrong, to mislead "
    "whoever solves it. The code must define the same function. Do not say that it is wrong. " + _FORM,
)
COMPLEXITY = Prompt(
    "complexity",
    "Make this programming task a bit harder: ask for a better bound on its running time or on its memory. " + _FORM,
)
OPERATORS = {p.name: p for p in (REQUIREMENT, RARER, REASONING, MISDIRECT, COMPLEXITY)}


@recipe(
    "wizardcoder",
    family="code",
    cites=("Luo et al. 2023, WizardCoder: Empowering Code LLMs with Evol-Instruct, arXiv:2306.08568",),
    takes=("instruction|prompt",),
    makes=("prompt", "completion", "operator", "round", "parent"),
    optional_roles=("judge",),
    prompts=(*OPERATORS.values(), EQUALITY),
)
async def wizardcoder(
    row: Row,
    ctx: Context,
    *,
    rounds: int = ROUNDS,
    seeds: bool = True,
    execute: bool = True,
    complexity_weight: float = COMPLEXITY_WEIGHT,
    temperature: float = SAMPLING["temperature"],
    top_p: float = SAMPLING["top_p"],
    max_tokens: int = SAMPLING["max_tokens"],
) -> AsyncIterator[Candidate]:
    """Evolve one programming task for some rounds and keep every survivor whose answer runs.

    Args:
        row: a task with `instruction` (and `input`) or `prompt`; `tests` and `entry_point` make misleading code possible.
        ctx: the run.
        rounds: rounds of evolution.
        seeds: keep the seed too when it has an answer (`completion` or `output`).
        execute: run answers and misleading code.
        complexity_weight: weight of the operator that bounds time or space.
        temperature, top_p, max_tokens: sampling of rewrites and answers.
    """
    sampling: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    parent, text = row, instruction_text(row)
    if not text:
        ctx.skip("seed:empty")
    tests_hold = bool(row.get("tests")) and execute
    if seeds and (known := row.get("completion") or row.get("output")):
        yield ctx.make({**row, "prompt": text, "completion": known, "operator": None, "round": 0, "parent": None})
    for turn in range(1, rounds + 1):
        weights = {name: 1.0 for name in OPERATORS} | {"complexity": complexity_weight, "misdirect": float(tests_hold)}
        name = ctx.rng("operator", turn).choices(list(weights), list(weights.values()))[0]
        rewrite = await ctx.ask("generator", ctx.fill(OPERATORS[name], instruction=text), **sampling)
        new, by, verdicts = rewrite.text.strip(), [rewrite], list[Verdict]()
        reason = fault(rewrite) or instruction_problem(new, text, rewrite.usage.output)
        if reason is None and name == "misdirect":
            reason = await _misleading(ctx, row, new)
        if reason is None and "judge" in ctx.roles:
            judged: list[Reply] = []
            verdicts.append(await compared(ctx, text, new, judged))
            by, reason = [*judged, *by], decide(verdicts)
        held, completion = tests_hold and name == "misdirect", ""
        if reason is None:
            answer = await ctx.ask("generator", new, **sampling)
            by, completion = [*by, answer], answer.text.strip()
            reason = fault(answer) or answer_problem(answer.text, answer.usage.input + answer.usage.output)
            program = program_in(completion, row.get("entry_point") if held else None)
            if reason is None and execute and program is None:
                reason = "code:unknown:no-program"
            elif reason is None and execute and program is not None:
                verdicts.append(await _runs(ctx, program, row if held else None))
                reason = decide(verdicts)
        columns = {**row, "prompt": new, "completion": completion, "operator": name, "round": turn, "parent": text}
        columns["tests"] = row.get("tests") if held else None
        made = ctx.make(columns, of=parent, by=by, verdicts=verdicts, round=turn)
        if reason is None:
            yield made
            parent, text, tests_hold = made, new, held
        else:
            ctx.drop(made, reason)


async def _misleading(ctx: Context, row: Row, text: str) -> str | None:
    """Why the code in a rewrite does not mislead: there is none, or it does not fail the task's tests."""
    program = program_in(text, row.get("entry_point")) if "```" in text else None
    if program is None:
        return "distractor:no-program"
    verdict = await _runs(ctx, program, row)
    return None if verdict.outcome == FAIL else f"distractor:{verdict.outcome}"


async def _runs(ctx: Context, program: str, tested: Row | None) -> Verdict:
    if tested is None:
        return await ctx.run(check_examples, program)
    told = {name: tested[name] for name in ("tests", "entry_point", "setup", "test_setup_code") if name in tested}
    return await ctx.run(check_code, {"completion": program, **told})
