"""Where the final answer stands in a completion, as text. Says nothing of its being right.

The usual formats are known: ``\\boxed{}`` (MATH), ``####`` (GSM8K), ``A:`` and "the answer is" (chain-of-thought prompts), letters
of options; else the last number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tilth.verify.numbers import MAX_CHARS, Quantity, plain, quantity, tokens

TAIL = 20_000
"""Only the last characters of a completion are searched for its answer."""

_MARKER = re.compile(
    r"####|\\f?boxed\b\s*\{?"
    r"|^[ \t>*_#-]*(?:A|ANSWER|Ans(?:wer)?|(?:The |My )?[Ff]inal [Aa]nswer|FINAL ANSWER)\s*\**\s*[:=]\**"
    r"|\b[Aa]nswer\s*(?:is|was|equals|would be|will be|must be|should be)\b\s*:?\**|\b[Aa]nswer\s*\**[:=]\**",
    re.M,
)
_SENTENCE_END = re.compile(r"[.!?](?:\s+(?=[A-Z(\"'])|\s*$)")
_REFUSAL = re.compile(
    r"\W*(?:i'?m sorry|i am sorry|sorry|i can(?:no|')t|i cannot|i am unable|i'm unable|i won'?t|as an ai"
    r"|unfortunately)\b",
    re.I,
)
LETTER = re.compile(r"[(\[]?([A-J])[)\].:]?")
_CHOICE = re.compile(
    r"\W*(?:(?:option|choice|answer|letter)\s*)?[(\[]?\s*([A-J])\s*(?:[)\].:,]|\*\*|$|\s+[(–—-])", re.I
)
_CHOICE_ANYWHERE = re.compile(r"\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s*(?:is\b|:)?\s*[(\[]?([A-J])\b|\(([A-J])\)")
_SYMBOLIC = re.compile(r"[\\^=+*<>{}\[\]|_/!]|\b(?![aAI]\b)[a-zA-Z]\b(?!')")
_WORDS = re.compile(r"[A-Za-z]{2}")
_NUMBER_WORD = re.compile(
    r"\b(?:square|root|squared|cubed|pi|log|factorial|half|third|quarter|minus|plus|times|negative|over|divided|than"
    r"|hundred|thousand|million|billion|trillion|dozen|ln|sin|cos|tan|exp|mod|choose|infinity|infinite)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Found:
    """The final answer as it stands in a completion.

    Args:
        text: the answer's text.
        how: ``boxed``, ``marker``, ``last-number`` or ``whole``.
        numbers: the different numbers in it when it is running text rather than one number.
    """

    text: str
    how: str
    numbers: tuple[Quantity, ...] = ()


def find_answer(text: str) -> Found | None:
    """Find the final answer of a completion.

    The last marker wins, whichever kind it is. A box that never closes was cut off: no answer.

    Args:
        text: a completion.

    Returns:
        The answer, or None when there is none (empty, a refusal, no marker and no number).
    """
    text = text[-TAIL:].replace("\0", "")
    last = _last_marker(text)
    if last is None:
        return _unmarked(text)
    if "boxed" in last[0]:
        content = _braced(text, last.end()) if last[0].endswith("{") else text[last.end() :].split(None, 1)[0:1]
        content = content[0] if isinstance(content, list) and content else content
        return _settled(content.strip(), "boxed") if isinstance(content, str) and content.strip() else None
    line = _first_line(text[last.end() :])
    if last[0] != "####" and _SENTENCE_END.search(line):
        line = line[: _SENTENCE_END.search(line).start()]  # type: ignore[union-attr]
    return _settled(line, "marker") if line else None


def _last_marker(text: str) -> re.Match[str] | None:
    """The last marker; searched in the last lines first, where it nearly always is."""
    start = len(text)
    while start > 0:
        start = max(text.rfind("\n", 0, max(start - 400, 0)) + 1, 0)
        found = list(_MARKER.finditer(text, start))
        if found:
            return found[-1]
    return None


def final_answer(text: str) -> str | None:
    """The final answer of a completion as text, or None; see `find_answer`."""
    found = find_answer(text)
    return found.text if found else None


def _first_line(rest: str) -> str:
    for line in rest.split("\n", 6)[:6]:
        line = line.strip().strip("*").strip()
        if line and line not in ("$$", "\\[", "$", "```", ":"):
            return line[:2000]
    return ""


def _braced(text: str, start: int) -> str | None:
    depth = 1
    for i in range(start, len(text)):
        if text[i] == "{" and text[i - 1] != "\\":
            depth += 1
        elif text[i] == "}" and text[i - 1] != "\\":
            depth -= 1
            if depth == 0:
                return text[start:i]
    return None


def _settled(content: str, how: str) -> Found:
    """One number standing alone in running text is the answer itself ("Ann earns $18 a day")."""
    if quantity(content) is not None:
        return Found(content, how)
    if _SYMBOLIC.search(plain(content)[:500]) or _NUMBER_WORD.search(content) or not _WORDS.search(content):
        return Found(content, how)
    read = [(t, q) for t in tokens(content[:500]) if (q := quantity(t)) is not None]
    distinct: dict[Any, tuple[str, Quantity]] = {q.value: (t, q) for t, q in read}
    if len(distinct) == 1:
        return Found(read[-1][0], how)
    return Found(content, how, tuple(q for _, q in distinct.values()))


def _unmarked(text: str) -> Found | None:
    if not text.strip() or _REFUSAL.match(text):
        return None
    whole = text.strip()
    if len(whole) <= MAX_CHARS and "\n" not in whole and quantity(whole) is not None:
        return Found(whole, "whole")
    numbers = tokens(plain(text[-1000:]))
    return Found(numbers[-1], "last-number") if numbers else None


def choice(text: str) -> str | None:
    """The option letter A-J that a completion ends on, or None when it names none beyond doubt."""
    found = find_answer(text)
    line = found.text if found and found.how in ("boxed", "marker") else ""
    match = _CHOICE.match(plain(line)) if line else None
    if match and (match[1].isupper() or len(plain(line)) == 1):
        return match[1].upper()
    lines = text.strip().splitlines()
    tail = line or (lines[-1] if lines else "")
    named = {a or b for a, b in _CHOICE_ANYWHERE.findall(tail)}
    if len(named) == 1:
        return str(named.pop())
    alone = LETTER.fullmatch(plain(tail)) if tail else None
    return str(alone[1]) if alone else None


def reference(answer: Any) -> str:
    """The reference answer as text: bare, or behind ``####``, ``A:`` or in a box."""
    text = str(answer)
    if len(text) < 40 and "#" not in text and ":" not in text and "\\" not in text:
        return text.strip()
    if _MARKER.search(text):
        found = find_answer(text)
        return found.text if found else ""
    return text.strip()
