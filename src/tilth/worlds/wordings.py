"""Rare wordings: one-step sums and differences told in twelve ways, eight of which are rare.

The arithmetic is the same in all of them, so what a model trained on the common four fails at is the words alone, the
opposite of `story-arithmetic` with a skill left out. Each rare wording holds a known share of the problems (by default
1 %), so a set of seeds hints at the gap and hardly more. Knows no model and no verifier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from tilth.errors import UsageError
from tilth.worlds.knobs import check_names, read_knobs
from tilth.worlds.stories import NAMES, THINGS
from tilth.worlds.tree import Num, Op, rationale, steps

ID = "rare-wordings"
_ATTEMPTS = 2_000
_FINAL = re.compile(r"####[ \t]*(-?\d+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Telling:
    """One way to tell a problem.

    Args:
        id: its name, which is the problem's skill.
        symbol: ``+`` or ``-``; the problem is ``n symbol m``.
        text: template with ``{a}`` a name, ``{t}`` things, ``{n}`` and ``{m}`` the numbers, in whatever order.
        rare: whether it is one of the rare ones.
    """

    id: str
    symbol: str
    text: str
    rare: bool = True


TELLINGS = {
    t.id: t
    for t in (
        Telling("finds", "+", "{a} has {n} {t} and finds {m} more. How many {t} does {a} have now?", rare=False),
        Telling("loses", "-", "{a} has {n} {t} and loses {m}. How many {t} does {a} have now?", rare=False),
        Telling("buys", "+", "{a} owns {n} {t} and buys {m} more. How many {t} does {a} own now?", rare=False),
        Telling("gives", "-", "{a} owns {n} {t} and gives {m} away. How many {t} does {a} own now?", rare=False),
        Telling("tide", "+", "To the {n} {t} of {a} the tide adds {m}. Count the heap."),
        Telling("moths", "-", "Moths ruin {m} of the {n} {t} kept by {a}. What remains?"),
        Telling("ledger", "-", "Ledger of {a}: {t} {n}, taken {m}. State the balance."),
        Telling("shelves", "+", "One shelf of {a} bears {n} {t}, the other {m}. Altogether?"),
        Telling("debt", "-", "Out of {n} {t} a debt of {m} is paid by {a}. What stays?"),
        Telling("parcel", "+", "A parcel with {m} {t} reaches {a}, whose store was {n}. How large is it?"),
        Telling("wish", "-", "{a} wishes for {n} {t} but holds only {m}. Name the lack."),
        Telling("harvest", "+", "After a harvest of {m} {t} on top of {n}, what may {a} call her own?"),
    )
}
RARE = tuple(t.id for t in TELLINGS.values() if t.rare)
COMMON = tuple(t.id for t in TELLINGS.values() if not t.rare)


@dataclass(frozen=True, slots=True)
class Knobs:
    """What `RareWordings.problems` can be asked for.

    Args:
        rare: share of each rare wording; the common ones have the rest in equal parts.
        largest: the largest number stated.
        skills: wordings to use, equally often; empty = all, in their shares.
        without: wordings to leave out: a known gap.
    """

    rare: float = 0.01
    largest: int = 30
    skills: Sequence[str] = ()
    without: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_names(ID, "skill", (*self.skills, *self.without), tuple(TELLINGS))
        if not 0 <= self.rare <= 1 / len(RARE):
            raise UsageError(f"rare={self.rare} in {ID}", todo=f"give a share from 0 to {1 / len(RARE)}")
        if self.largest < 3:
            raise UsageError(f"largest={self.largest} in {ID}", todo="give at least 3")

    def weights(self) -> dict[str, float]:
        """Share of each wording in use.

        Raises:
            UsageError: none is left.
        """
        common = (1 - self.rare * len(RARE)) / len(COMMON)
        found = {id: 1.0 if self.skills else self.rare if t.rare else common for id, t in TELLINGS.items()}
        found = {id: w for id, w in found.items() if id not in self.without and (not self.skills or id in self.skills)}
        if not sum(found.values()):
            raise UsageError(f"no wording of {ID} is left", todo="name fewer in without, or more in skills")
        return found


@dataclass(frozen=True, slots=True)
class Told:
    """A problem as read: its wording and numbers."""

    telling: str
    n: int
    m: int

    @property
    def tree(self) -> Op:
        """The arithmetic."""
        return Op(TELLINGS[self.telling].symbol, Num(self.n), Num(self.m))


class RareWordings:
    """The world ``rare-wordings``."""

    id = ID
    skills = tuple(TELLINGS)

    def problems(self, n: int, seed: int, **knobs: Any) -> list[dict[str, Any]]:
        """Make `n` rows with different prompts; see `tilth.worlds.world.World.problems` and `Knobs`."""
        settings, rng = read_knobs(Knobs, self.id, knobs), Random(f"{self.id}:{seed}")
        shares = settings.weights()
        rows: list[dict[str, Any]] = []
        seen: set[str] = set()
        for _ in range(n):
            for _ in range(_ATTEMPTS):
                row = _row(rng.choices(list(shares), list(shares.values()))[0], settings.largest, rng)
                if row["prompt"] not in seen:
                    break
            else:
                raise UsageError(f"no new problem after {len(rows)} with {knobs}", todo="widen largest or skills")
            seen.add(row["prompt"])
            rows.append(row)
        return rows

    def read(self, prompt: str) -> Told | None:
        """The problem that a prompt is, as a whole; None when it is none."""
        text = " ".join(prompt.split())
        for id, pattern in _patterns().items():
            found = pattern.fullmatch(text)
            if found:
                told = Told(id, int(found["n"]), int(found["m"]))
                return told if told.m >= 1 and told.tree.value >= 0 else None
        return None

    def skill_of(self, prompt: str) -> str | None:
        """The wording of a prompt; None when it is not a problem of this world."""
        told = self.read(prompt)
        return None if told is None else told.telling

    def solve(self, prompt: str) -> str | None:
        """The gold rationale for a prompt; None when it is not a problem of this world."""
        told = self.read(prompt)
        return None if told is None else rationale(steps(told.tree), told.tree.value)

    def answer(self, prompt: str) -> str | None:
        """The answer's digits; None when the prompt is not a problem of this world."""
        told = self.read(prompt)
        return None if told is None else str(told.tree.value)

    def corrupt(self, prompt: str, rng: Random) -> str:
        """The rationale of the other operation, or one with a slip in the result.

        Raises:
            ValueError: the prompt is not a problem of this world.
        """
        told = self.read(prompt)
        if told is None:
            raise ValueError(f"not a problem of {self.id}: {prompt[:80]!r}")
        right = told.tree.value
        other = Op("-" if told.tree.symbol == "+" else "+", told.tree.left, told.tree.right)
        if other.value >= 0 and rng.random() < 0.5:
            return rationale(steps(other), other.value)
        wrong = max(0, right + rng.choice((-10, -1, 1, 10)))
        wrong = right + 1 if wrong == right else wrong
        return f"{told.n} {told.tree.symbol} {told.m} = {wrong}\n#### {wrong}"

    def check(self, prompt: str, completion: str) -> bool | None:
        """Whether the last ``#### n`` line is the answer; None without such a line or problem."""
        answer, found = self.answer(prompt), _FINAL.findall(completion)
        return None if answer is None or not found else int(found[-1]) == int(answer)


WORDINGS_WORLD = RareWordings()


def _row(id: str, largest: int, rng: Random) -> dict[str, Any]:
    n, m = rng.randint(2, largest), rng.randint(2, largest)
    if TELLINGS[id].symbol == "-":
        n, m = max(n, m), min(n, m)
    told = Told(id, n, m)
    return {
        "prompt": TELLINGS[id].text.format(a=rng.choice(NAMES), t=rng.choice(THINGS), n=n, m=m),
        "completion": rationale(steps(told.tree), told.tree.value), "answer": str(told.tree.value), "skill": id,
    }  # fmt: skip


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[str]]:
    made = {}
    for id, telling in TELLINGS.items():
        pattern = re.escape(telling.text).replace(r"\ ", " ")
        for slot, options in (("a", "|".join(NAMES)), ("t", "|".join(THINGS)), ("n", r"\d{1,4}"), ("m", r"\d{1,4}")):
            first, *rest = pattern.split(rf"\{{{slot}\}}")
            pattern = first + "".join(
                (f"(?P<{slot}>{options})" if not i else f"(?P={slot})") + r for i, r in enumerate(rest)
            )
        made[id] = re.compile(pattern)
    return made
