"""Programs and tests vote on each other: CodeT (Chen et al. 2022, arXiv:2207.10397, section 3).

For tests that a model wrote, which may be wrong: the completions of one prompt run against the tests of all its rows, and
a row passes when its program is in the block of programs and tests that agree on most. Says nothing of truth: a common
mistake agrees with itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.rows.text import prompt_text
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.code import CodeVerifier, check_code, settled
from tilth.verify.sandbox.host import TIERS, Isolation, Limits
from tilth.verify.suites import Block, consensus, single_tests
from tilth.verify.verifier import Ask


@dataclass(frozen=True, slots=True)
class CodetVerifier:
    """A row passes when its program is in the largest block of programs and tests of its prompt that agree.

    Args:
        tests: most tests of a prompt that are tried, the first ones.
        voters: the fewest programs of a prompt that make a vote.
        cpu: CPU seconds for a program.
        wall: seconds on the clock for a program.
        memory: MiB for a process.
        parallel: programs at a time.
        isolation: see `CodeVerifier`.
    """

    tests: int = 40
    voters: int = 2
    cpu: int = 3
    wall: float = 15.0
    memory: int = 1024
    parallel: int = 2
    isolation: Isolation = "auto"
    id: ClassVar[str] = "codet"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        CodeVerifier(self.cpu, self.wall, self.memory, self.parallel, self.isolation)
        for name in ("tests", "voters"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise UsageError(f"codet: {name}={getattr(self, name)} is not a count", todo="give 1 or more")

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if "messages" in row:
            return None if "tests" in row else "tests"
        return next((c for c in ("prompt", "completion", "tests") if c not in row), None)

    async def verify_rows(self, rows: Sequence[Row], ask: Ask | None = None) -> list[Verdict]:
        """Vote within each prompt.

        Returns:
            pass, fail, or unknown with ``few-voters``, ``no-tests`` (no test is passed by any program) or ``tie``. The score
            is programs times tests of the row's own block over those of the best one.

        Raises:
            SandboxError: there is no sandbox; nothing was run.
        """
        isolation = settled(self.isolation)
        groups: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(prompt_text(row) or "", []).append(index)
        found: dict[int, Verdict] = {}
        for members in groups.values():
            group = [rows[i] for i in members]
            found |= dict(zip(members, await self._vote(group, isolation), strict=True))
        return [found[index] for index in range(len(rows))]

    async def _vote(self, rows: list[Row], isolation: Isolation) -> list[Verdict]:
        tier = TIERS[isolation]
        if len(rows) < self.voters:
            return [self._verdict("few-voters", {"programs": len(rows)}, tier) for _ in rows]
        tests = list(dict.fromkeys(test for row in rows for test in _single(row)))[: self.tests]
        limits = Limits(cpu=self.cpu, wall=float(self.wall), memory=self.memory)

        def passes(row: Row, test: str) -> bool:
            return check_code({**row, "tests": test}, limits, isolation).passed

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(self.parallel) as pool:
            jobs = [loop.run_in_executor(pool, passes, row, test) for row in rows for test in tests]
            flat = list(await asyncio.gather(*jobs))
        table = [flat[i : i + len(tests)] for i in range(0, len(flat), len(tests))] if tests else [[] for _ in rows]
        blocks = consensus(table)
        own = {index: block for block in blocks for index in block.programs}
        return [self._of(own[index], blocks, len(rows), len(tests), tier) for index in range(len(rows))]

    def _of(self, own: Block, blocks: list[Block], programs: int, tests: int, tier: str) -> Verdict:
        best = blocks[0]
        evidence = {
            "programs": programs, "tests": tests, "agree": len(own.programs), "passed": len(own.tests),
            "best_agree": len(best.programs), "best_passed": len(best.tests),
        }  # fmt: skip
        if not best.score:
            return self._verdict("no-tests", evidence, tier)
        score = own.score / best.score
        if len(blocks) > 1 and blocks[1].score == best.score:
            return Verdict(self.id, UNKNOWN, score, evidence, "tie", tier, self.version)
        return Verdict(self.id, PASS if own is best else FAIL, score, evidence, "", tier, self.version)

    def _verdict(self, doubt: str, evidence: dict[str, Any], tier: str) -> Verdict:
        return Verdict(self.id, UNKNOWN, None, evidence, doubt, tier, self.version)


def _single(row: Row) -> list[str]:
    tests = row.get("tests")
    parts = [str(t) for t in tests] if isinstance(tests, list) else [str(tests or "")]
    return [single for part in parts for single in single_tests(part) if single.strip()]
