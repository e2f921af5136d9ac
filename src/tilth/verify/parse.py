"""Strict parsing of what models write: JSON in layers, headed sections, scores, labels, numbered lists, code
fences.

Pure functions. Each returns None (or an empty list) when the text does not have the asked form beyond doubt:
what cannot be parsed is its own outcome, never a low score and never a guess. Nothing that was cut off is
completed. This module knows no prompt and no method.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tilth.rows.jsonparse import Parsed, find_json

MAX_TEXT = 1_000_000
"""Longer text is cut before it is parsed, so it parses only if it ends early."""

_THINK = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.S | re.I)
_THINK_END = re.compile(r"</(?:think|thinking|reasoning)>", re.I)
_THINK_START = re.compile(r"<(?:think|thinking|reasoning)>", re.I)
_FENCE = re.compile(r"^[ \t]{0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$", re.M)
_ITEM = re.compile(r"^[ \t]*(?:\*\*)?(\d{1,4})(?:\*\*)?[.)](?:\*\*)?[ \t]+(?=\S)", re.M)
_SCORE = re.compile(
    r"[\s>*_#`-]*(?:[A-Za-z][A-Za-z ]{0,40}?\s*(?:\*\*|__)?\s*(?:[:=]|\bis\b|\bof\b)\s*)?[\s*_`\[(<]*"
    r"(?P<score>[-+]?\d{1,6}(?:\.\d{1,6})?)[*_`]*"
    r"(?:\s*(?:/|out of)\s*(?P<of>\d{1,6}(?:\.0+)?)|\s+points?)?[\s*_`\])>.!]*"
)
_ORDER_LABEL = re.compile(r"^\W*(?:[A-Za-z][A-Za-z ]{1,60}\s*[:=]\s*)?")
_DECIMAL_INT = re.compile(r"[-+]?\d+")


def json_value(text: str) -> Parsed | None:
    """The JSON value that a completion holds, or None; see `tilth.rows.jsonparse.find_json`, the home of the rules."""
    try:
        return find_json(text[:MAX_TEXT])
    except (ValueError, RecursionError):
        return None


def after_thinking(text: str) -> str | None:
    """`text` without its reasoning blocks; None when the reasoning never ends and no answer was written."""
    text = _THINK.sub("", text)
    ends = list(_THINK_END.finditer(text))
    if ends:
        text = text[ends[-1].end() :]
    return None if _THINK_START.search(text) else text.strip()


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block: its language (lower case, may be empty), its text, and whether the fence was
    closed."""

    lang: str
    text: str
    closed: bool


def fenced_blocks(text: str) -> list[Block]:
    """All outermost fenced blocks, in order; the last one may be open (cut off)."""
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif (
            fence["mark"][0] == opened["mark"][0]
            and len(fence["mark"]) >= len(opened["mark"])
            and not fence["info"].strip()
        ):
            blocks.append(_block(opened, text[opened.end() + 1 : max(fence.start() - 1, opened.end() + 1)], True))
            opened = None
    if opened is not None:
        blocks.append(_block(opened, text[opened.end() + 1 :], False))
    return blocks


def _block(opened: re.Match[str], text: str, closed: bool) -> Block:
    info = opened["info"].split()
    return Block(info[0].lower().strip("{}.") if info else "", text, closed)


def fenced_code(text: str, lang: str | Iterable[str] | None = None) -> str | None:
    """The first closed fenced block.

    Args:
        text: a completion.
        lang: a language, or several names of one; a block without a language matches too. None: any block.

    Returns:
        The block's text, or None when there is no such block or it was cut off.
    """
    wanted = None if lang is None else {lang} if isinstance(lang, str) else set(lang)
    return next(
        (b.text for b in fenced_blocks(text) if b.closed and (wanted is None or b.lang in wanted or not b.lang)),
        None,
    )


def sections(text: str, names: Sequence[str], *, may_be_empty: bool = False) -> dict[str, str] | None:
    """The parts of a text with headers: ``[Problem]``, ``## Problem``, ``**Problem:**`` or ``Problem:`` at
    line start.

    Case does not matter, the first occurrence of a header wins, and the headers must stand in the order
    asked.

    Args:
        text: a completion.
        names: the headers, in order.
        may_be_empty: whether a section may have no text.

    Returns:
        Header (as asked) to its text without outer white space, or None when one is missing, empty or out of
        order.
    """
    places = []
    for name in names:
        match = _header(name).search(text)
        if match is None:
            return None
        places.append(match)
    if any(a.end() > b.start() for a, b in pairwise(places)):
        return None
    ends = [p.start() for p in places[1:]] + [len(text)]
    found = {n: text[p.end() : end].strip() for n, p, end in zip(names, places, ends, strict=True)}
    return found if may_be_empty or all(found.values()) else None


def _header(name: str) -> re.Pattern[str]:
    word = r"\s+".join(re.escape(part) for part in name.split())
    return re.compile(
        rf"^[ \t]*(?:\[[ \t]*{word}[ \t]*\][ \t]*:?|#{{1,6}}[ \t]*\[?{word}\]?[ \t]*(?::|#*[ \t]*$)"
        rf"|(?:\*\*|__)\[?{word}\]?[ \t]*(?::[ \t]*(?:\*\*|__)|(?:\*\*|__)[ \t]*:?)"
        rf"|<{word}>|{word}[ \t]*(?::|$))",
        re.I | re.M,
    )


def final_line(text: str) -> str:
    """The last line that is not blank and not a closing fence, stripped."""
    lines = [line.strip() for line in text[-4000:].splitlines()]
    return next((line for line in reversed(lines) if line.strip("`~* ")), "")


def final_score(text: str, lo: float, hi: float, *, whole: bool = False) -> float | None:
    """The score on a completion's final line.

    Args:
        text: a completion; its last line must be the score alone, with at most a label before it (``Score:
            4``) and the top of the scale after it (``4/5``).
        lo: smallest possible score.
        hi: largest possible score.
        whole: whether only whole numbers count.

    Returns:
        The score, or None when the line is something else, the scale is another one, or the score is off the
        scale.
    """
    match = _SCORE.fullmatch(final_line(text)[:200])
    if (
        match is None
        or (match["of"] and float(match["of"]) != hi)
        or (whole and not _DECIMAL_INT.fullmatch(match["score"]))
    ):
        return None
    score = float(match["score"])
    return score if lo <= score <= hi else None


def final_order(text: str, names: int | Sequence[str]) -> list[int] | None:
    """The ranking on a completion's final line: ``2 > 1 > 3`` or ``Ranking: C, A, B``, with at most a label before it.

    Args:
        text: a completion.
        names: what the ranked things are called, in the order in which they were shown; a number stands for 1, 2, ...

    Returns:
        Their indices from 0, the best first, or None unless each stands there exactly once and nothing else.
    """
    known = [str(n + 1) for n in range(names)] if isinstance(names, int) else [n.upper() for n in names]
    line = _ORDER_LABEL.sub("", final_line(text)[:500]).strip(" \t.*_`[]()").upper()
    said = [word.strip("[]()*_`.") for word in re.split(r"[\s>,;]+", line)]
    return [known.index(word) for word in said] if sorted(said) == sorted(known) else None


def label(text: str, choices: Sequence[str], field: str | None = None) -> str | None:
    """The label that a completion declares.

    Longer labels are tried first ("unsafe" contains "safe"), and a label must fill its place: nothing is
    found inside a sentence.

    Args:
        text: a completion.
        choices: the possible labels; case does not matter in the text.
        field: read the line ``<field>: <label>``; None reads the final line, with or without a field name
            before it.

    Returns:
        The label as it stands in `choices`, or None when there is none or two different ones are declared.
    """
    words = "|".join(re.escape(c) for c in sorted(choices, key=len, reverse=True))
    name = re.escape(field) if field else r"[A-Za-z][A-Za-z ]{0,30}"
    declared_by = rf"(?:{name}\s*(?:\*\*|__)?\s*(?:[:=]|\bis\b)\s*){'' if field else '?'}"
    line = rf"[\s>*_#`-]*{declared_by}[\s*_`\"'\[(<]*(?P<label>{words})[\s*_`\"'\])>.!]*"
    pattern = re.compile(line, re.I)
    lines = text.splitlines() if field else [final_line(text)]
    declared = {m["label"].casefold() for one in lines if (m := pattern.fullmatch(one[:500]))}
    if len(declared) != 1:
        return None
    found = declared.pop()
    return next((c for c in choices if c.casefold() == found), None)


def numbered_items(text: str, *, cut: bool = False) -> list[str]:
    """The items of a numbered list.

    The numbers must rise by one (or all be equal, as Markdown allows); a number out of turn is text of the
    item it stands in. The list may start at any number.

    Args:
        text: a completion.
        cut: whether the completion was cut off by length; then its last item is not trusted and left out.

    Returns:
        The items' texts, stripped, empty ones left out; an empty list when there is no list.
    """
    marks = list(_ITEM.finditer(text))
    if not marks:
        return []
    lazy = len(marks) > 1 and all(m[1] == marks[0][1] for m in marks)
    kept = [marks[0]]
    for mark in marks[1:]:
        if lazy or int(mark[1]) == int(kept[-1][1]) + 1:
            kept.append(mark)
    ends = [m.start() for m in kept[1:]] + [len(text)]
    items = [text[m.end() : end].strip() for m, end in zip(kept, ends, strict=True)]
    return [item for item in (items[:-1] if cut else items) if item]
