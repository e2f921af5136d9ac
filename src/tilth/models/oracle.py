"""A model that knows the truth of a world and is wrong at a known rate. Knows worlds only through their
protocol.

Whether an answer is wrong is one Bernoulli(error) decided by a hash of (problem, draw, seed): over many
problems the measured error rate estimates `error` without bias, and the same question always gets the same
answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Model, Reply, Request
from tilth.models.doubles import finished, hash_key, hash_uniform
from tilth.models.spec import Spec
from tilth.rows.text import turn_text
from tilth.worlds.registry import WORLDS
from tilth.worlds.world import World

STYLES = ("rationale", "answer")
COLUMNS = ("prompt", "question", "problem", "instruction")
"""Where a row's problem stands, tried in this order."""
NO_PROBLEM = "I can only answer problems of the world {world}, and there is none in this message."
_LABEL = re.compile(r"^\s*(?:#+\s*)?(?:question|problem|task|instruction|q)\s*\d*\s*[:.]\s*", re.I)


def open_oracle(spec: Spec) -> Model:
    """``oracle:WORLD?error=.1&seed=0&style=rationale|answer``."""
    options = spec.options({"error": 0.0, "seed": 0, "style": "rationale"})
    if not spec.rest:
        raise UsageError("oracle names no world", where=spec.text, todo=f"worlds: {', '.join(WORLDS)}")
    if not 0 <= options["error"] <= 1:
        raise UsageError(f"error={options['error']} is not a rate", where=spec.text, todo="give 0 to 1")
    if options["style"] not in STYLES:
        hint = did_you_mean(options["style"], STYLES)
        raise UsageError(f"no style '{options['style']}'", where=spec.text, todo=hint)
    return Oracle(WORLDS.load(spec.rest), **options)


class Oracle:
    """A world's program as a model.

    Args:
        world: knows the answers.
        error: the probability of a wrong answer, independent over problems and draws.
        seed: another seed makes other problems wrong.
        style: ``rationale`` gives the worked solution with a last line ``#### answer``; ``answer`` that line
            alone.
    """

    local = True

    def __init__(self, world: World, *, error: float = 0.0, seed: int = 0, style: str = "rationale") -> None:
        self.world, self.error, self.seed, self.style = world, error, seed, style
        self.identity = f"oracle:{world.id}?error={error:g}&seed={seed}&style={style}"
        self.name = f"oracle:{world.id}"

    async def send(self, request: Request) -> list[Reply]:
        """Solve the problem found in the request, or say that there is none."""
        problem = self.problem(request)
        draws = range(request.draw, request.draw + request.n)
        return [finished(self._answer(problem, draw), request, draw, self.identity) for draw in draws]

    async def close(self) -> None:
        """Nothing to release."""

    def wrong(self, problem: str, draw: int) -> bool:
        """Whether this draw's answer to `problem` is a wrong one."""
        return hash_uniform("oracle", problem, draw, self.seed) < self.error

    def problem(self, request: Request) -> str | None:
        """The world's problem that a request asks: the row's own when the text holds it, else the last in the
        text.
        """
        asked = _plain(request.text)
        for column in COLUMNS:
            text = request.row.get(column)
            if isinstance(text, str) and _plain(text) in asked and self.world.solve(text) is not None:
                return text.strip()
        for message in reversed(request.messages):
            if message.get("role") in ("user", "raw"):
                for text in _candidates(message):
                    if self.world.solve(text) is not None:
                        return text
        return None

    def _answer(self, problem: str | None, draw: int) -> str:
        if problem is None:
            return NO_PROBLEM.format(world=self.world.id)
        if self.wrong(problem, draw):
            solution = self.world.corrupt(problem, Random(hash_key("corrupt", problem, draw, self.seed)))
        else:
            solution = self.world.solve(problem) or ""
        return solution if self.style == "rationale" else solution.strip().rpartition("\n")[2]


def _plain(text: str) -> str:
    return " ".join(text.split())


def _candidates(message: Mapping[str, Any]) -> Iterator[str]:
    """The whole turn, then its paragraphs, then its lines, from the last; labels such as ``Question:``
    removed.
    """
    text = turn_text(message).strip()
    seen = set()
    for part in (text, *reversed(re.split(r"\n\s*\n", text)), *reversed(text.splitlines())):
        for candidate in (part.strip(), _LABEL.sub("", part).strip()):
            if candidate and candidate not in seen:
                seen.add(candidate)
                yield candidate
