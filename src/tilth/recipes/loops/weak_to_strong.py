"""weak-to-strong: does a strong model trained on a weak one's labels become better than its teacher?

1. The seeds are split in A, B and a held-out set. The weak model is trained on A with the truth.
2. It labels B: with a few possible answers its belief in each is their share among `samples` answers; otherwise its own
   greedy answer is the label.
3. The strong model is trained on B three times from the same start: on the weak labels, on the weak labels with a
   confidence loss that lets it trust its own answer, and on the truth (the ceiling). A control has the truth with as many
   labels flipped at random as the weak model got wrong.
4. All are measured on the held-out set. Performance gap recovered: PGR = (transfer - weak) / (ceiling - weak); it is not
   given when the gap is within its standard error. The strong role keeps the last transfer unless the gate says no.

Source: Burns et al. 2023, "Weak-to-Strong Generalization", sections 3 and 4.3. The confidence loss needs a few possible
answers (`tilth.train.confidence`); with `aux=0` every training is plain fine-tuning on the likeliest label.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tilth.errors import UsageError
from tilth.evaluate.paired import compare
from tilth.models.base import Reply
from tilth.recipes.loops.loop import answers, report, split, train
from tilth.recipes.loops.rounds import ASK, Rounds, asked, checker, mean, scores
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.verify.math import final_answer

AUX = 0.5
"""Largest weight of the student's own answer (section 4.3.2)."""
CLASSES = 8
"""Ours: more different answers than this are no classification."""


@recipe(
    "weak-to-strong",
    family="loops",
    cites=("Burns et al. 2023, Weak-to-Strong Generalization, arXiv:2312.09390",),
    takes=("prompt", "answer"),
    makes=("prompt", "completion", "weak_answer", "belief"),
    roles=("weak", "strong"),
    trains=("strong", "weak?train_weak"),
    pool=True,
    prompts=(ASK,),
)
async def weak_to_strong(
    rows: list[Row],
    ctx: Context,
    *,
    share: float = 0.5,
    samples: int = 8,
    aux: float = AUX,
    train_weak: bool = True,
    control: bool = True,
    held_out: float = 0.25,
    check: str = "maths",
    gate: str = "not-worse",
    temperature: float = 1.0,
    max_tokens: int = 512,
    weak_training: dict | None = None,  # type: ignore[type-arg]
    training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Train the strong model on the weak one's labels; measure how much of the gap to the truth it recovers.

    Args:
        rows: problems with the true answer.
        ctx: the run.
        share: of the seeds that the weak model is labelled for; the rest of them is A.
        samples: weak answers to a row, where there are few possible ones.
        aux: largest weight of the confidence loss; 0 = none.
        train_weak: whether the weak model is trained on A; else it labels as it is.
        control: also train on randomly flipped labels.
        held_out: share of the seeds that measures.
        check, gate: see `tilth.recipes.loops`.
        temperature, max_tokens: of the weak model's answers.
        weak_training, training: settings of the weak and of the strong trainings.
    """
    judge, labels = checker(check), sorted({str(row["answer"]) for row in rows})
    closed = 2 <= len(labels) <= CLASSES
    if aux and not closed:
        raise UsageError(
            f"{len(labels)} different answers, and the confidence loss needs 2 to {CLASSES}", where="--set aux",
            todo="write --set aux=0",
        )  # fmt: skip
    work, held = split(rows, held_out, ctx)
    first, second = split(work, share, ctx)
    strong = ctx.model("strong")
    short: dict[str, Any] = {"max_tokens": max_tokens}
    if train_weak:
        lessons = [{"prompt": asked(ctx, row), "completion": truth(row, closed)} for row in first]
        await train(ctx, "weak-1", "weak", "sft", lessons, settings=weak_training)
    measured = {"weak": await scores(ctx, "held out weak", "weak", held, judge, **short)}
    loop = await Rounds.start(ctx, "strong", held, judge, gate=gate, rounds=1, **short)
    await loop.begin()

    n, warmth = (samples, temperature) if closed else (1, 0.0)
    said = await answers(
        ctx, "label", "weak", second, n, prompt=lambda row: asked(ctx, row), temperature=warmth, **short
    )
    made = [label(ctx, row, some, labels if closed else []) for row, some in zip(second, said, strict=True)]
    used = [item for item in made if item["completion"]]
    for item in made:
        if item["completion"]:
            yield item
        else:
            ctx.drop(item, "weak:unknown:no-label")
    if not used:
        loop.end("no readable label")
        await loop.begin()
        return
    seeds = {row.id: row for row in second}
    true = [seeds[item.lineage.parents[0]] for item in used]
    agree = mean([float(item["weak_answer"] == str(row["answer"])) for item, row in zip(used, true, strict=True)])
    options = [f"#### {answer}" for answer in labels]

    def arm(kind: str) -> list[dict[str, Any]]:
        found = []
        for item, row in zip(used, true, strict=True):
            right = str(row["answer"])
            flip = ctx.rng("control", row.id).random() > agree
            others = [a for a in labels if a != right]
            answer = ctx.rng("flip", row.id).choice(others) if kind == "control" and flip else right
            weak = kind in ("plain", "confidence")
            one_hot = [float(a == answer) for a in labels]
            text = item["completion"] if weak else f"#### {answer}" if closed else truth(row, closed)
            found.append({"prompt": item["prompt"], "completion": text, "completions": options,
                          "labels": list(item["belief"]) if weak and closed else one_hot})  # fmt: skip
        return found

    arms = ["ceiling", *(["control"] if control and closed else []), "plain", *(["confidence"] if aux else [])]
    for kind in arms:
        weight = {"aux_coefficient": aux if kind == "confidence" else 0.0} if aux else {}
        settings = {**(training or {}), **weight}
        await train(ctx, kind, "strong", "confidence" if aux else "sft", arm(kind), start=strong, settings=settings)
        measured[kind] = await scores(ctx, f"held out {kind}", "strong", held, judge, **short)
    figures = {kind: mean(values) for kind, values in measured.items()}
    for kind in arms[1:]:
        recovered = gap_recovered(measured["weak"], measured[kind], measured["ceiling"])
        figures |= {f"PGR {kind}": recovered} if recovered is not None else {f"PGR {kind} undefined": 1.0}
    report(ctx, 1, {"weak labels right": agree, "rows": len(used)})
    await loop.decide(figures)
    await loop.begin()


def truth(row: Mapping[str, Any], closed: bool) -> str:
    """What a row teaches: its answer alone where there are few, else its worked solution."""
    if closed:
        return f"#### {row['answer']}"
    return str(row.get("completion") or f"#### {row['answer']}")


def label(ctx: Context, row: Row, replies: Sequence[Reply], labels: Sequence[str]) -> Candidate:
    """The weak model's label for a row, with its belief in each possible answer; no completion where it has none."""
    given = [None if r.problem else final_answer(r.text) for r in replies]
    votes = [sum(answer == a for answer in given) for a in labels]
    best = labels[votes.index(max(votes))] if any(votes) else None
    text = replies[0].text.strip() if not labels and given[0] is not None else f"#### {best}" if best else ""
    columns = {
        **row, "prompt": asked(ctx, row), "completion": text, "weak_answer": given[0] if not labels else best,
        "belief": [v / sum(votes) for v in votes] if any(votes) else [],
    }  # fmt: skip
    return ctx.make(columns, of=row, by=replies, round=1)


def gap_recovered(weak: Sequence[float], transfer: Sequence[float], ceiling: Sequence[float]) -> float | None:
    """PGR = (transfer - weak) / (ceiling - weak); None when the gap is not above its standard error (section 3)."""
    gap = compare(list(weak), list(ceiling), draws=2_000, level=0.6827)
    if gap.delta <= max(0.0, (gap.hi - gap.lo) / 2):
        return None
    return (mean(transfer) - mean(weak)) / gap.delta
