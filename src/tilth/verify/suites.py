"""How good the tests are, and what programs and tests say of each other: stability, mutation score, agreement.

Tests that faulty programs pass prove nothing: a passing verdict becomes unknown (``weak-tests``) when an empty stub or too
many mutants pass too. Generated tests may be wrong, so many programs and many tests vote: CodeT (Chen et al. 2022,
arXiv:2207.10397) keeps the largest block of programs that pass the same tests. Programs run in the sandbox only.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tilth.rows.verdict import UNKNOWN, Verdict
from tilth.verify.assemble import Program, UnreadyError, assemble
from tilth.verify.mutate import mutants, stub
from tilth.verify.sandbox.host import Isolation, Limits, Result
from tilth.verify.sandbox.host import run as run_once

LEAST_KILLED = 0.5
"""A suite that lets more than half of the mutants pass is weak."""


@dataclass(frozen=True, slots=True)
class Suite:
    """What faulty programs make of a test suite.

    Args:
        stub_passes: whether a function without a body passes; None when there is no function to empty.
        killed: mutants that do not pass.
        mutants: mutants that were run.
    """

    stub_passes: bool | None
    killed: int
    mutants: int

    @property
    def score(self) -> float | None:
        """Share of mutants killed (DeMillo et al. 1978); None without mutants. Some mutants may be no faults at all."""
        return self.killed / self.mutants if self.mutants else None

    @property
    def weak(self) -> bool:
        """Whether passing these tests says little."""
        return bool(self.stub_passes) or (self.score is not None and self.score < LEAST_KILLED)


def judge_suite(program: Program, limits: Limits, isolation: Isolation, count: int) -> Suite:
    """Run a stub and `count` mutants of a passing program against its tests."""
    entry = program.tests.get("check") or program.tests.get("entry_point") or _only(program.tests.get("names"))

    def passes(source: str) -> bool:
        quick = replace(limits, cpu=min(limits.cpu, 2), wall=min(limits.wall, 10.0))
        return run_once(source, program.tests, quick, isolation, script=program.script).outcome == "pass"

    emptied = stub(program.source, entry) if entry else None
    faulty = mutants(program.source, limit=count)
    return Suite(None if emptied is None else passes(emptied), sum(not passes(m.source) for m in faulty), len(faulty))


def _only(names: Any) -> str | None:
    return names[0] if isinstance(names, list) and len(names) == 1 else None


def examined(
    verdict: Verdict, row: Mapping[str, Any], limits: Limits, isolation: Isolation, *, twice: bool, count: int
) -> Verdict:
    """A verdict on code, looked at again.

    Args:
        verdict: of the first run.
        row: the row.
        limits: of each run.
        isolation: of each run.
        twice: run again with other string hashes; a different outcome is unknown, ``flaky``.
        count: mutants to try when it passed; weak tests make it unknown, ``weak-tests``.
    """
    try:
        program = assemble(row)
    except UnreadyError:
        return verdict
    evidence = dict(verdict.evidence)
    if twice:
        again: Result = run_once(
            program.source, program.tests, limits, isolation, script=program.script, command=program.command, seed=1
        )
        evidence["second"] = again.outcome
        if again.outcome != verdict.outcome and "timeout" not in (verdict.detail, again.detail):
            return replace(verdict, outcome=UNKNOWN, score=None, evidence=evidence, detail="flaky")
    if count and verdict.passed and program.command is None:
        suite = judge_suite(program, limits, isolation, count)
        evidence |= {"stub_passes": suite.stub_passes, "mutants": suite.mutants, "killed": suite.killed}
        if suite.weak:
            return replace(verdict, outcome=UNKNOWN, score=None, evidence=evidence, detail="weak-tests")
    return replace(verdict, evidence=evidence)


def single_tests(tests: str) -> list[str]:
    """A test suite as its single asserts, each with the lines it needs; a suite that is not flat stays whole."""
    try:
        body = ast.parse(tests).body
    except SyntaxError:
        return [tests]
    asserts = [n for n in body if isinstance(n, ast.Assert)]
    if not asserts or any(isinstance(n, ast.FunctionDef | ast.ClassDef) for n in body):
        return [tests]
    setup = [n for n in body if not isinstance(n, ast.Assert)]
    return ["\n".join(ast.unparse(n) for n in [*setup, one]) for one in asserts]


@dataclass(frozen=True, slots=True)
class Block:
    """Programs that pass exactly the same tests.

    Args:
        programs: their indices.
        tests: indices of the tests that they pass.
    """

    programs: tuple[int, ...]
    tests: tuple[int, ...]

    @property
    def score(self) -> int:
        """Programs times tests (CodeT, section 3.2)."""
        return len(self.programs) * len(self.tests)


def consensus(passed: Sequence[Sequence[bool]]) -> list[Block]:
    """The blocks of a table of programs (rows) and tests (columns), the best first, the earliest among equals."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, row in enumerate(passed):
        groups.setdefault(tuple(i for i, ok in enumerate(row) if ok), []).append(index)
    return sorted((Block(tuple(p), t) for t, p in groups.items()), key=lambda b: (-b.score, b.programs))


def cross(
    programs: Sequence[str], tests: Sequence[str], check: Callable[[Mapping[str, Any]], Verdict], **columns: Any
) -> list[list[bool]]:
    """Run every program against every test.

    Args:
        programs: completions.
        tests: test sources.
        check: such as `code.check_code`.
        columns: further columns of the row, such as ``prompt`` and ``entry_point``.
    """
    return [[check({**columns, "completion": p, "tests": t}).passed for t in tests] for p in programs]
