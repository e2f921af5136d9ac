"""What may be an instruction and an instance: the filters and parsers of Self-Instruct, as pure functions.

Shared by methods that grow tasks from tasks. Knows no prompt, no model and no pool.

Source: Wang et al. 2023, "Self-Instruct", section 2.2 and the released code (yizhongw/self-instruct). Two deviations:
markers count at line start only, so that "Example" inside a text does not split it, and a sentence keeps its capitals
(the release lower-cases all but the first letter, which damages names).
"""

from __future__ import annotations

import functools
import random
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

MIN_WORDS = 4
"""Instructions of three words or fewer are dropped (released code)."""
MAX_WORDS = 150
"""Instructions of more than 150 words are dropped (released code)."""
KEYWORDS = (
    "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot",
    "go to",
)  # fmt: skip
"""What a text model cannot do; matched as whole words in any case (released code)."""
PROGRAM = "Write a program"
"""Such instructions do not say whether the program or its output is wanted (released code)."""
MAX_INSTANCES = 5
"""Instances kept of one task, drawn at random (released code)."""

_NUMBER = re.compile(r"^[ \t]*(?:\*\*)?(\d{1,3})[ \t]?[.)](?:\*\*)?[ \t]+", re.M)
_EXAMPLE = re.compile(
    r"^[ \t#*]*example[ \t]*\d*[ \t]*[.:)]*\**[ \t]*$|^[ \t#*]*example[ \t]*\d+[ \t]*[.:)]\**[ \t]*", re.I | re.M
)
_OUTPUT = re.compile(r"^[ \t*]*output[ \t]*\d*[ \t]*:\**[ \t]*", re.I | re.M)
_INPUT = re.compile(r"^[ \t*]*input[ \t]*\d*[ \t]*:\**[ \t]*", re.I | re.M)
_LABEL = re.compile(r"^[ \t*]*class label[ \t]*\d*[ \t]*:\**[ \t]*", re.I | re.M)
_FIELD = re.compile(r"(\w+):")

Instance = tuple[str, str]
"""(input, output); the input may be empty."""


def instruction_problem(text: str, keywords: tuple[str, ...] = KEYWORDS) -> str | None:
    """Why a text is no instruction for a text model, or None.

    Args:
        text: the instruction.
        keywords: words that ask for what a text model cannot do.

    Returns:
        ``short``, ``long``, ``keyword:<word>``, ``program``, ``punctuation`` or ``non-ascii``: the first that applies.
    """
    words = len(text.split())
    if words < MIN_WORDS:
        return "short"
    if words > MAX_WORDS:
        return "long"
    if keyword := _keyword(keywords).search(text):
        return f"keyword:{keyword[1].lower().replace(' ', '-')}"
    if text.startswith(PROGRAM):
        return "program"
    if text[0] in string.punctuation:
        return "punctuation"
    return None if text[0].isascii() else "non-ascii"


@functools.cache
def _keyword(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(words)})\b", re.I)


def is_classification(row: Mapping[str, Any]) -> bool:
    """Whether a seed task is flagged as classification (column `is_classification`)."""
    flag = row.get("is_classification")
    return flag is True or (isinstance(flag, str) and flag.strip().casefold() in ("true", "yes"))


def yes_or_no(text: str) -> bool | None:
    """The answer to a yes-or-no question when it is nothing but that word, else None."""
    return {"yes": True, "no": False}.get(text.strip(string.whitespace + ".*'\"").casefold())


def listed_instructions(text: str, first: int, *, raw: bool = False) -> list[str]:
    """The instructions of a completion that goes on with a numbered list.

    Numbers may skip. Text before the first number is item `first`, unless the list starts at or before `first` again:
    then it is talk. A text without any number is one item of a raw completion and nothing in a chat.

    Args:
        text: a completion that was not cut off.
        first: the number that the prompt ended with.
        raw: whether the completion goes straight on from the prompt.

    Returns:
        The items in one line each, first letter capital, empty ones left out.
    """
    marks = list(_NUMBER.finditer(text))
    ends = [*(m.start() for m in marks), len(text)]
    lead = text[: ends[0]] if (int(marks[0][1]) > first if marks else raw) else ""
    items = [lead, *(text[m.end() : end] for m, end in zip(marks, ends[1:], strict=True))]
    lines = (" ".join(item.split()) for item in items)
    return [line[0].upper() + line[1:] for line in lines if line]


def parse_instances(text: str, *, cut: bool = False) -> list[Instance]:
    """The instances of an input-first completion.

    It is split at ``Example n``; else it is one instance if it has an ``Output:``; else it has none. Within an instance
    the text before the output marker is the input; the output ends at the next input or output marker, where a base
    model runs on.

    Args:
        text: a completion.
        cut: whether it was cut off by length: then the last instance is not trusted.
    """
    marks = list(_EXAMPLE.finditer(text))
    if marks:
        ends = [*(m.start() for m in marks[1:]), len(text)]
        parts = [text[m.end() : end].strip() for m, end in zip(marks, ends, strict=True)]
        lead = text[: marks[0].start()]
        parts = [p for p in ([lead] if _OUTPUT.search(lead) else []) + parts if p]
    else:
        parts = [text] if _OUTPUT.search(text) else []
    found = [_pair(part) for part in parts]
    return found[:-1] if cut else found


def _pair(part: str) -> Instance:
    pieces = _OUTPUT.split(part, maxsplit=2)
    before, after = (pieces[0], pieces[1]) if len(pieces) > 1 else ("", part)
    output = _INPUT.split(after, maxsplit=1)[0]
    return _unlabelled(before), output.strip()


def _unlabelled(text: str) -> str:
    text = text.strip()
    label = _INPUT.match(text)
    return text[label.end() :].strip() if label else text


def parse_labelled(text: str, *, cut: bool = False) -> list[Instance]:
    """The instances of an output-first completion: after each ``Class label:`` the label's line, then the input."""
    marks = list(_LABEL.finditer(text))
    ends = [*(m.start() for m in marks[1:]), len(text)] if marks else []
    parts = [text[m.end() : end].strip() for m, end in zip(marks, ends, strict=True)]
    found = []
    for part in parts:
        label, _, rest = part.partition("\n")
        found.append((_unlabelled(rest), label.strip()))
    return found[:-1] if cut else found


def instance_problems(instances: Sequence[Instance]) -> list[str | None]:
    """Why each instance of one task is to be dropped, or None.

    Returns:
        One of ``contradiction`` (one input, different outputs: all instances of the task go), ``echo``, ``empty``,
        ``colon`` (a field that only announces one) and ``duplicate``, for each instance.
    """
    own = [_own_problem(*instance) for instance in instances]
    whole = [instance for instance, problem in zip(instances, own, strict=True) if problem is None]
    outputs: dict[str, set[str]] = {}
    for given, output in whole:
        if given:
            outputs.setdefault(given, set()).add(output)
    if any(len(different) > 1 for different in outputs.values()):
        return [problem or "contradiction" for problem in own]
    seen: set[Instance] = set()
    problems = []
    for instance, problem in zip(instances, own, strict=True):
        problems.append(problem or ("duplicate" if instance in seen else None))
        if problem is None:
            seen.add(instance)
    return problems


def _own_problem(given: str, output: str) -> str | None:
    if not output:
        return "empty"
    if given == output:
        return "echo"
    return "colon" if given.endswith(":") or output.endswith(":") else None


def plain_input(given: str, rng: random.Random) -> str:
    """An input for a training prompt: with probability 1/2 a lone ``field:`` label and blank lines are taken out."""
    if rng.random() < 0.5:
        if len(set(_FIELD.findall(given))) == 1:
            given = given.split(":", 1)[1].strip()
        given = re.sub(r"\n{2,}", "\n", given)
    return given
