"""rest-em: sample many answers, keep the right ones, train the base model on them, and again with the better sampler.

1. E-step: the current model writes `samples` answers to each problem. Right ones are kept, one for each distinct
   derivation, at most `cap` a problem, so that easy problems do not crowd out hard ones.
2. M-step: the BASE model, never the last one, is trained on them. No written data is mixed in.
3. A held-out set decides whether the result is the next sampler; the first round that is rejected ends the loop, since the
   method overfits on small sets after one or two rounds.

Source: Singh et al. 2023, "Beyond Human Data: Scaling Self-Training for Problem-Solving with Language Models" (ReST-EM),
section 4. The check is a program: maths answers by default, `--set check=code` runs tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from tilth.recipes.loops.loop import at_most, split
from tilth.recipes.loops.rounds import ASK, Rounds, checker, mean, scores, verdicts
from tilth.recipes.maths.rejection_sampling import route
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import PASS

SAMPLES = 32
"""Answers a maths problem (the paper: 64 for code; remembered, not re-read)."""
CAP = 10
"""Right answers kept of one problem (remembered, not re-read)."""
TEMPERATURE, TOP_K = 0.7, 40
"""Sampling (remembered, not re-read)."""


@recipe(
    "rest-em",
    family="loops",
    cites=("Singh et al. 2023, Beyond Human Data: Scaling Self-Training for Problem-Solving, arXiv:2312.06585",),
    takes=("prompt",),
    makes=("prompt", "completion", "answer", "rank", "sampled", "right"),
    roles=("target",),
    trains=("target",),
    pool=True,
    level=6,
    prompts=(ASK,),
)
async def rest_em(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 3,
    samples: int = SAMPLES,
    cap: int = CAP,
    distinct: bool = True,
    held_out: float = 0.2,
    check: str = "maths",
    gate: str = "not-worse",
    patience: int = 1,
    probe: int = 0,
    temperature: float = TEMPERATURE,
    top_k: int | None = TOP_K,
    max_tokens: int = 1024,
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Expectation by sampling and checking, maximisation by training the base model.

    Args:
        rows: problems with what the check reads (`answer`, `tests`).
        ctx: the run.
        rounds: at most.
        samples: answers a problem and round.
        cap: right answers kept of a problem.
        distinct: keep one answer for each derivation.
        held_out: share of the seeds that decides.
        check: see `tilth.recipes.loops.rounds.checker`.
        gate, patience: see `tilth.recipes.loops.loop`.
        probe: held-out answers for pass@1 and pass@k by round; 0 asks for none.
        temperature, top_k, max_tokens: sampling.
        training: settings of every training.
    """
    judge = checker(check)
    work, held = split(rows, held_out, ctx)
    base = ctx.model("target")
    loop = await Rounds.start(
        ctx, "target", held, judge, gate=gate, rounds=rounds, patience=patience, max_tokens=max_tokens
    )
    while await loop.begin():
        name = f"round {loop.number}"
        replies = await loop.ask("sample", work, samples, temperature=temperature, top_k=top_k, max_tokens=max_tokens)
        found = await verdicts(ctx, judge, work, replies)
        right: list[Candidate] = []
        for row, some, said in zip(work, replies, found, strict=True):
            passed, ways = sum(v.outcome == PASS for v in said), Counter[str]()
            for reply, verdict in zip(some, said, strict=True):
                way = route(reply.text.strip())
                ways[way] += verdict.outcome == PASS
                rank = len(ways) if verdict.outcome == PASS else None
                made = loop.made(row, reply, [verdict], sampled=samples, right=passed, rank=rank)
                if verdict.outcome != PASS:
                    ctx.drop(made, verdict.reason)
                elif distinct and ways[way] > 1:
                    ctx.drop(made, "distinct:same-route")
                else:
                    right.append(made)
        kept = at_most(ctx, right, cap, lambda row: row.lineage.parents, reason="cap:reached")
        said_all = [v.outcome == PASS for some in found for v in some]
        solved = mean([any(v.outcome == PASS for v in some) for some in found])
        if loop.collapsed(kept, [str(r["prompt"]) + route(str(r["completion"])) for r in kept], solved):
            continue
        for made in kept:
            yield made
        await loop.train("sft", kept, start=base, settings=training)
        figures = {"sampled right": mean(said_all), "problems solved": solved, "rows": len(kept)}
        if probe:
            shares = await scores(ctx, f"probe {loop.number}", "target", held, judge, probe, temperature=temperature)
            figures |= {"pass@1": mean(shares), f"pass@{probe}": mean([float(s > 0) for s in shares])}
        ctx.note(f"{name}: rows a solved problem", len(kept) / max(1.0, solved * len(work)))
        await loop.decide(figures)
