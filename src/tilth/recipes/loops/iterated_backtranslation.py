"""iterated-backtranslation: texts become answers, a trained backward model writes what they answer, the student curates.

1. Seed pairs: the backward model is trained on them reversed (answer to request), the forward model on them as they are.
2. The backward model writes `samples` requests for every text.
3. The forward model curates: by `curate=score` it rates each pair from 1 to 5 and a rating of `threshold` is kept; by
   `curate=roundtrip` it answers the request, and the pair is kept when that answer ends where the text ends.
4. The forward model is trained from its start on seeds and kept pairs; a held-out set decides; it curates everything
   again. With `retrain_backward` the backward model is trained anew too, on seeds and kept pairs reversed.

Source: Li et al. 2023, "Self-Alignment with Instruction Backtranslation", section 2 (two rounds; rows of the web and seeds
have different system messages: `tags`). The round trip is ours, after inverted generation, for answers that end in
something that can be compared. A replication found its second model worse than its first: take a gain as a hypothesis.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.models.base import Reply
from tilth.recipes.instruct.backtranslation import (
    BACKWARD,
    INSTRUCT,
    SCALE,
    SCORE,
    SEED_TAG,
    THRESHOLD,
    WEB_TAG,
    curation,
    instruction_problem,
    pair_texts,
    parse_instruction,
    parse_score,
    segments,
    sorted_out,
)
from tilth.recipes.loops.loop import at_most, report, split, train
from tilth.recipes.loops.rounds import ASK, Rounds, asked, checker
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.math import canonical, final_answer

CURATE = ("score", "roundtrip")


@recipe(
    "iterated-backtranslation",
    family="loops",
    cites=("Li et al. 2023, Self-Alignment with Instruction Backtranslation, arXiv:2308.06259",),
    takes=("text|completion",),
    makes=("prompt", "completion", "source", "score"),
    roles=("backward", "target"),
    trains=("backward", "target"),
    pool=True,
    prompts=(ASK, INSTRUCT, SCORE),
)
async def iterated_backtranslation(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 2,
    samples: int = 1,
    curate: str = "score",
    threshold: int = THRESHOLD,
    per_text: int = 1,
    whole: bool = False,
    tags: bool = True,
    retrain_backward: bool = False,
    held_out: float = 0.2,
    check: str = "maths",
    gate: str = "not-worse",
    patience: int = 1,
    temperature: float = BACKWARD["temperature"],
    top_p: float = BACKWARD["top_p"],
    max_tokens: int = 512,
    backward_training: dict | None = None,  # type: ignore[type-arg]
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Write requests for texts, curate them with the model in training, train it on what is left; and again.

    Args:
        rows: texts (`text`), and seed pairs (`prompt`, `completion`), with what the check reads.
        ctx: the run.
        rounds: of curation, at most.
        samples: requests written for each text.
        curate: ``score`` or ``roundtrip``.
        threshold: least rating that is kept.
        per_text: pairs kept of one text.
        whole: take texts whole; else they are cut in segments as in instruction-backtranslation.
        tags: whether rows carry system messages that tell seeds from texts of the web.
        retrain_backward: whether the backward model learns from the kept pairs too.
        held_out: share of the seed pairs that decides.
        check, gate, patience: see `tilth.recipes.loops`.
        temperature, top_p, max_tokens: of written requests.
        backward_training, training: settings of the backward and of the forward trainings.
    """
    if curate not in CURATE:
        raise UsageError(f"no way to curate is called '{curate}'", todo=did_you_mean(curate, CURATE))
    judge = checker(check)
    texts, seeds = sorted_out(rows, ctx, None)
    work, held = split(seeds, held_out, ctx)
    found = [
        (row, text) for row in texts for text in ([str(row["text"]).strip()] if whole else segments(str(row["text"])))
    ]
    start = {role: ctx.model(role) for role in ("backward", "target")}
    forward = [pair(ctx, row["prompt"], pair_texts(row)[1], SEED_TAG if tags else "") for row in work]
    reversed_ = [backwards(ctx, *pair_texts(row)) for row in work]
    await train(ctx, "backward-0", "backward", "sft", reversed_, settings=backward_training)
    await train(ctx, "target-0", "target", "sft", forward, settings=training)
    loop = await Rounds.start(ctx, "target", held, judge, gate=gate, rounds=rounds, patience=patience)
    kept: list[Candidate] = []
    written: list[tuple[Row, str, str, Reply]] = []
    while await loop.begin():
        if loop.number == 1 or retrain_backward:
            written = []
            for (row, text), some in zip(
                found, await write(ctx, loop.number, found, samples, temperature, top_p, max_tokens), strict=True
            ):
                for reply in some:
                    request = parse_instruction(reply.text)
                    problem = f"reply:{reply.problem}" if reply.problem else instruction_problem(request, reply)
                    if problem:
                        bad = ctx.make({"prompt": request, "completion": text}, of=row, by=reply, round=loop.number)
                        ctx.drop(bad, problem)
                    else:
                        written.append((row, text, request, reply))
        said = await curated(ctx, loop.number, written, curate, threshold)
        made = []
        for (row, text, request, reply), (verdict, by) in zip(written, said, strict=True):
            columns = {**pair(ctx, request, text, WEB_TAG if tags else ""), "source": "web", "score": verdict.score}
            one = ctx.make(columns, of=row, by=[*by, reply], verdicts=[verdict], round=loop.number)
            if verdict.passed:
                made.append(one)
            else:
                ctx.drop(one, verdict.reason)
        kept = at_most(ctx, made, per_text, lambda r: str(r["completion"]))
        figures = {"pairs": len(written), "kept share": len(kept) / max(1, len(written))}
        if loop.collapsed(kept, [f"{r['prompt']}" for r in kept], len(kept) / max(1, len(written))):
            continue
        for one in kept:
            yield one
        await loop.train("sft", [*forward, *kept], start=start["target"], settings=training)
        await loop.decide(figures)
        if retrain_backward:
            again = reversed_ + [backwards(ctx, last_request(r), str(r["completion"])) for r in kept]
            await train(
                ctx, f"backward-{loop.number}", "backward", "sft", again, start=start["backward"], settings=backward_training
            )  # fmt: skip
    report(ctx, loop.number, {"texts": len(found)})


def pair(ctx: Context, request: str, answer: str, tag: str) -> dict[str, Any]:
    """A row to train on; with a tag it is turns."""
    if not tag:
        return {"prompt": asked(ctx, {"prompt": request}), "completion": answer}
    turns = [{"role": "system", "content": tag}, {"role": "user", "content": asked(ctx, {"prompt": request})}]
    return {"prompt": turns, "completion": [{"role": "assistant", "content": answer}]}


def backwards(ctx: Context, request: str, answer: str) -> dict[str, Any]:
    """A pair reversed: from the text to what it answers."""
    return {"prompt": ctx.fill(INSTRUCT, examples="", text=answer), "completion": request}


def last_request(row: Mapping[str, Any]) -> str:
    """The request of a row, tagged or not."""
    return str(row["prompt"][-1]["content"] if isinstance(row["prompt"], list) else row["prompt"])


async def write(
    ctx: Context,
    round: int,
    found: Sequence[tuple[Row, str]],
    samples: int,
    temperature: float,
    top_p: float,
    max_tokens: int,
) -> list[list[Reply]]:
    """Requests for each text."""

    async def one(item: tuple[Row, str], own: Context) -> list[Reply]:
        put = own.fill(INSTRUCT, examples="", text=item[1])
        return await own.sample("backward", put, samples, temperature=temperature, top_p=top_p, max_tokens=max_tokens)

    return await ctx.each(found, one, name=f"write {round}")


async def curated(
    ctx: Context, round: int, written: Sequence[tuple[Row, str, str, Reply]], how: str, threshold: int
) -> list[tuple[Verdict, list[Reply]]]:
    """What the forward model says of each written pair, with its replies."""

    async def rate(item: tuple[Row, str, str, Reply], one: Context) -> tuple[Verdict, list[Reply]]:
        put = one.fill(SCORE, examples="", instruction=item[2], text=item[1])
        read = await ask_until_read(one, "target", put, lambda r: parse_score(r.text), lenient=True)
        return curation(read.value, threshold, {"scale": list(SCALE), "draws": len(read.replies)}), read.replies

    async def answer(item: tuple[Row, str, str, Reply], one: Context) -> tuple[Verdict, list[Reply]]:
        reply = await one.ask("target", asked(one, {"prompt": item[2]}), temperature=0.0)
        return same_end(reply, item[1]), [reply]

    return await ctx.each(written, rate if how == "score" else answer, name=f"curate {round}")


def same_end(reply: Reply, text: str) -> Verdict:
    """Whether an answer ends where a text ends; unknown when one of them has no final answer."""
    given, wanted = None if reply.problem else final_answer(reply.text), final_answer(text)
    if given is None or wanted is None:
        return Verdict("roundtrip", UNKNOWN, detail="no-answer")
    same = canonical(given) == canonical(wanted)
    return Verdict("roundtrip", PASS if same else FAIL, float(same), {"answer": given[:100]})
