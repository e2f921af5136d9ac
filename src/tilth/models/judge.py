"""A judge with known rates: it keeps right answers at the rate phi, wrong ones at the rate rho, and may
favour the first of a pair. It reads the truth from the row and the wanted form of the verdict from the
request; it knows no method.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from tilth.errors import UsageError
from tilth.models.base import Model, Reply, Request
from tilth.models.doubles import finished, hash_uniform, request_key
from tilth.models.oracle import Oracle
from tilth.models.spec import Spec
from tilth.rows.text import last_assistant
from tilth.worlds.registry import WORLDS

LABELS = (
    ("incorrect", "correct"), ("invalid", "valid"), ("unsafe", "safe"), ("wrong", "right"), ("fail", "pass"),
    ("reject", "accept"), ("no", "yes"), ("false", "true"), ("bad", "good"), ("-", "+"),
)  # fmt: skip
"""Pairs of words (bad, good) that verdicts are given in, the longer first."""
_GOOD = {word for _, word in LABELS} | {"1", "keep", "kept"}
_BAD = {word for word, _ in LABELS} | {"0", "drop", "dropped"}
_RANGE = re.compile(r"(-?\d+)\s*(?:-|–|to|through|and|\.\.)\s*(\d+)|(?:out of|/)\s*(\d+)", re.I)
_SCORING = re.compile(r"\b(?:scores?|rating|rate|grade|scale|points?)\b", re.I)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_LINE = re.compile(r"^\W*([A-Za-z][A-Za-z ]{0,30}):\s*\W*(?:<|\[|\{|\d|A\b|yes|no|[A-Z_]+\b)", re.M | re.I)

_NAMES = "score verdict rating decision judgement judgment better winner label answer result choice preference"


def open_judge(spec: Spec) -> Model:
    """``noisy-judge?rho=.1&phi=.9&position=0&seed=0&world=WORLD``."""
    options = spec.options({"rho": 0.0, "phi": 1.0, "position": 0.0, "seed": 0, "world": ""})
    if spec.rest:
        raise UsageError("noisy-judge takes no name", where=spec.text, todo="write noisy-judge?rho=.1&phi=.9")
    for name in ("rho", "phi", "position"):
        if not 0 <= options[name] <= 1:
            raise UsageError(f"{name}={options[name]} is not a rate", where=spec.text, todo="give 0 to 1")
    return NoisyJudge(**options)


class NoisyJudge:
    """A judge whose mistakes are planted.

    Args:
        rho: probability that it calls a wrong answer right.
        phi: probability that it calls a right answer right; of a pair, that it names the better one.
        position: probability that it names the first of a pair whatever the answers are.
        seed: another seed makes other mistakes.
        world: a world that knows the answer when the row does not say it.

    The truth is the row's column ``truth``; else the last answer in ``completion`` (or in the request)
    against ``answer`` (or the world's). Of a pair, ``chosen`` is the better, or ``truth`` is ``a`` or ``b``.
    Where the truth is not to be had, the verdict is words without a decision.
    """

    local = True

    def __init__(
        self,
        rho: float = 0.0,
        phi: float = 1.0,
        position: float = 0.0,
        seed: int = 0,
        world: str = "",
    ) -> None:
        self.rho, self.phi, self.position, self.seed = rho, phi, position, seed
        self.oracle = Oracle(WORLDS.load(world)) if world else None
        self.identity = f"noisy-judge?rho={rho:g}&phi={phi:g}&position={position:g}&seed={seed}&world={world}"
        self.name = "noisy-judge"

    async def send(self, request: Request) -> list[Reply]:
        """Judge what the request shows."""
        draws = range(request.draw, request.draw + request.n)
        return [finished(self._verdict(request, draw), request, draw, self.identity) for draw in draws]

    async def close(self) -> None:
        """Nothing to release."""

    def _verdict(self, request: Request, draw: int) -> str:
        key = request_key(request)
        luck = hash_uniform("judge", key, draw, self.seed)
        first = first_is_better(request)
        if first is not None:
            says_first = first if luck < self.phi else not first
            if hash_uniform("position", key, draw, self.seed) < self.position:
                says_first = True
            return _say_pair(request, says_first)
        right = self._right(request)
        if right is None:
            return "I cannot tell from what is given."
        return _say_single(request, luck < (self.phi if right else self.rho))

    def _right(self, request: Request) -> bool | None:
        truth = request.row.get("truth")
        if isinstance(truth, bool):
            return truth
        if truth is not None and str(truth).lower() in _GOOD | _BAD:
            return str(truth).lower() in _GOOD
        wanted = request.row.get("answer")
        if wanted is None and self.oracle is not None:
            problem = self.oracle.problem(request)
            wanted = self.oracle.world.answer(problem) if problem else None
        given = last_number(last_assistant(request.row) or request.text)
        if wanted is None or given is None:
            return None
        return given == last_number(str(wanted))


def first_is_better(request: Request) -> bool | None:
    """Of a request that shows a pair, whether the answer shown first is the better; None for other
    requests.
    """
    truth = request.row.get("truth")
    if isinstance(truth, str) and truth.lower() in ("a", "b"):
        return truth.lower() == "a"
    pair = [last_assistant({"completion": request.row.get(name)}) for name in ("chosen", "rejected")]
    if not all(isinstance(text, str) and text.strip() for text in pair):
        return None
    at = [request.text.find(str(text).strip()) for text in pair]
    return None if min(at) < 0 or at[0] == at[1] else at[0] < at[1]


def last_number(text: str) -> str | None:
    """The final answer of a solution: the last number behind ``####``, else the last number of all."""
    marked = text.rpartition("####")
    found = _NUMBER.findall(marked[2].strip().partition("\n")[0] if marked[1] else text)
    return found[-1].replace(",", "").rstrip(".") if found else None


def _say_pair(request: Request, first: bool) -> str:
    if request.schema is not None:
        return _fill(request.schema, first, ("A", "B"))
    text = request.text
    if "[[A]]" in text:
        return f"Comparing the two.\n[[{'A' if first else 'B'}]]"
    numbered = re.search(r"\b(?:answer|response|output|assistant) 1\b", text, re.I)
    word = ("1" if first else "2") if numbered else ("A" if first else "B")
    return f"Comparing the two.\n{_label(text, 'Verdict')}: {word}"


def _say_single(request: Request, good: bool) -> str:
    if request.schema is not None:
        return _fill(request.schema, good, ("yes", "no"))
    text = request.text
    bounds = _bounds(text) if _SCORING.search(text) else None
    if bounds:
        return f"Weighing the answer.\n{_label(text, 'Score')}: {bounds[1] if good else bounds[0]}"
    lower = text.lower()
    words = next(
        (p for p in LABELS if all(re.search(rf"(?<!\w){re.escape(w)}(?!\w)", lower) for w in p)),
        ("no", "yes"),
    )
    return f"Weighing the answer.\n{_label(text, 'Verdict')}: {words[1] if good else words[0]}"


def _bounds(text: str) -> tuple[int, int] | None:
    """The scale of scores: the last range that stands near a word for scores, else the last of all."""
    near, anywhere = None, None
    for match in _RANGE.finditer(text):
        low, high = (int(match[1]), int(match[2])) if match[1] else (0, int(match[3]))
        if low < high <= 100:
            anywhere = (low, high)
            around = text[max(0, match.start() - 60) : match.end() + 20]
            near = (low, high) if _SCORING.search(around) else near
    return near or anywhere


def _label(text: str, default: str) -> str:
    """The name before the colon in the line that the request shows as the form of the verdict."""
    named = [m[1] for m in _LINE.finditer(text) if m[1].strip().lower() in _NAMES.split()]
    return named[-1] if named else default


def _fill(schema: Mapping[str, Any], good: bool, words: tuple[str, str]) -> str:
    """An instance of the schema in which every decision is the same."""
    return orjson.dumps(_instance(schema, good, words)).decode()


def _instance(schema: Mapping[str, Any], good: bool, words: tuple[str, str]) -> Any:
    if "enum" in schema:
        return _choice(list(schema["enum"]), good, words)
    kind = schema.get("type")
    if kind == "object":
        return {name: _instance(part, good, words) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_instance(schema.get("items", {}), good, words)] * max(1, schema.get("minItems", 1))
    if kind == "boolean":
        return good
    if kind in ("integer", "number"):
        return schema.get("maximum", 1) if good else schema.get("minimum", 0)
    return "planted verdict"


def _choice(options: list[Any], good: bool, words: tuple[str, str]) -> Any:
    by_name = {str(option).lower(): option for option in options}
    pairs = [(words[1].lower(), words[0].lower()), ("b", "a"), ("2", "1"), ("second", "first"), *LABELS]
    for bad_word, good_word in pairs:
        if bad_word in by_name and good_word in by_name:
            return by_name[good_word if good else bad_word]
    numbers = [option for option in options if isinstance(option, int | float)]
    if numbers:
        return max(numbers) if good else min(numbers)
    return options[0 if good else -1]
