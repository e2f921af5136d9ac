"""Maths answers: a completion's final answer compared with the reference, exactly and without evaluating text.

Numbers are compared as exact fractions. What cannot be read as a number is compared as a normalised string, and when
that differs as an expression, a set, an interval, ... (see `equivalence`); what that cannot read is unknown. Where an answer
stands in a completion is the business of `extraction`, whose functions are found here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tilth.rows.row import Row
from tilth.rows.text import last_assistant
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.equivalence import equivalent
from tilth.verify.extraction import LETTER, Found
from tilth.verify.extraction import choice as choice
from tilth.verify.extraction import final_answer as final_answer
from tilth.verify.extraction import find_answer as find_answer
from tilth.verify.extraction import reference as reference
from tilth.verify.numbers import plain, quantity, same
from tilth.verify.verifier import RowVerifier

VERSION = "3"
_LETTERED = re.compile(r"\(([A-J])\)[\s:.]*(?=\S)(.+)", re.S)
_CLOSED = ({"yes", "no"}, {"true", "false"})
_BOX = re.compile(r"\\(?:f?boxed|fbox)\s*\{(.*)\}", re.S)


def normal(text: str) -> str:
    """`text` without dress, spaces and case, for comparing what is not a number."""
    text = plain(text[:2000])
    text = re.sub(r"(?<=\d)\s*([ap])\.m\b\.?", r"\1m", text, flags=re.I)
    return re.sub(r"\s+", "", text).casefold().replace("\\left", "").replace("\\right", "")


def canonical(answer: str) -> str:
    """One spelling for every way to write the same number; other answers are normalised text.

    The key of a vote.
    """
    found = quantity(answer)
    if found is None:
        return normal(answer)
    value = found.value
    return str(value) if found.unit != "%" else f"{value}%"


def equal(a: str, b: str) -> bool | None:
    """Whether two answers are equal.

    Args:
        a: one answer, without the text around it.
        b: the other; the order does not matter.

    Returns:
        True or False, or None when it cannot be told (not numbers, and the normalised texts differ).
    """
    if a == b:
        return True if a.strip() else None
    x, y = quantity(a), quantity(b)
    if x is not None and y is not None:
        return same(x, y)
    p, q = normal(a), normal(b)
    if p == q:
        return True if p else None
    if any(p in closed and q in closed for closed in _CLOSED):
        return False
    if x is None and y is None and (one := LETTER.fullmatch(plain(a))) and (other := LETTER.fullmatch(plain(b))):
        return one[1] == other[1]
    lettered = [_LETTERED.fullmatch(plain(_unboxed(t)).replace("\\", " ")) for t in (a, b)]
    if (lettered[0] is None) != (lettered[1] is None):
        # A choice with its text, "(C) 12", is named by either.
        named, rest = (lettered[0], b) if lettered[0] else (lettered[1], a)
        letter = LETTER.fullmatch(plain(rest))
        assert named is not None
        return named[1] == letter[1] if letter else equal(named[2], rest)
    return equivalent(_unboxed(a), _unboxed(b))


def _unboxed(text: str) -> str:
    box = _BOX.fullmatch(text.strip())
    return box[1] if box else text


def check_answer(completion: str, answer: Any) -> Verdict:
    """Compare a completion's final answer with the reference.

    Args:
        completion: what the model wrote; any length.
        answer: the reference: a number, or text (bare, or behind ``####``).

    Returns:
        pass or fail when it can be told; else unknown with ``no-answer`` (nothing was answered),
        ``ambiguous`` (several numbers, one of them right), ``no-reference`` or ``not-comparable``. Evidence:
        ``found``, ``expected``, ``how``.
    """
    gold = reference(answer)
    if not gold:
        return Verdict(
            "math", UNKNOWN, detail="no-reference", evidence={"expected": str(answer)[:200]}, version=VERSION
        )
    if LETTER.fullmatch(gold):
        letter = choice(completion)
        if letter is not None:
            wanted = LETTER.fullmatch(gold)[1]  # type: ignore[index]
            return _verdict(letter == wanted, Found(letter, "choice"), gold)
    found = find_answer(completion)
    if found is None:
        if completion.strip() and normal(completion) == normal(gold):
            return _verdict(True, Found(completion.strip(), "whole"), gold)
        return Verdict(
            "math",
            UNKNOWN,
            detail="no-answer",
            evidence={"found": None, "expected": gold[:200]},
            version=VERSION,
        )
    if found.numbers:
        expected = quantity(gold)
        if expected is not None:
            right = [same(q, expected) for q in found.numbers]
            if True not in right and None not in right:
                return _verdict(False, found, gold)
            return _verdict(None, found, gold, "ambiguous")
    return _verdict(equal(found.text, gold), found, gold)


def _verdict(right: bool | None, found: Found, gold: str, doubt: str = "not-comparable") -> Verdict:
    evidence = {"found": found.text[:200], "expected": gold[:200], "how": found.how}
    if right is None:
        return Verdict("math", UNKNOWN, detail=doubt, evidence=evidence, version=VERSION)
    return Verdict("math", PASS if right else FAIL, score=float(right), evidence=evidence, version=VERSION)


@dataclass(frozen=True, slots=True)
class MathVerifier(RowVerifier):
    """A row passes when its final answer equals the column `answer`."""

    id: ClassVar[str] = "math"
    version: ClassVar[str] = VERSION

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The column that the row lacks, or None."""
        if "completion" not in row and "messages" not in row:
            return "completion"
        return None if "answer" in row else "answer"

    def verify(self, row: Row) -> Verdict:
        """See `check_answer`."""
        answer = row["answer"]
        return check_answer(last_assistant(row) or "", "" if answer is None else answer)
