"""What every loop shares: train and rebind a role, measure it on held-out rows, accept or roll back, notice collapse.

A loop is a pool recipe: straight-line rounds over `Context.artefact`, `Context.bind` and `Context.play`. Trainings are
recorded artefacts and answers stand in the journal, so a killed loop goes on where it was. Knows no method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.evaluate.paired import Paired, compare
from tilth.models.base import Model, Reply, need_weights
from tilth.recipes.recipe import Context
from tilth.rows.row import Row, content_hash, digest
from tilth.rows.verdict import PASS, Verdict
from tilth.select.monitor import tail_loss

Check = Callable[[str, Mapping[str, Any]], Verdict]
GATES = ("higher", "not-worse", "none")


# -- training
def start_of(model: Model, role: str = "target") -> str:
    """What a trainer starts from to go on with `model`.

    Raises:
        UsageError: the model is no folder, so it cannot be trained here.
    """
    from tilth.models.nano import SHIPPED, STUDENT

    folder = need_weights(model, role)
    return {SHIPPED: "nano", STUDENT: "nano:student"}.get(folder, str(folder))


async def train(
    ctx: Context,
    name: str,
    role: str,
    method: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    start: Model | str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Model:
    """Train on `rows` and let the result play `role`; `Context.play` with the earlier model takes it back.

    Args:
        name: of the artefact, such as ``target-1``.
        role: who plays it from now on.
        method: ``sft``, ``dpo``, ``ipo``, ``kto``, ... (see `tilth.train.engine.train`).
        rows: what to train on; columns other than those of the method are left out of the job.
        start: what the training starts from: a model, or a trainer's name such as ``nano:scratch``; default is who
            plays `role` now.
        settings: of the training.

    Returns:
        The trained model.
    """
    from tilth.train.apart import train_apart

    start = start if start is not None else ctx.model(role)
    identity = start if isinstance(start, str) else start.identity
    plain = [{c: row[c] for c in COLUMNS if c in row} for row in rows]
    options = {"seed": ctx.seed, **(settings or {})}

    async def make(folder: Path) -> dict[str, Any]:
        base = start if isinstance(start, str) else start_of(start, role)
        return await train_apart(method, plain, folder / "model", base=base, settings=options)

    inputs = {"method": method, "start": identity, "rows": digest(plain), "settings": options}
    made = await ctx.artefact(name, inputs, make)
    ctx.note("trainings", 1)
    ctx.note("training CPU seconds", made.value["seconds"])
    return await ctx.bind(role, made.path / "model")


COLUMNS = ("prompt", "completion", "completions", "chosen", "rejected", "label", "labels", "messages", "margin")
"""Columns that a trainer reads."""


# -- asking
async def answers(
    ctx: Context,
    name: str,
    role: str,
    rows: Sequence[Row],
    n: int = 1,
    *,
    prompt: Callable[[Row], Any] = lambda row: row["prompt"],
    **sampling: Any,
) -> list[list[Reply]]:
    """`n` answers of `role` to every row, recorded; the rows' branches are called `name`."""

    async def one(row: Row, own: Context) -> list[Reply]:
        return await own.sample(role, prompt(row), n, **sampling)

    return await ctx.each(rows, one, name=name)


async def measure(
    ctx: Context, name: str, role: str, rows: Sequence[Row], check: Check, n: int = 1, **sampling: Any
) -> list[float]:
    """Share of right answers to each row (greedy unless sampled); unknown counts as not right."""
    settings = {"temperature": 0 if n == 1 else 0.8, **sampling}
    replies = await answers(ctx, name, role, rows, n, **settings)

    def judge() -> list[float]:
        return [
            sum(check(r.text, row).outcome == PASS for r in got) / n for row, got in zip(rows, replies, strict=True)
        ]

    return await ctx.run(judge)


def split(
    rows: Sequence[Row], share: float, ctx: Context, among: Callable[[Row], bool] = lambda row: True
) -> tuple[list[Row], list[Row]]:
    """Rows to work on and rows held out for the gate, decided by each row's content and the run's seed.

    Args:
        rows: all of them.
        share: of those that may be held out.
        ctx: the run.
        among: which may be; the others are worked on.

    Raises:
        UsageError: one side would be empty.
    """
    known = [row for row in rows if among(row)]
    order = sorted(known, key=lambda row: digest(ctx.seed, "held out", content_hash(row)))
    cut = round(len(known) * share)
    if not 0 < cut < len(known):
        raise UsageError(
            f"{len(known)} seeds leave {cut} held out and {len(known) - cut} to work on", where="--set held_out",
            todo="give more seeds, or another share",
        )  # fmt: skip
    out = {row.id for row in order[:cut]}
    return [r for r in rows if r.id not in out], [r for r in rows if r.id in out]


# -- deciding
@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a round is accepted.

    Args:
        accepted: or rolled back.
        before: mean held-out score of the model that the round started from.
        after: that of the round's model.
        paired: the paired difference with its interval.
    """

    accepted: bool
    before: float
    after: float
    paired: Paired


def gate(before: Sequence[float], after: Sequence[float], rule: str = "not-worse") -> Decision:
    """Decide by held-out scores.

    Args:
        before: score of each held-out row before the round.
        after: the same rows after it.
        rule: ``higher`` accepts a higher mean only; ``not-worse`` rolls back when the 95 % interval of the paired
            difference lies below 0; ``none`` accepts all.

    Raises:
        UsageError: no rule has this name.
    """
    if rule not in GATES:
        raise UsageError(f"no gate is called '{rule}'", where="--set gate", todo=did_you_mean(rule, GATES))
    paired = compare(list(before), list(after), draws=2_000)
    accepted = {"higher": paired.delta > 0, "not-worse": paired.hi >= 0, "none": True}[rule]
    return Decision(accepted, sum(before) / len(before), sum(after) / len(after), paired)


def report(ctx: Context, round: int, figures: Mapping[str, float]) -> None:
    """Put a round's figures into the run's notes."""
    for name, value in figures.items():
        ctx.note(f"round {round}: {name}", value)


@dataclass
class Stop:
    """When a loop ends: after `rounds`, or `patience` rounds in a row that were rolled back.

    Args:
        rounds: at most.
        patience: rejected rounds in a row that end it.
    """

    rounds: int
    patience: int = 1
    rejected: int = 0

    def after(self, accepted: bool, done: int) -> bool:
        """Whether the loop ends after round `done` (from 1)."""
        self.rejected = 0 if accepted else self.rejected + 1
        return done >= self.rounds or self.rejected >= self.patience


@dataclass
class Monitor:
    """Notices collapse: later texts that lose the rare words of the first, or repeat each other, or are rarely valid.

    Args:
        loss: share of the first texts' rare words lost beyond what sample size explains, at most
            (`tilth.select.monitor.tail_loss`).
        distinct: share of distinct texts among the round's, at least.
        valid: share of valid texts, at least.
    """

    loss: float = 0.5
    distinct: float = 0.2
    valid: float = 0.2
    first: list[str] = field(default_factory=list)

    def alarm(self, texts: Sequence[str], valid: float = 1.0) -> str | None:
        """Why the round counts as collapsed, or None; the first round's texts are what later ones are held against."""
        if valid < self.valid:
            return "validity"
        if texts and len(set(texts)) / len(texts) < self.distinct:
            return "repetition"
        if not self.first:
            self.first = list(texts)
            return None
        lost = tail_loss(self.first, list(texts))["tail"]["loss"]
        return "tail" if lost is not None and lost > self.loss else None


def at_most(
    ctx: Context, rows: Sequence[Any], n: int, key: Callable[[Any], Any], *, reason: str = "quota"
) -> list[Any]:
    """The first `n` rows of each key; the others are dropped with `reason`."""
    seen: dict[Any, int] = {}
    kept = []
    for row in rows:
        k = key(row)
        seen[k] = seen.get(k, 0) + 1
        if seen[k] <= n:
            kept.append(row)
        else:
            ctx.drop(row, reason)
    return kept
