"""Stories: a problem's sentences, how they are written and how they are read back. Knows what a sentence does to
a quantity.

Every sentence is a template with slots; the same template writes the sentence and, as a regular expression,
reads it, so text and tree cannot drift apart. Wordings are common or rare: rare ones are the world's known gap
in what a model has read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from tilth.worlds.tree import Num, Op, Tree

NAMES = ("Ann", "Ben", "Cara", "Dan", "Eva", "Finn", "Gina", "Hugo", "Iris", "Jack", "Kim", "Leo")
THINGS = (
    "apples",
    "books",
    "cards",
    "coins",
    "eggs",
    "keys",
    "pens",
    "plums",
    "seeds",
    "shells",
    "stones",
    "toys",
)

Part = Literal["start", "event", "question"]


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to say one thing.

    Args:
        id: short name, unique.
        part: where in the story it may stand.
        symbol: what it does to the quantity; empty for a start or a question.
        text: template with ``{a}`` the owner, ``{b}`` a friend, ``{t}`` the things, ``{n}`` a number or ``{n}``
            and ``{m}``, whose product is meant.
        rare: whether it belongs to the rare wordings.
    """

    id: str
    part: Part
    symbol: str
    text: str
    rare: bool = False

    @property
    def numbers(self) -> int:
        """How many numbers it states."""
        return ("{n}" in self.text) + ("{m}" in self.text)


WORDINGS = {
    w.id: w
    for w in (
        Wording("has", "start", "", "{a} has {n} {t}."),
        Wording("owns", "start", "", "{a} owns {n} {t}."),
        Wording("boxes", "start", "", "{a} has {n} boxes of {m} {t}."),
        Wording("basket", "start", "", "{n} {t} lie in the basket of {a}.", rare=True),
        Wording("finds", "event", "+", "{a} finds {n} more."),
        Wording("buys", "event", "+", "{a} buys {n} more."),
        Wording("gets", "event", "+", "{a} gets {n} from {b}."),
        Wording("bags", "event", "+", "{a} buys {n} bags of {m}."),
        Wording("luck", "event", "+", "Good luck brings {a} another {n}.", rare=True),
        Wording("loses", "event", "-", "{a} loses {n}."),
        Wording("sells", "event", "-", "{a} sells {n}."),
        Wording("gives", "event", "-", "{a} gives {n} to {b}."),
        Wording("packs", "event", "-", "{a} sells {n} bags of {m}."),
        Wording("storm", "event", "-", "A storm takes {n} of them.", rare=True),
        Wording("times", "event", "*", "Soon {a} has {n} times as many."),
        Wording("wizard", "event", "*", "A wizard turns each one into {n}.", rare=True),
        Wording("shares", "event", "/", "{a} makes {n} equal piles and keeps one."),
        Wording("fraction", "event", "/", "Only one of every {n} stays with {a}.", rare=True),
        Wording("now", "question", "", "How many {t} does {a} have now?"),
        Wording("end", "question", "", "How many {t} does {a} have in the end?"),
        Wording("tell", "question", "", "Tell how many {t} {a} still holds.", rare=True),
    )
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A wording with its numbers (two numbers mean their product) and, where the wording has one, the friend."""

    wording: str
    numbers: tuple[int, ...] = ()
    friend: str = ""

    @property
    def operand(self) -> Tree:
        """What the phrase adds, takes, multiplies by, divides by, or starts with."""
        if len(self.numbers) == 2:
            return Op("*", Num(self.numbers[0]), Num(self.numbers[1]))
        return Num(self.numbers[0])


@dataclass(frozen=True)
class Story:
    """A word problem: who, what, how it begins, what happens, what is asked."""

    owner: str
    things: str
    start: Phrase
    events: tuple[Phrase, ...]
    question: Phrase

    @cached_property
    def tree(self) -> Tree:
        """The arithmetic that the story tells."""
        tree = self.start.operand
        for event in self.events:
            tree = Op(WORDINGS[event.wording].symbol, tree, event.operand)
        return tree

    @property
    def rare(self) -> bool:
        """Whether any sentence uses a rare wording."""
        return any(WORDINGS[p.wording].rare for p in (self.start, *self.events, self.question))

    def __str__(self) -> str:
        return " ".join(self._write(p) for p in (self.start, *self.events, self.question))

    def _write(self, phrase: Phrase) -> str:
        numbers = dict(zip("nm", phrase.numbers, strict=False))
        return WORDINGS[phrase.wording].text.format(a=self.owner, b=phrase.friend, t=self.things, **numbers)


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[str]]:
    slots = {
        r"\{a\}": f"(?P<a>{'|'.join(NAMES)})", r"\{b\}": f"(?P<b>{'|'.join(NAMES)})",
        r"\{t\}": f"(?P<t>{'|'.join(THINGS)})", r"\{n\}": r"(?P<n>\d{1,9})", r"\{m\}": r"(?P<m>\d{1,9})",
    }  # fmt: skip
    made = {}
    for id, wording in WORDINGS.items():
        pattern = re.escape(wording.text).replace(r"\ ", " ")
        for slot, group in slots.items():
            pattern = pattern.replace(slot, group)
        made[id] = re.compile(r"(?<!\w)" + pattern + "$" if wording.part == "start" else pattern)
    return made


def read_story(text: str) -> Story | None:
    """The last story in a text, which may stand inside other words (an instruction, a heading); None when there
    is none.

    A story is a start, at least one event (none only after a start that is itself a product) and a question, each about
    the same owner and things, sentence after sentence.
    """
    sentences = re.findall(r"[^.?!\n]+[.?!]", text)
    for first in range(len(sentences) - 1, -1, -1):
        story = _read_from(sentences[first:])
        if story is not None:
            return story
    return None


def _read_from(sentences: list[str]) -> Story | None:
    start = next(_matches(sentences[0].strip(), "start"), None)
    if start is None:
        return None
    begin, found = start
    owner, things = found["a"], found["t"]

    def fits(phrase: Phrase, slots: dict[str, str]) -> bool:
        return slots.get("a", owner) == owner and slots.get("t", things) == things and phrase.friend != owner

    events: list[Phrase] = []
    for sentence in sentences[1:]:
        text = sentence.strip()
        event = next((p for p, slots in _matches(text, "event") if fits(p, slots)), None)
        if event is not None:
            events.append(event)
            continue
        question = next((p for p, slots in _matches(text, "question") if fits(p, slots)), None)
        if question is None or not (events or len(begin.numbers) == 2):
            return None
        story = Story(owner, things, begin, tuple(events), question)
        try:
            _ = story.tree.value
        except ValueError:
            return None
        return story
    return None


def _matches(sentence: str, part: Part) -> Iterator[tuple[Phrase, dict[str, str]]]:
    for id, pattern in _patterns().items():
        if WORDINGS[id].part != part:
            continue
        found = pattern.search(sentence) if part == "start" else pattern.fullmatch(sentence)
        if found:
            slots = {k: v for k, v in found.groupdict().items() if v is not None}
            yield Phrase(id, tuple(int(slots[s]) for s in "nm" if s in slots), slots.get("b", "")), slots


def words() -> list[str]:
    """Every word and mark that stories and rationales are written with, in one fixed order; digits apart."""
    text = " ".join(w.text for w in WORDINGS.values())
    found = re.findall(r"[A-Za-z]+", re.sub(r"\{\w\}", " ", text))
    return sorted({*NAMES, *THINGS, *found})
