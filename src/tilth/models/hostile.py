"""A model that answers badly in every way that filters and parsers must survive. Knows no method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Model, Reply, Request
from tilth.models.doubles import finished, hash_key, request_key
from tilth.models.spec import Spec

LARGE = 100_000
"""Characters of the large answer."""
_TEXT = "The lamp on the third shelf was mended on a Tuesday."


def _numbering(request: Request, rng: Random) -> Reply:
    return Reply("\n".join(f"{number}. {_TEXT}" for number in (1, 3, 3, 7, 2)))


def _control(request: Request, rng: Random) -> Reply:
    marks = [chr(c) for c in range(32)] + ["\x7f", "\u200b", "\u202e", "\u2028", "\ufeff", "\ufffd", "\ufffe"]
    return Reply("".join(f"{word}{rng.choice(marks)}" for word in _TEXT.split()))


def _fences(request: Request, rng: Random) -> Reply:
    inner = "```python\nprint('''\n```json\n{\"a\": 1}\n```\n''')\n```"
    return Reply(f"Here you are:\n````markdown\n{inner}\n````\n```\n{inner}\n```\nand ```unfinished")


def _cut(request: Request, rng: Random) -> Reply:
    return Reply(_TEXT[: rng.randrange(1, len(_TEXT))], finish_reason="length")


KINDS: Mapping[str, Callable[[Request, Random], Reply]] = {
    "empty": lambda request, rng: Reply(""),
    "whitespace": lambda request, rng: Reply(" \n\t\u00a0\u3000\n"),
    "refusal": lambda request, rng: Reply("I'm sorry, but I can't help with that."),
    "echo": lambda request, rng: Reply(request.text),
    "truncated-json": lambda request, rng: Reply(
        '{"items": [{"text": "one", "score": 4}, {"text": "tw', finish_reason="length"
    ),
    "duplicates": lambda request, rng: Reply("\n".join(f"{i + 1}. {_TEXT}" for i in range(5))),
    "numbering": _numbering,
    "language": lambda request, rng: Reply("Лампу на третьей полке починили во вторник. 三番目の棚のランプ。"),
    "large": lambda request, rng: Reply((_TEXT + " ") * (LARGE // (len(_TEXT) + 1) + 1)),
    "control": _control,
    "fences": _fences,
    "cut": _cut,
}
"""Kinds of bad answers."""


def open_hostile(spec: Spec) -> Model:
    """``hostile?kinds=empty,refusal&seed=0``; all kinds without `kinds`."""
    if spec.rest:
        raise UsageError("hostile takes no name", where=spec.text, todo="write hostile?kinds=empty,refusal")
    options = spec.options({"kinds": tuple(KINDS), "seed": 0})
    for kind in options["kinds"]:
        if kind not in KINDS:
            raise UsageError(f"no bad answer is called '{kind}'", where=spec.text, todo=did_you_mean(kind, KINDS))
    return Hostile(**options)


class Hostile:
    """Bad answers, chosen by a hash of (request, draw, seed).

    Args:
        kinds: which of `KINDS` to give.
        seed: another seed spreads the kinds differently.
    """

    local = True

    def __init__(self, kinds: tuple[str, ...] = tuple(KINDS), seed: int = 0) -> None:
        self.kinds, self.seed = kinds, seed
        self.identity = f"hostile?kinds={','.join(kinds)}&seed={seed}"
        self.name = "hostile"

    def kind(self, request: Request, draw: int) -> str:
        """Which bad answer this draw gets."""
        return self._rng(request, draw).choice(self.kinds)

    async def send(self, request: Request) -> list[Reply]:
        """Answer badly."""
        replies = []
        for draw in range(request.draw, request.draw + request.n):
            rng = self._rng(request, draw)
            bad = KINDS[rng.choice(self.kinds)](request, rng)
            replies.append(finished(bad, request, draw, self.identity))
        return replies

    async def close(self) -> None:
        """Nothing to release."""

    def _rng(self, request: Request, draw: int) -> Random:
        return Random(hash_key("hostile", request_key(request), draw, self.seed))
