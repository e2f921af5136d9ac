"""lmsi: a model learns from the answers that most of its own samples agree on; no right answer is needed.

1. The model writes `samples` answers to each question. The final answer that most reach is the vote, its share the
   confidence; all answers that reach it are kept when the confidence is at least `least`, at most `cap` a question.
2. Each kept answer is written in the `formats`: with worked examples before it or without, and as reasoning or as the bare
   answer, so that the model learns to answer well however it is asked.
3. The model is trained on them; held-out questions with a known answer decide whether to keep it.

Source: Huang et al. 2023, "Large Language Models Can Self-Improve", section 3 (32 samples at temperature 0.7; four
formats). A vote is no truth: where the model is more often wrong than right a confident majority teaches the error. The
held-out questions measure both the vote and the single answer, and the notes say `expected harm` where the vote is worse.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.loops.loop import at_most, report, split
from tilth.recipes.loops.rounds import ASK, Rounds, answered, checker, mean, verdicts
from tilth.recipes.maths.rejection_sampling import route
from tilth.recipes.maths.self_consistency import vote
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS
from tilth.verify.agreement import majority
from tilth.verify.math import final_answer

SAMPLES, TEMPERATURE = 32, 0.7
"""Huang et al. 2023, section 3.1 (the page; remembered, not re-read)."""
FORMATS = ("rationale", "direct", "shown-rationale", "shown-direct")

DIRECT = Prompt("direct", "{problem}\n\nOnly the final answer, in the form\n#### answer")
EXAMPLE = Prompt("example", "{problem}\n{answer}\n\n")


@recipe(
    "lmsi",
    family="loops",
    cites=("Huang et al. 2023, Large Language Models Can Self-Improve, arXiv:2210.11610",),
    takes=("prompt",),
    makes=("prompt", "completion", "format", "majority", "confidence"),
    roles=("target",),
    trains=("target",),
    pool=True,
    prompts=(ASK, DIRECT, EXAMPLE),
)
async def lmsi(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 1,
    samples: int = SAMPLES,
    least: float = 0.0,
    cap: int = 4,
    formats: str = ",".join(FORMATS),
    shots: int = 3,
    held_out: float = 0.2,
    check: str = "maths",
    gate: str = "not-worse",
    patience: int = 1,
    temperature: float = TEMPERATURE,
    max_tokens: int = 1024,
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Train on answers that reach the vote of many samples, each in several formats."""
    ways, judge = formats_of(formats), checker(check)
    work, held = split(rows, held_out, ctx, answered)
    seeds = {row.id: row for row in rows}
    sampling: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    loop = await Rounds.start(
        ctx, "target", held, judge, gate=gate, rounds=rounds, patience=patience, max_tokens=max_tokens
    )
    while await loop.begin():
        trial = await loop.ask("trial", held, samples, **sampling)
        report(ctx, loop.number, expected(held, trial, await verdicts(ctx, judge, held, trial)))
        replies = await loop.ask("sample", work, samples, **sampling)
        agreed: list[Candidate] = []
        shares: list[float] = []
        for row, some in zip(work, replies, strict=True):
            said = [None if r.cut else final_answer(r.text) for r in some]
            found = majority(said)
            shares.append(found.share)
            seen: set[str] = set()
            for reply, answer in zip(some, said, strict=True):
                verdict, way = vote(found, answer, least), route(reply.text.strip())
                columns = {"format": "rationale", "majority": found.answer, "confidence": found.share}
                made = loop.made(row, reply, [verdict], **columns)
                if verdict.outcome != PASS:
                    ctx.drop(made, verdict.reason)
                elif way in seen:
                    ctx.drop(made, "distinct:same-route")
                else:
                    seen.add(way)
                    agreed.append(made)
        kept = at_most(ctx, agreed, cap, lambda row: row.lineage.parents, reason="cap:reached")
        figures = {"confidence": mean(shares), "rows": len(kept)}
        if loop.collapsed(
            kept, [f"{r['prompt']} {r['completion']}" for r in kept], mean([float(s > 0) for s in shares])
        ):
            continue
        written = [made for row in kept for made in in_formats(ctx, row, seeds, kept, ways, shots, loop.number)]
        if "rationale" not in ways:
            for row in kept:
                ctx.drop(row, "format:not-wanted")
        for made in written:
            yield made
        await loop.train("sft", written, settings=training)
        await loop.decide(figures)


def in_formats(
    ctx: Context,
    row: Candidate,
    seeds: Mapping[str, Row],
    others: Sequence[Candidate],
    ways: Sequence[str],
    shots: int,
    round: int,
) -> list[Candidate]:
    """One kept answer in each of the formats; the first is the row itself where reasoning is wanted.

    Examples are answers to other questions, drawn for this row.
    """
    made, short = [], f"#### {row['majority']}"
    for way in ways:
        if way == "rationale":
            made.append(row)
            continue
        direct = way.endswith("direct")
        problem = ctx.fill(DIRECT, problem=row["prompt"]) if direct else str(row["prompt"])
        if way.startswith("shown"):
            pool = [other for other in others if other.lineage.parents != row.lineage.parents]
            drawn = ctx.rng("shots", round, row.id, way).sample(pool, min(shots, len(pool)))
            shown = [
                ctx.fill(EXAMPLE, problem=o["prompt"], answer=f"#### {o['majority']}" if direct else o["completion"])
                for o in drawn
            ]
            problem = "".join(shown) + problem
        columns = {**row, "prompt": problem, "completion": short if direct else row["completion"], "format": way}
        made.append(ctx.make(columns, of=seeds[row.lineage.parents[0]], verdicts=row.verdicts, round=round))
    return made


def expected(
    rows: Sequence[Row], replies: Sequence[Sequence[Reply]], said: Sequence[Sequence[object]]
) -> dict[str, float]:
    """What the vote is worth on questions whose answer is known: how often it is right, how often one sample is."""
    voted, single = [], []
    for some, given in zip(replies, said, strict=True):
        outcomes = [getattr(v, "outcome", None) == PASS for v in given]
        single.append(mean([float(o) for o in outcomes]))
        found = majority([None if r.cut else final_answer(r.text) for r in some])
        at = next((i for i, r in enumerate(some) if not r.cut and final_answer(r.text) == found.answer), None)
        voted.append(float(at is not None and outcomes[at]))
    figures = {"vote right": mean(voted), "sample right": mean(single)}
    return {**figures, "expected harm": 1.0} if mean(voted) < mean(single) else figures


def formats_of(text: str) -> list[str]:
    """Formats written with commas between.

    Raises:
        UsageError: there is no such format.
    """
    found = [word.strip() for word in text.split(",") if word.strip()]
    for word in found or [text]:
        if word not in FORMATS:
            raise UsageError(f"no format is called '{word}'", where="--set formats", todo=did_you_mean(word, FORMATS))
    return found
