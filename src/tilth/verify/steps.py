"""Arithmetic inside a rationale: every equation it shows is recomputed exactly; the first wrong step is
named.

Right arithmetic does not make a solution right (in GSM8K model solutions nearly all wrong answers contain no
wrong equation); a wrong equation nearly always makes it wrong. Expressions are read by a grammar of four
operations and brackets over exact
fractions: nothing is evaluated as code. This module does not know the problem or its answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from tilth.rows.row import Row
from tilth.rows.text import last_assistant
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.stepwise import steps_of
from tilth.verify.verifier import RowVerifier

VERSION = "1"
MAX_EXPRESSION = 200
"""Characters; a longer expression is not checked."""
MAX_NUMBER = 40
"""Digits of one number."""

_FLOAT_NOISE = Fraction(1, 10**9)
"""A claim with this many decimals came out of a calculator's floating point."""

_ANNOTATION = re.compile(r"<<([^<>\n]{1,400})>>")
_LIST_MARK = re.compile(r"^\s*(?:(?:step\s*)?\d{1,3}[.):]|[-*•])\s+", re.I)
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
_TOKEN = re.compile(rf"\s*(?:(?P<number>{_NUMBER})(?P<percent>\s?%)?|(?P<operator>[-+*/()]))")
_SIDE = re.compile(r"[-+*/()\d.,%\s]*")
_UNIT_TAIL = re.compile(r"\s*(?:[A-Za-z][^=]*|[.,;:!?)\]'\"]+(?:\s.*)?|)$", re.S)
_CLAIM = re.compile(
    rf"\s*\(?\s*(?P<sign>-?)\s*(?P<number>{_NUMBER})(?P<percent>\s?%|\s?percent\b)?(?:\s*/\s*(?P<over>{_NUMBER}))?"
)


@dataclass(frozen=True, slots=True)
class Equation:
    """One equation of a rationale.

    Args:
        text: as it stands there, spaces single.
        step: index of its line among the lines that are not blank, from 0.
        right: whether both sides are equal, as far as the decimals shown tell.
    """

    text: str
    step: int
    right: bool


def value(expression: str) -> Fraction | None:
    """The exact value of an expression of numbers, ``+ - * /``, brackets and ``%``; None when it is anything
    else."""
    tokens = _tokens(expression)
    if not tokens:
        return None
    try:
        result, rest = _sum(tokens, 0, 0)
    except (_NotArithmeticError, ZeroDivisionError):
        return None
    return result if rest == len(tokens) else None


class _NotArithmeticError(Exception):
    pass


def _tokens(expression: str) -> list[Fraction | str]:
    if len(expression) > MAX_EXPRESSION:
        return []
    found: list[Fraction | str] = []
    at = 0
    expression = expression.rstrip()
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None or (match["number"] and len(match["number"]) > MAX_NUMBER):
            return []
        if match["number"]:
            number = Fraction(match["number"].replace(",", "").rstrip("."))
            found.append(number / 100 if match["percent"] else number)
        else:
            found.append(match["operator"])
        at = match.end()
    return found


def _sum(tokens: list[Fraction | str], at: int, depth: int) -> tuple[Fraction, int]:
    total, at = _product(tokens, at, depth)
    while at < len(tokens) and tokens[at] in ("+", "-"):
        term, after = _product(tokens, at + 1, depth)
        total, at = (total + term if tokens[at] == "+" else total - term), after
    return total, at


def _product(tokens: list[Fraction | str], at: int, depth: int) -> tuple[Fraction, int]:
    total, at = _factor(tokens, at, depth)
    while at < len(tokens) and (tokens[at] in ("*", "/") or tokens[at] == "("):
        factor, after = _factor(tokens, at if tokens[at] == "(" else at + 1, depth)
        total, at = (total / factor if tokens[at] == "/" else total * factor), after
    return total, at


def _factor(tokens: list[Fraction | str], at: int, depth: int) -> tuple[Fraction, int]:
    if at >= len(tokens) or depth > 40:
        raise _NotArithmeticError
    token = tokens[at]
    if isinstance(token, Fraction):
        return token, at + 1
    if token in ("-", "+"):
        inner, after = _factor(tokens, at + 1, depth + 1)
        return (-inner if token == "-" else inner), after
    if token != "(":
        raise _NotArithmeticError
    inner, after = _sum(tokens, at + 1, depth + 1)
    if after >= len(tokens) or tokens[after] != ")":
        raise _NotArithmeticError
    return inner, after + 1


def equations(text: str) -> Iterator[Equation]:
    """The equations of a rationale that can be checked, in order.

    Calculator annotations (``<<48/2=24>>``) and equations in running text (``48 / 2 = $24``) are read; what
    stands in both ways counts once.

    Args:
        text: a rationale, one step a line.
    """
    for step, line in enumerate(one for one in text.splitlines() if one.strip()):
        seen: set[str] = set()
        for annotation in _ANNOTATION.findall(line):
            right = annotation_right(annotation)
            if right is not None:
                seen.add(re.sub(r"\s", "", annotation))
                yield Equation(annotation, step, right)
        for shown, right in _running(_ANNOTATION.sub("", line)):
            if re.sub(r"\s", "", shown) not in seen:
                yield Equation(shown, step, right)


def annotation_right(annotation: str) -> bool | None:
    """Whether a calculator annotation such as ``48/2=24`` is right; None when it cannot be read."""
    left, sign, claim = annotation.partition("=")
    computed = value(_dressed(left))
    if not sign or computed is None:
        return None
    return _agrees(computed, _dressed(claim))


def _dressed(text: str) -> str:
    """Currency, spaces around it, and the signs for times and divided by, in the grammar's spelling."""
    text = re.sub(r"[$€£¥₹\\]", "", text.replace("×", "*").replace("·", "*").replace("÷", "/").replace("−", "-"))
    text = re.sub(r"(?<=[\d%).])\s*[xX]\s*(?=[\d(.])", "*", text)
    return re.sub(r"%\s+of\s+(?=\d)", "%*", text)


def _agrees(computed: Fraction, claim: str) -> bool | None:
    """Whether the claim states the value, exactly or rounded or cut to the decimals that it shows."""
    whole = value(claim)
    if whole is not None and whole == computed:
        return True
    match = _CLAIM.match(claim)
    if match is None or len(match["number"]) > MAX_NUMBER or not _UNIT_TAIL.fullmatch(claim, match.end()):
        return None
    digits = match["number"].replace(",", "").rstrip(".")
    stated = Fraction(digits) * (-1 if match["sign"] else 1)
    if match["over"]:
        below = Fraction(match["over"].replace(",", "").rstrip("."))
        return below != 0 and stated / below == computed
    unit = Fraction(1, 10 ** len(digits.partition(".")[2]))
    if unit <= _FLOAT_NOISE and abs(computed - stated) <= _FLOAT_NOISE * (1 + abs(computed)):
        return True
    candidates = [computed, computed * 100] if match["percent"] else [computed]
    return any(c == stated or (c.denominator != 1 and abs(c - stated) < unit) for c in candidates)


def _running(line: str) -> Iterator[tuple[str, bool]]:
    line = _dressed(_LIST_MARK.sub("", line))
    parts = re.split(r"=|≈", line)
    if len(parts) < 2 or len(parts) > 20:
        return
    known: list[Fraction] = []
    shown = ""
    for index, part in enumerate(parts):
        if index:
            right = _any_agrees(known, part)
            if right is not None:
                claim = None if value(part) is not None else _CLAIM.match(part)
                yield f"{shown} = {(claim[0] if claim else part).strip()}", right
        known, shown = _left_side(part, first=index == 0)


def _any_agrees(known: list[Fraction], claim: str) -> bool | None:
    verdicts = [_agrees(reading, claim) for reading in known]
    return None if not verdicts or None in verdicts else True in verdicts


def _left_side(part: str, *, first: bool) -> tuple[list[Fraction], str]:
    """The readings of the expression that ends `part`: a calculation whose left end is clear.

    People write ``6 / 1/2`` for six divided by a half, and ``20 / 80 * 100%`` for a percentage: both readings
    count.
    """
    start = len(part)
    while start > 0 and _SIDE.fullmatch(part[start - 1]):
        start -= 1
    side = part[start:].strip()
    before = part[:start].rstrip()
    clear = start == 0 or (start < len(part) and part[start].isspace()) or part[start - 1] in "(:,;"
    if before and not (first and clear and before[-1] not in "^_=<>|\\{}[]!"):
        return [], ""
    bare_fraction = re.fullmatch(r"[\d.,]+\s*/\s*[\d.,]+", side)
    if (before and (side[:1] in tuple("+*/-)") or bare_fraction)) or not re.search(r"[\d%)]\s*[-+*/(]", side):
        return [], ""
    spellings = (side, re.sub(r"/\s*(\d+/\d+)", r"/(\1)", side), side.replace("%", ""))
    readings = [v for spelling in dict.fromkeys(spellings) if (v := value(spelling)) is not None]
    return readings, re.sub(r"\s+", " ", side)


def check_steps(text: str) -> Verdict:
    """Check the arithmetic of a rationale.

    Returns:
        pass when every equation that can be read is right, fail when one is wrong, unknown with
        ``no-equation`` when there is none. Evidence: how many were checked, the first wrong step's index and
        equation. Score: share that is right.
    """
    found = list(equations(text))
    wrong = [e for e in found if not e.right]
    evidence: dict[str, Any] = {"equations": len(found), "wrong": len(wrong)}
    if not found:
        return Verdict("steps", UNKNOWN, None, evidence, "no-equation", version=VERSION)
    score = 1 - len(wrong) / len(found)
    if wrong:
        evidence |= {"first_wrong_step": wrong[0].step, "equation": wrong[0].text[:200]}
        return Verdict("steps", FAIL, score, evidence, "arithmetic", version=VERSION)
    return Verdict("steps", PASS, score, evidence, version=VERSION)


@dataclass(frozen=True, slots=True)
class StepsVerifier(RowVerifier):
    """A row passes when every equation that its answer shows is right."""

    id: ClassVar[str] = "steps"
    version: ClassVar[str] = VERSION

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        return None if {"completion", "completions", "messages"} & set(row) else "completion"

    def verify(self, row: Row) -> Verdict:
        """See `check_steps`; a column `completions` holds one step an item."""
        if isinstance(row.get("completions"), list):
            return check_steps("\n".join(" ".join(step.split()) for step in steps_of(row)))
        return check_steps(last_assistant(row) or "")
