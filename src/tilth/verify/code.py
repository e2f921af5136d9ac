"""Executable verification: run a completion against its tests in a sandbox, with a verdict that the program
cannot forge.

The tests run in a process that the program cannot reach; only plain data crosses between the two. Outcomes:
pass; fail with ``assertion`` or an exception's class; unknown with ``timeout`` (after one retry),
``resource`` or ``unsupported``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from tilth.errors import UsageError, did_you_mean
from tilth.rows.row import Row
from tilth.rows.verdict import Outcome, Verdict
from tilth.verify.assemble import Program, UnreadyError, assemble
from tilth.verify.sandbox.host import TIERS, Isolation, Limits, Result, best_isolation, require, run
from tilth.verify.suites import examined
from tilth.verify.verifier import Ask

VERSION = "1"
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}\b")


def run_program(program: Program, limits: Limits | None = None, isolation: Isolation = "auto", seed: int = 0) -> Result:
    """Run a program against its tests; a time-out is tried once more.

    Args:
        program: see `assemble`.
        limits: what it may use.
        isolation: ``auto``, the best of ``bubblewrap``, ``landlock`` and ``docker`` that works here; or ``none``: no
            isolation at all, at the caller's own risk.
        seed: of string hashes, which decide the order of sets.

    Raises:
        SandboxError: there is no sandbox.
    """
    isolation = settled(isolation)
    for attempt in (1, 2):
        result = run(
            program.source, program.tests, limits or Limits(), isolation, script=program.script,
            command=program.command, seed=seed,
        )  # fmt: skip
        if result.detail != "timeout" or attempt == 2:
            break
    return result


def settled(isolation: Isolation) -> Isolation:
    """The isolation that ``auto`` stands for here; any other one after it has been tried.

    Raises:
        SandboxError: there is no sandbox.
    """
    if isolation == "auto":
        return best_isolation()
    if isolation != "none":
        require(isolation)
    return isolation


def check_code(row: Mapping[str, Any], limits: Limits | None = None, isolation: Isolation = "auto") -> Verdict:
    """Assemble and run one row; see `assemble` for its columns.

    Raises:
        SandboxError: there is no sandbox.
    """
    try:
        program = assemble(row)
    except UnreadyError as unready:
        outcome, detail, message = unready.args
        return _verdict(outcome, detail, {"message": message}, TIERS[settled(isolation)])
    result = run_program(program, limits, isolation)
    evidence = {
        "form": program.form, "calls": result.calls, "message": _steady(result.message)[:500],
        "output": _steady(result.output)[-500:],
    }  # fmt: skip
    return _verdict(
        result.outcome, re.sub(r"\W", "", result.detail), {k: v for k, v in evidence.items() if v}, result.tier
    )


def check_runs(answer: str, limits: Limits | None = None, isolation: Isolation = "auto") -> Verdict:
    """Run a program that has no tests: pass when it loads without an exception, which says nothing of its being right.

    Args:
        answer: a completion with the program in a code block, or the program itself.
        limits: what it may use.
        isolation: see `run_program`.

    Raises:
        SandboxError: there is no sandbox.
    """
    try:
        program = assemble({"completion": answer, "tests": "assert True"})
    except UnreadyError as unready:
        outcome, detail, message = unready.args
        return _verdict(outcome, detail, {"message": message}, TIERS[settled(isolation)])
    result = run_program(program, limits, isolation)
    evidence = {"form": "runs", "message": _steady(result.message)[:500], "output": _steady(result.output)[-500:]}
    if (result.outcome, result.detail, result.calls) == ("unknown", "unsupported", 0):
        return _verdict("pass", "", {"form": "runs"}, result.tier)
    return _verdict(
        result.outcome, re.sub(r"\W", "", result.detail), {k: v for k, v in evidence.items() if v}, result.tier
    )


def _verdict(outcome: Outcome, detail: str, evidence: dict[str, Any], tier: str) -> Verdict:
    score = {"pass": 1.0, "fail": 0.0}.get(outcome)
    return Verdict("code", outcome, score, evidence, detail, tier, VERSION)


def _steady(text: str) -> str:
    """Without memory addresses and control characters, so that equal runs leave equal evidence."""
    return "".join(c for c in _ADDRESS.sub("0x", text) if c.isprintable() or c in "\n\t")


@dataclass(frozen=True, slots=True)
class CodeVerifier:
    """`check_code` on rows, a few at a time.

    Args:
        cpu: CPU seconds for a program.
        wall: seconds on the clock for a program.
        memory: MiB for a process.
        parallel: programs at a time.
        isolation: ``auto``, ``bubblewrap``, ``landlock`` or ``docker``; or ``none``: no isolation at all, at the
            caller's own risk.
        twice: run everything twice, the second time with other string hashes; what differs is unknown, ``flaky``.
        mutants: faulty versions of a passing program to try; tests that an empty function or most of them pass make
            the verdict unknown, ``weak-tests``.
    """

    cpu: int = 5
    wall: float = 30.0
    memory: int = 1024
    parallel: int = 2
    isolation: Isolation = "auto"
    twice: bool = False
    mutants: int = 0
    id: ClassVar[str] = "code"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        if self.isolation not in get_args(Isolation):
            raise UsageError(
                f"code: isolation={self.isolation} is not known",
                todo=did_you_mean(str(self.isolation), get_args(Isolation)),
            )
        for name in ("cpu", "wall", "memory", "parallel"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise UsageError(f"code: {name}={value} is not a positive number", todo=f"for example {name}=10")

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if "completion" not in row and "messages" not in row:
            return "completion"
        return None if "tests" in row or ("inputs" in row and "outputs" in row) else "tests"

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """One verdict a row.

        Raises:
            SandboxError: there is no sandbox; nothing was run.
        """
        isolation = settled(self.isolation)
        limits = Limits(cpu=int(self.cpu), wall=float(self.wall), memory=int(self.memory))
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(int(self.parallel)) as pool:
            jobs = [loop.run_in_executor(pool, self._check, row, limits, isolation) for row in rows]
            return list(await asyncio.gather(*jobs))

    def _check(self, row: Row, limits: Limits, isolation: Isolation) -> Verdict:
        verdict = check_code(row, limits, isolation)
        if verdict.detail in ("no-answer", "no-tests") or not (self.twice or self.mutants):
            return verdict
        return examined(verdict, row, limits, isolation, twice=self.twice, count=int(self.mutants))
