"""tests-for-code: tests for programming tasks, written by a model and kept by how many faults they notice.

1. The generator writes `count` asserts for the task; those that parse and call the entry point are kept.
2. With a known program (`completion`) the asserts that it fails are wrong and left out. Without one, `programs` candidates
   are sampled, and each runs on each assert: of the groups of candidates that pass the same asserts the one with the most
   (candidates times asserts) wins; its first program and its asserts go on.
3. The tests run twice on the program: both times they must pass.
4. They must fail on an empty stub, and they run on up to `mutants` mutants of the program. The share that they notice is
   the mutation score; a row below `least` is put aside. A mutant that does not end in time is not counted either way.

Source: Chen et al. 2022, "CodeT: Code Generation with Generated Tests", section 2.2, for step 2 (dual agreement); DeMillo,
Lipton and Sayward 1978, "Hints on Test Data Selection", for step 4. Putting them together is ours. Equivalent mutants cannot
be told from missed ones, so the score is a lower bound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.asked import fault
from tilth.recipes.code.programs import asserts_in, program_in
from tilth.recipes.code.reflexion import ATTEMPT, TESTS
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.assemble import UnreadyError, code_prefix, source_of
from tilth.verify.code import check_code
from tilth.verify.mutate import Mutant, mutants, stub
from tilth.verify.sandbox.host import Limits

TEMPERATURE = 0.8
"""Of candidate programs (Chen et al. 2022, section 3)."""
LEAST = 0.5
"""Ours: tests that miss more than half of the faults say too little."""
MUTANT_LIMITS = Limits(cpu=1, wall=10.0)
"""Ours: mutants often run for ever; these say so sooner."""


def largest_block(passes: Sequence[Sequence[bool]]) -> tuple[list[int], list[int]]:
    """The winning group of dual agreement.

    Args:
        passes: for each candidate program, for each test, whether it passes.

    Returns:
        Indices of the programs and of the tests of the group with the largest product of their numbers, the first among
        equals; empty when no program passes any test.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(passes):
        groups.setdefault(tuple(t for t, passed in enumerate(row) if passed), []).append(i)
    best = max(groups.items(), key=lambda g: len(g[0]) * len(g[1]), default=((), []))
    return (best[1], list(best[0])) if best[0] else ([], [])


def mutation_verdict(stubbed: Verdict, told: Sequence[tuple[Mutant, Verdict]], least: float) -> Verdict:
    """What the faults that were noticed and missed say of the tests.

    Args:
        stubbed: the tests on the empty stub.
        told: the tests on each mutant.
        least: the smallest mutation score that passes.
    """
    noticed = sum(v.outcome == FAIL for _, v in told)
    missed = [f"{m.operator}:{m.line}" for m, v in told if v.outcome == PASS]
    evidence: dict[str, Any] = {"noticed": noticed, "missed": missed, "undecided": len(told) - noticed - len(missed)}
    if stubbed.outcome != FAIL:
        return Verdict("mutation", FAIL if stubbed.passed else UNKNOWN, None, evidence, "stub")
    if not noticed and not missed:
        return Verdict("mutation", UNKNOWN, None, evidence, "no-mutants")
    score = noticed / (noticed + len(missed))
    return Verdict(
        "mutation", PASS if noticed and score >= least else FAIL, score, evidence, "" if score >= least else "score"
    )


@recipe(
    "tests-for-code",
    family="code",
    cites=(
        "Chen et al. 2022, CodeT: Code Generation with Generated Tests, arXiv:2207.10397",
        "DeMillo, Lipton and Sayward 1978, Hints on Test Data Selection",
    ),
    takes=("prompt",),
    makes=("prompt", "completion", "tests", "entry_point", "mutation_score", "mutants_noticed", "mutants_missed"),
    prompts=(TESTS, ATTEMPT),
)
async def tests_for_code(
    row: Row,
    ctx: Context,
    *,
    count: int = 10,
    programs: int = 5,
    mutants_at_most: int = 20,
    least: float = LEAST,
    temperature: float = TEMPERATURE,
    max_tokens: int = 2048,
) -> AsyncIterator[Candidate]:
    """Write tests for a programming task and keep them when they notice faults in a program that passes them."""
    task, entry = str(row["prompt"]), row.get("entry_point")
    known = str(row.get("completion") or "")
    entry = entry or _last_function(known) or _last_function(code_prefix(task))
    written = await ctx.ask(
        "generator", ctx.fill(TESTS, task=task, count=count), temperature=0.2, max_tokens=max_tokens
    )
    tests = [] if written.cut else asserts_in(written.text, entry)
    answers: list[Reply] = []
    if not known and tests:
        asked = ctx.fill(ATTEMPT, task=task)
        answers = await ctx.sample("generator", asked, programs, temperature=temperature, max_tokens=max_tokens)
    candidates = [known] if known else ["" if fault(a) else a.text.strip() for a in answers]

    async def passes(program: str, branch: Context) -> list[bool]:
        told = [await _run(branch, row, program, [test], entry) for test in tests] if program else []
        return [v.passed for v in told] or [False] * len(tests)

    matrix = await ctx.each(candidates, passes, name="matrix")
    group, held = largest_block(matrix)
    program = candidates[group[0]] if group else (candidates[0] if candidates else "")
    columns: dict[str, Any] = {
        **row, "completion": program, "tests": [tests[i] for i in held], "entry_point": entry, "tests_written": len(tests),
        "programs_agreeing": len(group), "mutation_score": None, "mutants_noticed": None, "mutants_missed": None,
    }  # fmt: skip
    verdicts: list[Verdict] = []
    reason = fault(written) or (None if tests else "tests:none") or (None if held else "tests:no-program-passes")
    if reason is None:
        twice = [await _run(ctx, row, program, columns["tests"], entry) for _ in range(2)]
        verdicts.append(twice[0])
        if not all(v.passed for v in twice):
            reason = "tests:unstable" if twice[0].passed or twice[1].passed else twice[0].reason
    if reason is None:
        verdict = await _mutation(ctx, row, program, columns["tests"], entry, mutants_at_most, least)
        verdicts.append(verdict)
        missed = verdict.evidence["missed"]
        columns |= {
            "mutation_score": verdict.score,
            "mutants_noticed": verdict.evidence["noticed"],
            "mutants_missed": missed,
        }
        reason = None if verdict.passed else verdict.reason
    made = ctx.make(columns, by=[*answers, written], verdicts=verdicts)
    if reason is None:
        yield made
    else:
        ctx.drop(made, reason)


async def _run(
    ctx: Context, row: Row, program: str, tests: list[str], entry: str | None, limits: Limits | None = None
) -> Verdict:
    told = {name: row[name] for name in ("prompt", "setup", "test_setup_code") if name in row}
    return await ctx.run(check_code, {**told, "completion": program, "tests": tests, "entry_point": entry}, limits)


async def _mutation(
    ctx: Context, row: Row, program: str, tests: list[str], entry: str | None, at_most: int, least: float
) -> Verdict:
    """The tests on the stub and on the mutants of the whole program, the prompt's code included."""
    try:
        source = source_of(program, code_prefix(str(row["prompt"])), entry)[0]
    except UnreadyError:
        source = ""
    empty = stub(source, entry or "")
    if empty is None:
        return Verdict("mutation", UNKNOWN, None, {"noticed": 0, "missed": [], "undecided": 0}, "no-entry-point")
    faulty = mutants(source, entry, at_most)
    bare = Row({k: v for k, v in row.items() if k != "prompt"}, row.id)

    async def check(text: str, branch: Context) -> Verdict:
        return await _run(branch, bare, text, tests, entry, MUTANT_LIMITS)

    stubbed, *told = await ctx.each([empty, *(m.source for m in faulty)], check, name="mutants")
    return mutation_verdict(stubbed, list(zip(faulty, told, strict=True)), least)


def _last_function(code: str) -> str | None:
    """The name of the last function that a program defines at its top level, or that a task's code begins."""
    program = (program_in(code) or program_in(f"{code}\n    pass") or "") if code.strip() else ""
    names = [line[4:].partition("(")[0].strip() for line in program.splitlines() if line.startswith("def ")]
    return names[-1] if names else None
