"""Story arithmetic: word problems of one to three steps with text, worked rationale and exact answer.

Its skills are known, so a training set can be made that lacks some (`without`), and what a model then fails at
is known too. Knows no model and no verifier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tilth.errors import UsageError
from tilth.worlds.knobs import check_names, read_knobs
from tilth.worlds.stories import NAMES, THINGS, WORDINGS, Part, Phrase, Story, read_story
from tilth.worlds.tree import SYMBOLS, Step, apply, rationale, steps

SKILLS = ("add", "add-carry", "sub", "sub-borrow", "mul", "div", "two-step", "three-step", "rare-wording")
SUBTRACTION: dict[str, Any] = {
    "steps": (1, 2), "operators": "+-", "largest": 20, "ceiling": 40, "skills": ("sub", "sub-borrow"),
}  # fmt: skip
"""Knobs of small problems that need a subtraction: what the shipped student lacks and the shipped writer half knows."""
_ATTEMPTS = 2_000
_PRODUCT_START = 0.15
"""Chance that a story begins with boxes; more would make products the commonest of all one-step problems."""
_FINAL = re.compile(r"####[ \t]*(-?\d+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Knobs:
    """What `StoryArithmetic.problems` can be asked for.

    Args:
        steps: allowed numbers of operations, each drawn equally often; out of 1, 2, 3.
        operators: allowed operations, out of ``+-*/``.
        largest: the largest number that a start or an addition or subtraction states.
        factor: the largest multiplier, divisor and number of bags or boxes.
        ceiling: the largest value on the way and at the end.
        rare: chance of each sentence to take a rare wording (1 = always).
        skills: each problem asks for at least one of these; empty = any.
        without: no problem asks for any of these: a known gap.
    """

    steps: Sequence[int] = (1, 2)
    operators: str = SYMBOLS
    largest: int = 60
    factor: int = 9
    ceiling: int = 200
    rare: float = 0.0
    skills: Sequence[str] = ()
    without: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_names("story-arithmetic", "skill", (*self.skills, *self.without), SKILLS)
        if not self.steps or any(s not in (1, 2, 3) for s in self.steps):
            raise UsageError(f"steps {list(self.steps)} of story-arithmetic", todo="choose out of 1, 2 and 3")
        if not self.operators or any(o not in SYMBOLS for o in self.operators):
            raise UsageError(f"operators '{self.operators}' of story-arithmetic", todo=f"choose out of {SYMBOLS}")
        if min(self.largest, self.factor) < 2 or self.ceiling < 4:
            raise UsageError("story-arithmetic needs largest and factor of at least 2 and a ceiling of at least 4")


class StoryArithmetic:
    """The world ``story-arithmetic``."""

    id = "story-arithmetic"
    skills = SKILLS

    def problems(self, n: int, seed: int, **knobs: Any) -> list[dict[str, Any]]:
        """Make `n` rows with different prompts.

        Args:
            n: how many.
            seed: the same seed and knobs give the same rows; the first rows do not depend on `n`.
            knobs: see `Knobs`.

        Returns:
            Rows ``prompt, completion, answer, skill, skills, steps``: ``skill`` is the hardest thing asked for (a rare
            wording, else more than one step, else the operation), ``skills`` is everything asked for.

        Raises:
            UsageError: a knob is unknown or wrong, or the knobs leave no new problem.
        """
        settings, rng = read_knobs(Knobs, self.id, knobs), Random(f"story-arithmetic:{seed}")
        rows: list[dict[str, Any]] = []
        seen: set[str] = set()
        while len(rows) < n:
            for _ in range(_ATTEMPTS):
                story = _tell(settings, rng)
                if story is not None and str(story) not in seen and _wanted(story, settings):
                    break
            else:
                raise UsageError(
                    f"no new story after {len(rows)} with {knobs}",
                    todo="widen the ranges, steps, operators or skills",
                )
            seen.add(str(story))
            rows.append(_row(story))
        return rows

    def skill_of(self, prompt: str) -> str | None:
        """The hardest thing that a prompt asks for; None when it holds no story."""
        story = read_story(prompt)
        return None if story is None else skills_of(story)[-1]

    def solve(self, prompt: str) -> str | None:
        """The gold rationale for a prompt, by reading the text; None when it holds no story."""
        story = read_story(prompt)
        return None if story is None else rationale(steps(story.tree), story.tree.value)

    def answer(self, prompt: str) -> str | None:
        """The answer to a prompt as a whole number's digits; None when it holds no story."""
        story = read_story(prompt)
        return None if story is None else str(story.tree.value)

    def corrupt(self, prompt: str, rng: Random) -> str:
        """A rationale with one slip (a digit off, a lost carry, a wrong operation, or a step left out) and a
        wrong answer.

        Raises:
            ValueError: the prompt holds no story.
        """
        story = read_story(prompt)
        if story is None:
            raise ValueError(f"not a problem of story-arithmetic: {prompt[:80]!r}")
        right = steps(story.tree)
        while True:
            worked, answer = _slip(right, rng)
            if answer != story.tree.value:
                return rationale(worked, answer)

    def check(self, prompt: str, completion: str) -> bool | None:
        """Whether the last ``#### n`` line is the answer; None without such a line or without a story."""
        answer, found = self.answer(prompt), _FINAL.findall(completion)
        return None if answer is None or not found else int(found[-1]) == int(answer)


STORY = StoryArithmetic()


def skills_of(story: Story) -> list[str]:
    """Everything that a story asks for, in the order of `SKILLS`."""
    worked = steps(story.tree)
    asked = {s.skill for s in worked} | {{2: "two-step", 3: "three-step"}.get(len(worked), "")}
    if story.rare:
        asked.add("rare-wording")
    return [s for s in SKILLS if s in asked]


def _row(story: Story) -> dict[str, Any]:
    worked, skills = steps(story.tree), skills_of(story)
    return {
        "prompt": str(story), "completion": rationale(worked, story.tree.value), "answer": str(story.tree.value),
        "skill": skills[-1], "skills": skills, "steps": len(worked),
    }  # fmt: skip


def _wanted(story: Story, knobs: Knobs) -> bool:
    asked = set(skills_of(story))
    return (not knobs.skills or not asked.isdisjoint(knobs.skills)) and asked.isdisjoint(knobs.without)


def _choose(part: Part, rng: Random, knobs: Knobs, symbol: str = "", numbers: Sequence[int] = (0, 1, 2)) -> str | None:
    rare = rng.random() < knobs.rare
    fit = [w for w in WORDINGS.values() if w.part == part and w.symbol == symbol and w.numbers in numbers]
    fit = [w for w in fit if w.rare == rare] or fit
    return rng.choice(fit).id if fit else None


def _tell(knobs: Knobs, rng: Random) -> Story | None:
    """One attempt at a story; None when the numbers do not work out."""
    owner, friend = rng.sample(NAMES, 2)
    left = rng.choice(list(knobs.steps))
    product = (1, 2) if "*" in knobs.operators else (1,)
    begin = _choose("start", rng, knobs, numbers=product[-1:] if rng.random() < _PRODUCT_START else (1,))
    assert begin is not None
    start = Phrase(begin, _numbers(WORDINGS[begin].numbers, knobs, rng))
    value, left = start.operand.value, left - (len(start.numbers) - 1)
    events: list[Phrase] = []
    while left > 0:
        symbol = rng.choice(knobs.operators)
        id = _choose("event", rng, knobs, symbol, product if left > 1 else (1,))
        if id is None:
            return None
        wording = WORDINGS[id]
        if symbol == "/":
            divisors = [d for d in range(2, knobs.factor + 1) if value % d == 0]
            if not divisors:
                return None
            numbers: tuple[int, ...] = (rng.choice(divisors),)
        elif symbol == "*":
            numbers = (rng.randint(2, knobs.factor),)
        else:
            numbers = _numbers(wording.numbers, knobs, rng)
        event = Phrase(id, numbers, friend if "{b}" in wording.text else "")
        value = apply(symbol, value, event.operand.value)
        if not 1 <= value <= knobs.ceiling:
            return None
        events.append(event)
        left -= wording.numbers
    question = _choose("question", rng, knobs)
    assert question is not None
    story = Story(owner, rng.choice(THINGS), start, tuple(events), Phrase(question))
    return story if start.operand.value <= knobs.ceiling else None


def _numbers(count: int, knobs: Knobs, rng: Random) -> tuple[int, ...]:
    if count == 2:
        return rng.randint(2, knobs.factor), rng.randint(2, knobs.factor)
    return (rng.randint(2, knobs.largest),)


def _slip(right: list[Step], rng: Random) -> tuple[list[Step], int]:
    """Work the steps again with one slip; later steps follow from the wrong value."""
    at, kind = rng.randrange(len(right)), rng.choice(("digit", "carry", "operation", "skip"))
    worked: list[Step] = []
    wrong: dict[int, int] = {}
    for i, step in enumerate(right):
        a, b, symbol = wrong.get(step.a, step.a), wrong.get(step.b, step.b), step.symbol
        if i == at and kind == "skip" and len(right) > 1:
            wrong[step.result] = a
            continue
        if i == at and kind == "operation":
            symbol = rng.choice([s for s in "+-*" if s != symbol])
        if symbol == "-" and b > a:
            a, b = b, a
        try:
            result = apply(symbol, a, b)
        except ValueError:
            result = a // b if b else a
        if i == at and kind in ("digit", "carry", "skip"):
            result = max(0, result + rng.choice((-1, 1)) * (10 if kind == "carry" else 1))
        worked.append(Step(symbol, a, b, result))
        wrong[step.result] = result
    return worked, worked[-1].result
