"""rest: grow a set by sampling, then improve on it several times with a rising threshold of reward.

1. Grow: the current policy writes `samples` answers to each problem, and each gets a reward between 0 and 1.
2. Improve, once for each of `thresholds`: the policy is trained on, from where it is, on the answers whose reward reaches
   the threshold, with the seeds that have a `completion` mixed in. A held-out set decides each step; one that is
   rejected ends the improving.
3. Grow again from the better policy.

Source: Gulcehre et al. 2023, "Reinforced Self-Training (ReST) for Language Modeling", section 3. The paper's reward is a
translation metric. Ours for maths is half for the right final answer and half for the share of written equations that hold,
so that there is something between 0 and 1; with a role `reward` bound, its score out of 10 on a last line is the reward.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from tilth.errors import UsageError
from tilth.models.base import Reply
from tilth.recipes.loops.loop import at_most, split
from tilth.recipes.loops.rounds import ASK, Rounds, asked, checker, mean, verdicts
from tilth.recipes.maths.rejection_sampling import route
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS, Verdict
from tilth.verify.parse import final_score
from tilth.verify.steps import check_steps

THRESHOLDS = "0.7,0.9,1.0"
"""Rising thresholds of a grow step (the paper: 0, .7, .8, .9, .95, .99 by round; remembered, not re-read)."""
CAP = 4
"""Ours: answers kept of one problem at one threshold."""

RATE = Prompt(
    "rate",
    """How good is the answer to the request, from 0 (useless or wrong) to 10 (right, complete and clear)? Give your reasons \
in two sentences. The last line holds the number alone.

Request:
{request}

Answer:
{answer}""",
)


@recipe(
    "rest",
    family="loops",
    cites=("Gulcehre et al. 2023, Reinforced Self-Training (ReST) for Language Modeling, arXiv:2308.08998",),
    takes=("prompt",),
    makes=("prompt", "completion", "reward"),
    roles=("target",),
    trains=("target",),
    optional_roles=("reward",),
    pool=True,
    prompts=(ASK, RATE),
)
async def rest(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 2,
    thresholds: str = THRESHOLDS,
    samples: int = 8,
    cap: int = CAP,
    real: int = 1,
    held_out: float = 0.2,
    check: str = "maths",
    gate: str = "not-worse",
    patience: int = 1,
    temperature: float = 0.8,
    max_tokens: int = 1024,
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Grow once, improve at each threshold, and again; `real` copies of the written seeds are mixed in."""
    levels, judge = levels_of(thresholds), checker(check)
    work, held = split(rows, held_out, ctx)
    written = [{"prompt": asked(ctx, row), "completion": row["completion"]} for row in work if row.get("completion")]
    loop = await Rounds.start(
        ctx, "target", held, judge, gate=gate, rounds=rounds * len(levels), patience=patience, max_tokens=max_tokens
    )
    grown: list[tuple[Candidate, float]] = []
    yielded: set[str] = set()
    while await loop.begin():
        step = (loop.number - 1) % len(levels)
        if step == 0:
            replies = await loop.ask("grow", work, samples, temperature=temperature, max_tokens=max_tokens)
            said = await verdicts(ctx, judge, work, replies)
            worth = await rewards(ctx, f"reward {loop.number}", work, replies, said)
            for made, _ in grown:
                if made.id not in yielded:
                    ctx.drop(made, "reward:below")
            grown = []
            best: dict[tuple[str, str], Reply] = {}
            for row, some, outcomes, values in zip(work, replies, said, worth, strict=True):
                for reply, verdict, value in zip(some, outcomes, values, strict=True):
                    made = loop.made(row, reply, [verdict], reward=value)
                    if value is None:
                        ctx.drop(made, "reward:unknown")
                    elif best.setdefault((row.id, route(made["completion"])), reply) is not reply:
                        ctx.drop(made, "distinct:same-route")
                    else:
                        grown.append((made, value))
            ordered = sorted(grown, key=lambda pair: -pair[1])
            fit = at_most(ctx, [m for m, _ in ordered], cap, lambda m: m.lineage.parents, reason="cap:reached")
            if loop.collapsed(fit, [f"{m['prompt']} {m['completion']}" for m in fit], mean([m["reward"] for m in fit])):
                grown = []
                continue
            grown = [(made, float(made["reward"])) for made in fit]
        chosen = [made for made, value in grown if value >= levels[step]]
        if not chosen:
            loop.end("no answer reaches the threshold")
            continue
        for made in chosen:
            if made.id not in yielded:
                yielded.add(made.id)
                yield made
        figures = {"threshold": levels[step], "rows": len(chosen), "reward": mean([v for _, v in grown])}
        await loop.train("sft", [*chosen, *written * real], settings=training)
        await loop.decide(figures)
    for made, _ in grown:
        if made.id not in yielded:
            ctx.drop(made, "reward:below")


async def rewards(
    ctx: Context, name: str, rows: Sequence[Row], replies: Sequence[Sequence[Reply]], said: Sequence[Sequence[Verdict]]
) -> list[list[float | None]]:
    """A reward between 0 and 1 for every answer, or None where there is none to be had."""
    if "reward" not in ctx.roles:
        return [
            [worth(r, v) for r, v in zip(some, given, strict=True)] for some, given in zip(replies, said, strict=True)
        ]

    async def rate(item: tuple[Row, Sequence[Reply]], one: Context) -> list[float | None]:
        found: list[float | None] = []
        for reply in item[1]:
            put = one.fill(RATE, request=item[0]["prompt"], answer=reply.text.strip())
            read = await ask_until_read(one, "reward", put, lambda r: final_score(r.text, 0, 10), lenient=True)
            found.append(None if read.value is None or reply.problem else read.value / 10)
        return found

    return await ctx.each(list(zip(rows, replies, strict=True)), rate, name=name)


def worth(reply: Reply, verdict: Verdict) -> float | None:
    """Half for the right answer, half for the share of equations that hold; None for a reply that is empty or cut."""
    if reply.problem:
        return None
    share = check_steps(reply.text).score
    return round(0.5 * (verdict.outcome == PASS) + 0.5 * (share if share is not None else verdict.outcome == PASS), 4)


def levels_of(thresholds: str) -> list[float]:
    """Rising numbers from 0 to 1, written with commas between.

    Raises:
        UsageError: they are not.
    """
    try:
        found = [float(t) for t in thresholds.split(",")]
    except ValueError:
        found = []
    if not found or found != sorted(found) or not 0 <= found[0] <= found[-1] <= 1:
        raise UsageError(
            f"'{thresholds}' are no rising thresholds from 0 to 1", where="--set thresholds", todo="write 0.7,0.9,1.0"
        )
    return found
