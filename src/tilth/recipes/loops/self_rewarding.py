"""self-rewarding: a model judges its own answers and learns from its own preferences.

1. Seeds with a `completion` are instruction data. From those with an `answer` too, judging data is made: the written
   answer deserves full marks, answers of the start model that the check finds wrong deserve none. The first model is
   fine-tuned on both.
2. Each round the model answers prompts `samples` times and scores every answer `judgings` times by an additive rubric of
   five points; scores are averaged. Prompts are the seeds' and, with `new` above 0, fresh ones that it writes itself.
3. The best and the worst answer make a pair; ties are dropped. DPO from the current model makes the next one.
4. A held-out set with known answers decides. The notes give, by round, the length of chosen over rejected answers, the
   score gap, and how often the preferred answer is the better one where that is known. A ratio of lengths above
   `length_alarm` ends the loop: such a model is learning length.

Source: Yuan et al. 2024, "Self-Rewarding Language Models", sections 2 and 3 (4 answers at temperature 0.7, top-p 0.9; three
judgings). Where ours deviates: the paper's judging data are human rankings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tilth.models.base import Reply
from tilth.recipes.loops.loop import answers, split, train
from tilth.recipes.loops.rounds import ASK, Rounds, answered, asked, checker, mean, verdicts
from tilth.recipes.pairs import best_and_worst
from tilth.recipes.prompt import Prompt
from tilth.recipes.reading import ask_until_read
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row, content_hash
from tilth.rows.verdict import FAIL, PASS
from tilth.select.novelty import Novelty
from tilth.verify.parse import final_score

SAMPLES, JUDGINGS = 4, 3
"""Answers to a prompt, and judgings of each (section 3.1)."""
SAMPLING = {"temperature": 0.7, "top_p": 0.9}
"""Section 3.1."""
FULL = 5
"""Points of the rubric (section 2.2, figure 2)."""
LENGTH_ALARM = 1.5
"""Ours: chosen answers half as long again as rejected ones, on average."""
NOVELTY = 0.7
"""ROUGE-L above which a prompt is a near copy (Wang et al. 2022, Self-Instruct)."""

JUDGE = Prompt(
    "judge",
    """Give the answer points, one for each of these that holds, and add them up:
1. It speaks to what was asked and says something of use.
2. It covers a good part of what was asked, if not all.
3. It answers the essentials of the request so that the asker can go on.
4. It is written to the asker, complete, clear and in good order.
5. It is faultless: correct, to the point, and shows knowledge of the matter.

Request:
{request}

Answer:
{answer}

Say in a few sentences which hold. Then write one last line:
Score: <0 to 5>""",
)
NEW = Prompt(
    "new",
    """Here are some tasks:
{examples}
Write one more of the same kind and difficulty, but about something else. Write the task and nothing more.""",
)
MARK = Prompt("mark", "Score: {score}")


@recipe(
    "self-rewarding",
    family="loops",
    cites=("Yuan et al. 2024, Self-Rewarding Language Models, arXiv:2401.10020",),
    takes=("prompt",),
    makes=("prompt", "chosen", "rejected", "margin", "scores"),
    roles=("target",),
    trains=("target",),
    pool=True,
    prompts=(ASK, JUDGE, NEW, MARK),
)
async def self_rewarding(
    rows: list[Row],
    ctx: Context,
    *,
    rounds: int = 2,
    samples: int = SAMPLES,
    judgings: int = JUDGINGS,
    new: int = 0,
    labelled: int = 0,
    warm_up: int = 0,
    held_out: float = 0.2,
    check: str = "maths",
    gate: str = "not-worse",
    patience: int = 1,
    length_alarm: float = LENGTH_ALARM,
    temperature: float = SAMPLING["temperature"],
    top_p: float = SAMPLING["top_p"],
    max_tokens: int = 1024,
    tuning: dict | None = None,  # type: ignore[type-arg]
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Answer, judge, pair the best with the worst, DPO; and again.

    Args:
        rows: prompts; `completion` and `answer` where known.
        ctx: the run.
        rounds: of DPO, at most.
        samples, judgings: answers to a prompt; scores of an answer.
        new: prompts that the model writes in each round.
        labelled: seeds with a completion that the first fine-tuning uses; 0 = all.
        warm_up: steps of that fine-tuning; 0 = none, the model can judge already.
        held_out: share of the seeds with an answer that decides.
        check, gate, patience: see `tilth.recipes.loops`.
        length_alarm: mean length of chosen over rejected answers that ends the loop.
        temperature, top_p, max_tokens: sampling.
        tuning, training: settings of the fine-tuning and of DPO.
    """
    judge = checker(check)
    sampling: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}
    work, held = split(rows, held_out, ctx, answered)
    if warm_up:
        written = [row for row in work if row.get("completion")]
        written = written[: labelled or len(written)]
        tries = await answers(ctx, "try", "target", written, samples, prompt=lambda row: asked(ctx, row), **sampling)
        said = await verdicts(ctx, judge, written, tries)
        lessons = [{"prompt": asked(ctx, row), "completion": row["completion"]} for row in written]
        for row, some, found in zip(written, tries, said, strict=True):
            wrong = [r.text.strip() for r, v in zip(some, found, strict=True) if v.outcome == FAIL]
            graded = [(str(row["completion"]), FULL), *((text, 0) for text in wrong[:1])]
            lessons += [{"prompt": rubric(ctx, row, t), "completion": ctx.fill(MARK, score=s)} for t, s in graded]
        await train(ctx, "target-0", "target", "sft", lessons, settings={**(tuning or {}), "max_steps": warm_up})
    loop = await Rounds.start(
        ctx, "target", held, judge, gate=gate, rounds=rounds, patience=patience, max_tokens=max_tokens
    )
    known = Novelty(NOVELTY)
    for row in work if new else ():
        known.add(str(row["prompt"]))

    async def score(item: tuple[Row, Sequence[Reply]], one: Context) -> list[tuple[float | None, list[Reply]]]:
        found: list[tuple[float | None, list[Reply]]] = []
        for reply in item[1]:
            put, marks, asked_for = rubric(one, item[0], reply.text.strip()), [], []
            for _ in range(0 if reply.problem else judgings):
                read = await ask_until_read(
                    one, "target", put, lambda r: final_score(r.text, 0, FULL), retries=0, lenient=True,
                    temperature=temperature, max_tokens=max_tokens,
                )  # fmt: skip
                asked_for += read.replies
                marks += [read.value] if read.value is not None else []
            found.append((mean(marks) if marks else None, asked_for))
        return found

    while await loop.begin():
        written_now = await fresh(ctx, work, known, new, loop.number, sampling)
        prompts = [*work, *(row for row, _ in written_now)]
        parents = {row.id: shown for row, shown in written_now}
        replies = await loop.ask("answer", prompts, samples, **sampling)
        scored = await ctx.each(list(zip(prompts, replies, strict=True)), score, name=f"judge {loop.number}")
        truth = await verdicts(ctx, judge, prompts, replies)
        pairs: list[Candidate] = []
        lengths, better = [], []
        for row, some, marks, outcomes in zip(prompts, replies, scored, truth, strict=True):
            pair = best_and_worst([m for m, _ in marks])
            by = [*(r for _, asked_for in marks for r in asked_for), *some]
            columns = {k: v for k, v in row.items() if k != "completion"}
            columns |= {"prompt": asked(ctx, row), "scores": [m for m, _ in marks]}
            best, worst = (pair.better, pair.worse) if pair else (0, 0)
            columns |= {"chosen": some[best].text.strip(), "rejected": some[worst].text.strip()}
            made = ctx.make(
                {**columns, "margin": pair.margin if pair else None},
                of=parents.get(row.id, row),
                by=by,
                round=loop.number,
            )
            if pair is None:
                ctx.drop(made, "pair:tie" if any(m is not None for m, _ in marks) else "judge:unknown:unparsed")
            elif made["chosen"] == made["rejected"]:
                ctx.drop(made, "pair:fail:identical")
            else:
                pairs.append(made)
                lengths.append((len(str(made["chosen"])), len(str(made["rejected"]))))
                right = [v.outcome == PASS for v in (outcomes[best], outcomes[worst])]
                better += [float(right[0])] if right[0] != right[1] else []
        ratio = sum(a for a, _ in lengths) / max(1, sum(b for _, b in lengths)) if lengths else 1.0
        parsed = mean([float(m is not None) for marks in scored for m, _ in marks])
        figures = {
            "pairs": len(pairs), "length chosen over rejected": ratio, "judgements read": parsed,
            "score gap": mean([float(p["margin"]) for p in pairs]), "preferred is the right one": mean(better),
        }  # fmt: skip
        if loop.collapsed(pairs, [f"{p['prompt']} {p['chosen']}" for p in pairs], parsed):
            continue
        for made in pairs:
            yield made
        await loop.train("dpo", pairs, settings=training)
        await loop.decide(figures)
        if ratio > length_alarm:
            loop.end("length")


def rubric(ctx: Context, row: Row, answer: str) -> str:
    """What the judge reads."""
    return ctx.fill(JUDGE, request=row["prompt"], answer=answer)


async def fresh(
    ctx: Context, work: Sequence[Row], known: Novelty, new: int, round: int, sampling: Mapping[str, Any]
) -> list[tuple[Row, list[Row]]]:
    """Prompts that the model writes, each after three seeds, with those seeds; near copies are dropped."""

    async def write(number: int, one: Context) -> tuple[list[Row], Reply]:
        shown = one.rng("examples").sample(list(work), min(3, len(work)))
        examples = "".join(f"- {row['prompt']}\n" for row in shown)
        return shown, await one.ask("target", one.fill(NEW, examples=examples), **sampling)

    found: list[tuple[Row, list[Row]]] = []
    for shown, reply in await ctx.each(range(new), write, name=f"new {round}"):
        text = reply.text.strip()
        if reply.problem or not known.is_novel(text):
            made = ctx.make({"prompt": text}, of=shown, by=reply, round=round)
            ctx.drop(made, f"reply:{reply.problem}" if reply.problem else "novelty:near")
        else:
            known.add(text)
            found.append((Row({"prompt": text}, content_hash({"prompt": text, "round": round})), shown))
    return found
