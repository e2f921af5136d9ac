"""Rounds of a loop: what is held out, the gate after a training, rollback, collapse, the stop rule, the figures.

One object goes through the rounds beside the method::

    rounds = await Rounds.start(ctx, "target", held_out, check, ...)
    while await rounds.begin():
        replies = await rounds.ask("sample", work, 8, temperature=0.8)
        ...                      # sort them out
        await rounds.train("sft", kept)
        await rounds.decide({"solved": 0.4})

Knows no method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilth.evaluate.checks import Check, grade, open_check
from tilth.models.base import Model, Reply
from tilth.recipes.loops.loop import Monitor, Stop, answers, gate, report, train
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.verifier import Verifier

ASK = Prompt("ask", "{problem}")
"""How a problem is put to the model in training, in answering and in the held-out measure alike."""
Checker = Check | Verifier


def answered(row: Mapping[str, Any]) -> bool:
    """Whether a row's answer is known."""
    return row.get("answer") not in (None, "")


def asked(ctx: Context, row: Mapping[str, Any]) -> Any:
    """What a row asks: its prompt in the wording `ASK`; a prompt of turns as it is."""
    prompt = row["prompt"]
    return ctx.fill(ASK, problem=prompt) if isinstance(prompt, str) else prompt


def checker(name: str) -> Checker:
    """What says whether an answer is right.

    Args:
        name: ``maths``, ``exact``, ``contains``, a verifier such as ``code``, or ``world:ID`` for a world's own program.

    Raises:
        UsageError: there is no such check.
    """
    if not name.startswith("world:"):
        return open_check(name)
    from tilth.worlds.registry import open_world

    world = open_world(name.removeprefix("world:"))

    def check(text: str, row: Mapping[str, Any]) -> Verdict:
        right = world.check(str(row["prompt"]), text)
        return Verdict("world", UNKNOWN if right is None else PASS if right else FAIL)

    return check


async def verdicts(
    ctx: Context, check: Checker, rows: Sequence[Row], replies: Sequence[Sequence[Reply]]
) -> list[list[Verdict]]:
    """What the check says of several answers to each row; an answer that was cut off is unknown."""
    texts = [[r.text.strip() for r in some] for some in replies]
    found = await grade(rows, texts, check)
    cut = Verdict("reply", UNKNOWN, detail="cut")
    return [
        [cut if r.cut else v for r, v in zip(some, given, strict=True)]
        for some, given in zip(replies, found, strict=True)
    ]


async def scores(
    ctx: Context, name: str, role: str, rows: Sequence[Row], check: Checker, n: int = 1, **sampling: Any
) -> list[float]:
    """Share of right answers to each row, greedy for one answer; unknown counts as not right."""
    settings = {"temperature": 0.0 if n == 1 else 0.8, **sampling}
    replies = await answers(ctx, name, role, rows, n, prompt=lambda row: asked(ctx, row), **settings)
    found = await verdicts(ctx, check, rows, replies)
    return [sum(v.outcome == PASS for v in some) / n for some in found]


@dataclass
class Rounds:
    """The rounds of one role.

    Args:
        ctx: the pool's context.
        role: who is trained.
        held_out: rows that decide.
        check: whether an answer is right.
        gate: rule of `tilth.recipes.loops.loop.gate`.
        stop: when it ends.
        monitor: what counts as collapse.
        sampling: of the held-out answers (``max_tokens``).
        number: of the round at work, from 1.
        scores: of the best accepted model so far, a held-out row each: small losses of several rounds, each within the
            noise, would add up if a round were held against the one before.

    The loop ends with the last model that the gate let pass; but where that is below the first on the held-out rows, with the
    best one, which may be the first. (Always ending with the best costs gains: it follows the noise of few rows.)
    """

    ctx: Context
    role: str
    held_out: Sequence[Row]
    check: Checker
    gate: str
    stop: Stop
    monitor: Monitor = field(default_factory=Monitor)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
    scores: list[float] = field(default_factory=list)
    _before: Model | None = None
    _first: float = 0.0
    _now: tuple[float, int] = (0.0, 0)
    _best: tuple[Model, int] | None = None
    _ended: bool = False
    _valid: float = 0.0

    @classmethod
    async def start(
        cls,
        ctx: Context,
        role: str,
        held_out: Sequence[Row],
        check: Checker,
        *,
        gate: str,
        rounds: int,
        patience: int = 1,
        monitor: Monitor | None = None,
        **sampling: Any,
    ) -> Rounds:
        """Measure who plays `role` now, and get ready for round 1.

        Raises:
            UsageError: no gate has this name.
        """
        made = cls(ctx, role, held_out, check, gate, Stop(rounds, patience), monitor or Monitor(), sampling)
        made.scores = await made.measure()
        made._first, made._best = mean(made.scores), (ctx.model(role), 0)
        made._now = made._first, 0
        report(ctx, 0, {"held out": mean(made.scores)})
        return made

    async def measure(self) -> list[float]:
        """Held-out scores of who plays the role now."""
        name = f"held out {self.number}"
        return await scores(self.ctx, name, self.role, self.held_out, self.check, **self.sampling)

    async def begin(self) -> bool:
        """Record the round that was, and say whether there is another; if not, the role is played by the model to end with."""
        if self._ended:
            self._conclude()
        if self.number:
            await self.ctx.round()
        if self._ended:
            return False
        self.number += 1
        self._before = self.ctx.model(self.role)
        return True

    async def ask(self, name: str, rows: Sequence[Row], n: int = 1, **sampling: Any) -> list[list[Reply]]:
        """`n` answers of the role to every row, in the wording `ASK`; the branches are called `name` and the round."""
        branch = f"{name} {self.number}"
        return await answers(self.ctx, branch, self.role, rows, n, prompt=lambda row: asked(self.ctx, row), **sampling)

    def made(self, row: Row, reply: Reply, verdicts: Sequence[Verdict] = (), **columns: Any) -> Candidate:
        """An answer as a row to train on: the seed's columns, the prompt as it was asked, the text, and `columns`."""
        told = {**row, "prompt": asked(self.ctx, row), "completion": reply.text.strip(), **columns}
        return self.ctx.make(told, of=row, by=reply, verdicts=verdicts, round=self.number)

    async def train(
        self,
        method: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        start: Model | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Model:
        """Train this round's model, which plays the role from here on (`tilth.recipes.loops.loop.train`)."""
        name = f"{self.role}-{self.number}"
        return await train(self.ctx, name, self.role, method, rows, start=start, settings=settings)

    def collapsed(self, made: Sequence[Candidate], texts: Sequence[str], valid: float = 1.0) -> bool:
        """Whether the round's texts show collapse; then its rows are dropped with the reason and the round is lost.

        Args:
            made: the round's rows.
            texts: what they say.
            valid: share that is valid or right; it is held against the first round's, since a hard set has a low one.
        """
        self._valid = self._valid or valid
        alarm = (
            "nothing" if not texts else self.monitor.alarm(texts, min(1.0, valid / self._valid) if self._valid else 0)
        )
        report(self.ctx, self.number, {"distinct texts": len(set(texts)), "valid": valid})
        if alarm is None:
            return False
        for row in made:
            self.ctx.drop(row, f"collapse:{alarm}")
        report(self.ctx, self.number, {f"collapse {alarm}": 1, "accepted": 0})
        self._ended = self.stop.after(False, self.number)
        return True

    def afresh(self) -> None:
        """From here on texts are of another kind: hold them against the next round's, not against the first's."""
        self.monitor.first, self._valid = [], 0.0

    async def decide(self, figures: Mapping[str, float] | None = None) -> bool:
        """Measure the round's model; keep it or give the role back to the one before; put the figures into the notes.

        Returns:
            whether it was accepted.
        """
        after = await self.measure()
        found = gate(self.scores, after, self.gate)
        own = {"held out": found.after, "held out gain": found.paired.delta, "accepted": float(found.accepted)}
        report(self.ctx, self.number, {**(figures or {}), **own})
        if found.accepted:
            self._now = found.after, self.number
        if found.accepted and found.after > found.before:
            self.scores, self._best = after, (self.ctx.model(self.role), self.number)
        elif not found.accepted:
            assert self._before is not None
            self.ctx.play(self.role, self._before)
        self._ended = self.stop.after(found.accepted, self.number)
        return found.accepted

    def _conclude(self) -> None:
        held, number = self._now
        if held < self._first and self.gate != "none" and self._best is not None:
            model, number = self._best
            self.ctx.play(self.role, model)
        self.ctx.note("ended with the model of round", number)

    def end(self, why: str) -> None:
        """Let this round be the last."""
        report(self.ctx, self.number, {f"ended by {why}": 1})
        self._ended = True


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
