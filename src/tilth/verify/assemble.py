"""From a row to a program and its tests: which text is code, what the prompt adds to it, what the tests call.

A completion is either the rest of the prompt's code or stands by itself, and even one with its own ``def``
needs the imports above it (running such completions alone lost 12 of 164 HumanEval tasks of one published
model to missing imports). Nothing is executed here. This module does not know how programs are run.
"""

from __future__ import annotations

import builtins
import json
import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tilth.rows.text import last_assistant, prompt_text
from tilth.verify.languages import Language, language_of
from tilth.verify.parse import fenced_blocks
from tilth.verify.sandbox.plain import is_plain
from tilth.verify.source import Facts, compiled, facts

MAX_SOURCE = 200_000
"""Characters; a longer program is not run."""
_BUILTINS = frozenset(dir(builtins))
_CHECK = re.compile(r"^def check\(", re.M)
_IMPORT = re.compile(r"^(?:import|from)\s", re.M)
_CHECK_CALL = re.compile(r"^check\(", re.M)


@dataclass(frozen=True, slots=True)
class Program:
    """A program and its tests, ready for the sandbox.

    Args:
        source: Python source.
        tests: what the tester reads.
        form: how the source was put together: ``prompt+completion``, ``prompt+indented``, ``completion``, ...
        script: whether the cases are runs of the program with standard input.
        command: how a program of another language than Python is run.
    """

    source: str
    tests: Mapping[str, Any] = field(default_factory=dict)
    form: str = "completion"
    script: bool = False
    command: Mapping[str, Any] | None = None


class UnreadyError(Exception):
    """The row cannot be run: (outcome, detail, message)."""


def assemble(row: Mapping[str, Any]) -> Program:
    """Put a row's program and tests together.

    Args:
        row: ``completion``, and ``tests`` (a string or a list; asserts, ``check(candidate)``, ``test_*``
            functions or unittest classes) with an optional ``entry_point``, or ``inputs`` and ``outputs``
            (arguments and results of ``entry_point``, or standard input and output); an optional ``prompt``
            (used when it is code) and ``setup`` or ``test_setup_code`` (run before the tests, beside them).

    Raises:
        UnreadyError: there is no code, there are no tests, or the code does not parse.
    """
    answer = last_assistant(row) or ""
    if not answer.strip():
        raise UnreadyError("unknown", "no-answer", "the completion is empty")
    language = language_of(row)
    if language is not None:
        return _other(row, answer, language)
    prefix = code_prefix(prompt_text(row) or "")
    entry = row.get("entry_point") or None
    if "tests" not in row or row["tests"] is None:
        return _with_cases(row, answer, prefix, entry)
    tests = _test_source(row)
    read = facts(tests)
    if read is None:
        raise UnreadyError("unknown", "unsupported", "the tests do not parse")
    if not read.asserts:
        raise UnreadyError("unknown", "no-tests", "the tests assert nothing")
    check = None
    if _CHECK.search(tests) and not _CHECK_CALL.search(tests):
        entry = entry or _last_function(prefix)
        check = entry
    source, form = source_of(answer, prefix, entry)
    if check is None and _CHECK.search(tests) and not _CHECK_CALL.search(tests):
        check = entry = _last_function(source)
    wanted = read.loaded - read.bound - _BUILTINS
    context = facts(prefix) if prefix and wanted else None
    given = wanted & context.bound - {entry} if context else frozenset[str]()
    names, imports = _needed(read, wanted - given, source, entry)
    before = [prefix] if context and (given or "import *" in prefix) else []
    job = {"tests": tests, "names": names, "check": check, "context": "\n".join([*before, *imports]).strip()}
    job["plain"] = not before and set(imports) <= {"import math"} and is_plain(read.wants, [*names, "math"])
    return Program(source, job, form)


def code_prefix(prompt: str) -> str:
    """`prompt` when it is Python code that a completion continues or builds on, else nothing."""
    if not re.search(r"^\s*(?:def|class|import|from|async def|@)\b", prompt, re.M) and "def " not in prompt:
        return ""
    for tail in ("", "\n    pass", "\n        pass"):
        found = facts(prompt + tail)
        if found is not None:
            return prompt if found.defined or found.imports or _IMPORT.search(prompt) else ""
    return ""


def source_of(answer: str, prefix: str, entry: str | None) -> tuple[str, str]:
    """The program's source and how it was put together; the first way that parses wins.

    Raises:
        UnreadyError: no way parses.
    """
    code = _code(answer, entry)
    if not prefix:
        forms = [("completion", code)]
    else:
        head = prefix if prefix.endswith("\n") else prefix + "\n"
        first_lost = code if code[:1].isspace() else "    " + code
        indented = textwrap.indent(textwrap.dedent(code), "    ")
        forms = [
            ("prompt+completion", prefix + code if code is answer and not prefix.endswith("\n") else head + code),
            ("prompt+indented", head + first_lost), ("prompt+indented", head + indented), ("completion", code),
        ]  # fmt: skip
    for form, source in forms:
        if compiled(source) is None:
            continue
        if entry is None or form != "completion" or not prefix or entry in _bound(source):
            if len(source) > MAX_SOURCE:
                raise UnreadyError("unknown", "unsupported", "the program is too long")
            return source, form
    raise UnreadyError("fail", "SyntaxError", _syntax_error(forms[0][1]))


def _code(answer: str, entry: str | None) -> str:
    """The code in a completion: the first fenced block that defines the entry point, else the first, else all
    of it."""
    blocks = [b for b in fenced_blocks(answer) if b.lang in ("", "python", "py", "python3") and b.text.strip()]
    if not blocks:
        return answer
    if entry:
        defining = [
            b for b in blocks if re.search(rf"^\s*(?:async\s+)?(?:def|class)\s+{re.escape(entry)}\b", b.text, re.M)
        ]
        blocks = defining or blocks
    return blocks[0].text


def _with_cases(row: Mapping[str, Any], answer: str, prefix: str, entry: str | None) -> Program:
    inputs, outputs = row.get("inputs"), row.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise UnreadyError("unknown", "no-tests", "inputs and outputs are not two lists of one length")
    if not inputs:
        raise UnreadyError("unknown", "no-tests", "there are no cases")
    source, form = source_of(answer, prefix, entry)
    return Program(source, {"inputs": inputs, "outputs": outputs, "entry_point": entry}, form, script=entry is None)


def _other(row: Mapping[str, Any], answer: str, language: Language) -> Program:
    """A program of another language: judged by cases only."""
    blocks = [b for b in fenced_blocks(answer) if b.lang in ("", *language.fences) and b.text.strip()]
    source, entry = (blocks[0].text if blocks else answer), row.get("entry_point") or None
    inputs, outputs = row.get("inputs"), row.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs) or not inputs:
        raise UnreadyError("unknown", "no-tests", f"{language.id} is judged by inputs and outputs")
    if entry:
        if not language.driver or not str(entry).isidentifier():
            raise UnreadyError("unknown", "unsupported", f"no calls of functions in {language.id}")
        source += language.driver.replace("{entry_point}", str(entry))
        inputs = [json.dumps(i if isinstance(i, list) else [i]) for i in inputs]
    tests = {"inputs": inputs, "outputs": outputs, "entry_point": None, "json": bool(entry)}
    return Program(source, tests, language.id, True, language.command)


def _test_source(row: Mapping[str, Any]) -> str:
    tests = row["tests"]
    setup = row.get("setup") or row.get("test_setup_code")
    parts = [str(setup)] if setup else []
    parts += [str(t) for t in tests] if isinstance(tests, list) else [str(tests)]
    return "\n".join(p.replace("\r\n", "\n") for p in parts)


def _syntax_error(source: str) -> str:
    try:
        compile(source, "<program>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{error.msg} (line {error.lineno})"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return type(error).__name__
    return "the entry point is not defined"


def _bound(source: str) -> frozenset[str]:
    found = facts(source)
    return found.bound if found else frozenset()


def _last_function(source: str) -> str | None:
    found = facts(source) or facts(source + "\n    pass")
    return found.functions[-1] if found and found.functions else None


def _needed(tests: Facts, wanted: frozenset[str], source: str, entry: str | None) -> tuple[list[str], list[str]]:
    """What the tests need from the program, and import lines for what they need from the standard library.

    A name is asked of the program only when the tests, the prompt, the builtins and the standard library lack
    it: a program that defines its own `abs` or `isclose` does not get to compare its own results.
    """
    program = facts(source) if wanted or not entry else None
    imports = program.imports if program else {}
    library = {name for name in wanted if name in imports or name in sys.stdlib_module_names}
    own = set(wanted - library) | ({entry} if entry else set())
    if not own and program is not None:
        called = tests.called & set(program.defined)
        own = set(called) if len(called) == 1 else set()
    return sorted(own), [imports.get(name, f"import {name}") for name in sorted(library)]
