"""Cleaning one exported chat: HTML to Markdown, speakers in turn, windows of whole rounds. Pure functions, no pool.

Source: released code of Vicuna (lm-sys/FastChat, data cleaning); constants carry what they were there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from tilth.models.doubles import estimate_tokens

OVERHEAD = 6
"""Tokens that a turn costs beyond its text (released code)."""
LEAST_CHARS = 16
"""A chat with less text than this is dropped (released code)."""
DIGITS = 9
"""A run of this many equal digits is taken out (released code)."""

Turn = dict[str, str]
_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant",
    "bard": "assistant", "assistant": "assistant", "system": "system",
}  # fmt: skip
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_COUNTER = re.compile(r"^\s*\d+ / \d+\s*")
_COPIED = re.compile(r"Copy\d+ chars / \d+ words")
_COPY_CODE = re.compile(r"(```[^\S\n]*\n?)([A-Za-z+#.-]*)[ \t]*Copy code[ \t]*\n?")
_EMPTY_BLOCK = re.compile(r"```[\w+#.-]*\s*```\n?")
_BLANK = re.compile(r"\n{3,}")
_EQUAL_DIGITS = re.compile(rf"(\d)\1{{{DIGITS - 1},}}")
_NUMBERED = re.compile(r"^[ \t]*(\d{1,3})\.[ \t]+\S", re.M)
_BLOCKS = frozenset(("p", "div", "ul", "ol", "table", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "tr"))


class _Markdown(HTMLParser):
    """Writes the few tags of chat exports as Markdown; of other tags the text stays."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.lists: list[int] = []
        self.pre = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.out.append("\n")
        elif tag in ("ul", "ol"):
            self.lists.append(0 if tag == "ol" else -1)
        elif tag == "li":
            if self.lists and self.lists[-1] >= 0:
                self.lists[-1] += 1
            mark = f"{self.lists[-1]}." if self.lists and self.lists[-1] > 0 else "-"
            self.out.append(f"\n{'  ' * max(0, len(self.lists) - 1)}{mark} ")
        elif tag == "pre":
            self.pre = True
            self.out.append("\n\n```\n")
        elif tag == "code" and not self.pre:
            self.out.append("`")
        elif tag in ("strong", "b"):
            self.out.append("**")
        elif tag in ("em", "i"):
            self.out.append("*")
        elif len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.out.append(f"\n\n{'#' * int(tag[1])} ")
        elif tag == "td" or tag == "th":
            self.out.append("| ")
        elif tag in _BLOCKS and not self.pre and not (self.out and self._at_item):
            self.out.append("\n\n" if tag != "tr" else "\n")

    @property
    def _at_item(self) -> bool:
        return bool(self.lists) and re.fullmatch(r"\n *(?:-|\d+\.) ", self.out[-1]) is not None

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self.pre = False
            self.out.append("\n```\n\n")
        elif tag in ("ul", "ol"):
            self.lists = self.lists[:-1]
            self.out.append("\n")
        elif tag == "code" and not self.pre:
            self.out.append("`")
        elif tag in ("strong", "b"):
            self.out.append("**")
        elif tag in ("em", "i"):
            self.out.append("*")
        elif tag in _BLOCKS and tag != "tr" and not self.pre:
            self.out.append("\n\n")

    def handle_data(self, data: str) -> None:
        self.out.append(data if self.pre else re.sub(r"[ \t\n]+", " ", data))


def markdown(text: str) -> str:
    """A turn as Markdown: tags converted or taken out, code blocks repaired, leftovers of the page removed.

    A text without tags keeps its line ends.
    """
    if _TAG.search(text) and re.search(r"</(?:p|div|pre|li|ul|ol|span|code|h\d|table)>|<br", text, re.I):
        parser = _Markdown()
        parser.feed(text)
        parser.close()
        text = "".join(parser.out)
        text = "\n".join(line.rstrip() if line.strip() else "" for line in text.split("\n"))
        text = re.sub(r"(?<=\n) (?=\S)", "", text)
    text = _COPY_CODE.sub(lambda m: f"```{m[2]}\n", text)
    text = _COPIED.sub("", _COUNTER.sub("", text))
    return _BLANK.sub("\n\n", _EMPTY_BLOCK.sub("", text)).strip()


def speakers(turns: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Turns of an export (``from``/``value`` or ``role``/``content``) as roles and texts; an unknown speaker is ``?``."""
    found = []
    for turn in turns:
        name = str(turn.get("from") or turn.get("role") or "").casefold()
        content = turn.get("value") if "value" in turn else turn.get("content")
        found.append({"role": _ROLES.get(name, "?"), "content": content if isinstance(content, str) else ""})
    return found


def in_turn(turns: Sequence[Turn]) -> tuple[list[Turn], str | None]:
    """A chat from its first user to its last assistant turn, and what is wrong with it.

    Returns:
        The turns, cut at the first one that is empty or holds nothing printable; and ``one-sided``, ``alternation``,
        ``speaker`` or None. A leading system turn stays.
    """
    system = [t for t in turns[:1] if t["role"] == "system"]
    body = list(turns[len(system) :])
    if any(t["role"] not in ("user", "assistant") for t in body):
        return body, "speaker"
    if body and body[0]["role"] == "assistant":
        body = body[1:]
    end = next(
        (i for i, t in enumerate(body) if not any(c.isprintable() and not c.isspace() for c in t["content"])), None
    )
    body = body[:end]
    if any(t["role"] != ("user", "assistant")[i % 2] for i, t in enumerate(body)):
        return body, "alternation"
    body = body[: len(body) - len(body) % 2]
    return [*system, *body], None if body else "one-sided"


def restarts(text: str) -> bool:
    """Whether a numbered list starts at 1 again and again without ever reaching 2: the export lost the numbers."""
    numbers = [int(n) for n in _NUMBERED.findall(text)]
    return numbers.count(1) > 1 and 2 not in numbers


def without_digit_runs(text: str) -> str:
    """`text` without runs of nine or more equal digits, which are numbers of cards and phones made up by a page."""
    return _EQUAL_DIGITS.sub("", text)


def cost(turns: Sequence[Turn]) -> int:
    """Tokens of some turns, estimated by their characters, with the overhead of each turn."""
    return sum(estimate_tokens(turn["content"]) + OVERHEAD for turn in turns)


def windows(turns: Sequence[Turn], limit: int) -> list[tuple[int, list[Turn], bool]]:
    """A chat in windows of whole rounds of at most `limit` tokens, each with the system turn.

    Every round is in exactly one window, or alone in one that is too long.

    Returns:
        (index of the first round, turns, whether they fit) of each window, in order.
    """
    system = [t for t in turns[:1] if t["role"] == "system"]
    body = turns[len(system) :]
    found: list[tuple[int, list[Turn], bool]] = []
    current: list[Turn] = []
    first = 0
    for number in range(len(body) // 2):
        pair = list(body[2 * number : 2 * number + 2])
        if current and cost([*system, *current, *pair]) > limit:
            found.append((first, [*system, *current], True))
            current = []
        if not current:
            first = number
        if cost([*system, *pair]) > limit:
            found.append((number, [*system, *pair], False))
        else:
            current += pair
    if current:
        found.append((first, [*system, *current], True))
    return found
