"""How an answer is checked: exact match, a function of answer and row, or any verifier. Asks no model for answers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tilth.errors import UsageError
from tilth.rows.row import Row, content_hash
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.math import check_answer, find_answer
from tilth.verify.verifier import Ask, Verifier, open_verifier

Check = Callable[[str, Mapping[str, Any]], Verdict]
NAMES = ("maths", "exact", "contains")
"""Checks of this module; every verifier's name is one too."""
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def plain_words(text: str) -> str:
    """Lower case, without punctuation, English articles and extra spaces (Rajpurkar et al. 2016, section 6.1)."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = "".join(" " if unicodedata.category(c).startswith("P") else c for c in text)
    return " ".join(_ARTICLES.sub(" ", text).split())


def accepted(row: Mapping[str, Any]) -> list[str]:
    """The reference answers of a row: column `answer`, a text or a list of texts any of which will do."""
    given = row.get("answer")
    return [str(a) for a in (given if isinstance(given, list) else [given]) if a not in (None, "")]


def exact_match(completion: str, row: Mapping[str, Any]) -> Verdict:
    """Whether the completion, or the answer behind its marker (``####``, "the answer is"), is a reference's words.

    Args:
        completion: what the model wrote.
        row: with ``answer``, a text or a list of texts.

    Returns:
        pass or fail; unknown for an empty completion or a row without reference.
    """
    return _match("exact", completion, row, lambda said, wanted: said == wanted)


def contains(completion: str, row: Mapping[str, Any]) -> Verdict:
    """Whether a reference's words stand in the completion, in order and whole: lenient towards long answers."""
    return _match("contains", completion, row, lambda said, wanted: f" {wanted} " in f" {said} ")


def _match(name: str, completion: str, row: Mapping[str, Any], same: Callable[[str, str], bool]) -> Verdict:
    wanted = [w for a in accepted(row) if (w := plain_words(a))]
    if not wanted or not completion.strip():
        return Verdict(name, UNKNOWN, detail="no-reference" if not wanted else "no-answer")
    said = [plain_words(completion)]
    found = find_answer(completion)
    if found is not None and found.how in ("boxed", "marker"):
        said.append(plain_words(found.text))
    right = any(same(s, w) for s in said for w in wanted)
    return Verdict(name, PASS if right else FAIL, float(right), {"found": said[-1][:200], "expected": wanted[0][:200]})


def maths(completion: str, row: Mapping[str, Any]) -> Verdict:
    """`tilth.verify.math.check_answer` against the column ``answer``."""
    return check_answer(completion, row.get("answer"))


def open_check(name: str, settings: Mapping[str, Any] | None = None) -> Check | Verifier:
    """A check by its name.

    Args:
        name: one of `NAMES`, or a verifier (``code``, ``judge``, ``schema``, ...).
        settings: of the verifier.

    Raises:
        UsageError: there is no such check, or it has no such setting.
    """
    if name in NAMES:
        if settings:
            raise UsageError(f"the check '{name}' has no settings", todo=f"leave out {', '.join(settings)}")
        return {"maths": maths, "exact": exact_match, "contains": contains}[name]
    return open_verifier(name, settings)


async def grade(
    rows: Sequence[Mapping[str, Any]], answers: Sequence[Sequence[str]], check: Check | Verifier | None = None,
    ask: Ask | None = None,
) -> list[list[Verdict]]:  # fmt: skip
    """Verdicts on several answers to each row.

    Args:
        rows: what was asked, with whatever the check reads beside ``completion``.
        answers: a list of completions for each row.
        check: a function or a verifier; default `maths`.
        ask: for verifiers that ask a model.

    Returns:
        A list of verdicts for each row, in order. A verifier's missing column is ``unknown`` with its name.
    """
    check = check or maths
    if not isinstance(check, Verifier):
        return [[check(text, row) for text in texts] for row, texts in zip(rows, answers, strict=True)]
    filled = [
        Row({**{k: v for k, v in row.items() if k not in ("messages", "completion")}, "completion": text}, _id(row, i))
        for row, texts in zip(rows, answers, strict=True)
        for i, text in enumerate(texts)
    ]
    lacking = [check.missing(row) for row in filled]
    found = iter(await check.verify_rows([r for r, gap in zip(filled, lacking, strict=True) if gap is None], ask))
    flat = iter([Verdict(check.id, UNKNOWN, detail=f"no-{gap}") if gap else next(found) for gap in lacking])
    return [[next(flat) for _ in texts] for texts in answers]


def _id(row: Mapping[str, Any], draw: int) -> str:
    return f"{row.id if isinstance(row, Row) else content_hash(row)}:{draw}"
