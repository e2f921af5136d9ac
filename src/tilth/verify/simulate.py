"""Tool calls carried out in a stub of the world: canned results, or Python functions that run in the sandbox.

Answers what schemas cannot: does a sequence of calls work, does it end where it should, and did the tool messages of a
transcript really come out of these calls. Nothing outside is called.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tilth.errors import InputError, UsageError
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Outcome, Verdict
from tilth.verify.tools import Call, check_call, observed_calls, schemas
from tilth.verify.verifier import RowVerifier

VERSION = "1"
_SAME = """\
import json
def _same(value, shown):
    try:
        return json.loads(shown) == value or str(value) == shown
    except ValueError:
        return str(value) == shown
"""


@dataclass(frozen=True, slots=True)
class Stub:
    """A stub of the world: canned results by function, or Python source that defines the functions."""

    canned: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    source: str = ""

    @property
    def functions(self) -> set[str]:
        """Names of the functions."""
        if not self.source:
            return set(self.canned)
        return {n.name for n in ast.parse(self.source).body if isinstance(n, ast.FunctionDef)}


def read_stub(given: Any, where: str) -> Stub:
    """A stub from a mapping, JSON text, or Python source.

    Args:
        given: function to a list of ``{"arguments": {...}, "result": ...}`` (or ``"error"`` in place of the result; without
            ``arguments`` it answers every call), or source that defines functions.
        where: for messages.

    Raises:
        InputError: it is none of these.
    """
    value = given
    if isinstance(given, str):
        try:
            value = json.loads(given)
        except ValueError:
            try:
                ast.parse(given)
            except (SyntaxError, ValueError) as error:
                raise InputError(
                    f"neither JSON nor Python ({error})", where=where, todo="give canned results or functions"
                ) from error
            return Stub(source=given)
    if not isinstance(value, Mapping):
        raise InputError(
            "a stub names functions", where=where, todo='write {"name": [{"arguments": {}, "result": ...}]}'
        )
    canned = {}
    for name, answers in value.items():
        listed = answers if isinstance(answers, list) else [answers]
        for answer in listed:
            if not isinstance(answer, Mapping) or not {"result", "error"} & set(answer):
                raise InputError(
                    f"'{name}' has an answer without a result",
                    where=where,
                    todo='write {"arguments": ..., "result": ...}',
                )
        canned[str(name)] = listed
    return Stub(canned)


def canned_result(stub: Stub, call: Call) -> tuple[str, Any]:
    """``result``, ``error`` or ``no-result``, and what came back."""
    for answer in stub.canned[call.name]:
        if "arguments" not in answer or answer["arguments"] == call.arguments:
            return ("error", answer["error"]) if "error" in answer else ("result", answer["result"])
    return "no-result", None


@dataclass(frozen=True, slots=True)
class SimulateVerifier(RowVerifier):
    """A row passes when its tool calls work in a stub of the world, give the results shown, and end as `expected`.

    Calls come from the completion, or from all assistant turns of `messages`; tool turns are compared with what the stub
    answers. A column `expected` is what the last call must give.

    Args:
        environment: JSON of canned results, or Python source; ``@file`` for a file's text. None takes each row's column
            `environment`.
        seconds: CPU time for Python functions, each row.
    """

    environment: Any = None
    seconds: int = 5
    stub: Stub | None = field(init=False, repr=False, compare=False, default=None)
    id: ClassVar[str] = "simulate"
    version: ClassVar[str] = VERSION

    def __post_init__(self) -> None:
        if type(self.seconds) is not int or not 0 < self.seconds <= 600:
            raise UsageError(f"simulate: seconds={self.seconds} is not possible", todo="give a whole number up to 600")
        if self.environment is not None:
            object.__setattr__(self, "stub", read_stub(self.environment, "--set environment"))

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if not {"completion", "messages", "tool_calls"} & set(row):
            return "completion"
        return None if self.environment is not None or "environment" in row else "environment"

    def verify(self, row: Row) -> Verdict:
        """pass; fail with ``unknown-function``, ``invalid-json``, ``arguments``, ``call-error``, ``observation`` or
        ``result``; unknown with ``no-call`` or ``no-result`` (the stub has nothing for these arguments), or what the sandbox
        could not decide. The tier names the sandbox, or ``canned``."""
        found = observed_calls(row)
        if not found:
            return self._verdict(UNKNOWN, {}, "no-call")
        stub = self.stub or read_stub(row["environment"], f"row {row.id}, column 'environment'")
        known = schemas(row["tools"]) if row.get("tools") else {name: {"type": "object"} for name in stub.functions}
        calls: list[tuple[Call, str | None]] = []
        for index, (call, shown) in enumerate(found):
            wrong, why = check_call(call, known)
            if not wrong and call.name not in stub.functions:
                wrong, why = "unknown-function", [call.name[:100]]
            if wrong:
                return self._verdict(FAIL, {"call": index, "name": call.name, "why": why}, wrong)
            arguments = json.loads(call.arguments or "{}") if isinstance(call.arguments, str) else call.arguments
            calls.append((Call(call.name, arguments), shown))
        expected = row.get("expected")
        return self._in_sandbox(stub, calls, expected) if stub.source else self._canned(stub, calls, expected)

    def _canned(self, stub: Stub, calls: Sequence[tuple[Call, str | None]], expected: Any) -> Verdict:
        result: Any = None
        for index, (call, shown) in enumerate(calls):
            kind, result = canned_result(stub, call)
            evidence = {"call": index, "name": call.name, "result": result}
            if kind == "no-result":
                return self._verdict(UNKNOWN, evidence, "no-result", "canned")
            if shown is not None and not same(result, shown):
                return self._verdict(FAIL, {**evidence, "shown": shown[:300]}, "observation", "canned")
            # A transcript may show an error and go on; a call that nobody looked at must work.
            if kind == "error" and (shown is None or index == len(calls) - 1):
                return self._verdict(FAIL, evidence, "call-error", "canned")
        if expected is not None and result != expected:
            return self._verdict(FAIL, {"result": result, "expected": expected}, "result", "canned")
        return self._verdict(PASS, {"calls": len(calls), "result": result}, "", "canned")

    def _in_sandbox(self, stub: Stub, calls: Sequence[tuple[Call, str | None]], expected: Any) -> Verdict:
        from tilth.verify.code import check_code
        from tilth.verify.sandbox.host import Limits

        lines = [_SAME]
        for index, (call, shown) in enumerate(calls):
            lines.append(f"r{index} = {call.name}(**json.loads({json.dumps(json.dumps(call.arguments))}))")
            if shown is not None:
                lines.append(f"assert _same(r{index}, {json.dumps(shown)}), 'observation {index}'")
        end = f"r{len(calls) - 1} == json.loads({json.dumps(json.dumps(expected))}), 'result'"
        lines.append(f"assert {end}" if expected is not None else "assert True")
        verdict = check_code({"completion": stub.source, "tests": "\n".join(lines)}, Limits(cpu=self.seconds))
        evidence: dict[str, Any] = {"calls": len(calls), **verdict.evidence}
        if verdict.outcome != FAIL:
            return self._verdict(verdict.outcome, evidence, verdict.detail, verdict.tier)
        message = str(verdict.evidence.get("message", ""))
        kind = next(
            (k for k in ("observation", "result") if verdict.detail == "assertion" and k in message), "call-error"
        )
        return self._verdict(FAIL, evidence, kind, verdict.tier)

    def _verdict(self, outcome: Outcome, evidence: Mapping[str, Any], detail: str = "", tier: str = "") -> Verdict:
        score = {PASS: 1.0, FAIL: 0.0}.get(outcome)
        return Verdict(self.id, outcome, score, evidence, detail, tier, VERSION)


def same(result: Any, shown: str) -> bool:
    """Whether a tool message shows a result: as JSON, or as text."""
    try:
        return bool(json.loads(shown) == result) or str(result) == shown
    except ValueError:
        return str(result) == shown
