"""reversegen: a proposer learns to write what a target fails at, and the target learns from that.

1. Warm-up: the proposer learns to continue a list of three seeds with a fourth.
2. Each round it continues fresh lists; repeats (MinHash over words, then SemDeDup) and what is not valid go. In a world
   numbers larger than any in the seeds are not valid, unless `beyond` allows them. A multiple-choice question without an
   option that none is right gets one (`none_option`).
3. The target answers. Maths: a wrong answer is a failure; safety: one that breaks the policy; honesty: ten answers spread
   so far that the entropy of the options reaches 1.193 nats. What cannot be read is unknown and counts for nothing.
4. Failures with a right, safe or honest answer are the rows. The rest is put aside with its reason, and so is what an
   earlier round found already or what a held-out seed asks.
5. Preferences, failing over solved, train the proposer by DPO; on to the next round, until the failure rate reaches `enough`,
   rounds are over or the proposals collapse (fewer than `valid` are valid, they repeat, or more than `tail` of the first
   round's rare words are lost): then the last proposer and its round are taken back.
6. The target is trained on the rows and on replayed seeds. Held-out seeds decide whether it stays, and fresh proposals
   show what it fails at before and after.

Source: Zhao et al. 2024, "Forewarned is Forearmed: Leveraging LLMs for Data Synthesis through Failure-Inducing Exploration",
and its released code, whose constants are cited where they stand. Ours: unknown outcomes, collapse and rollback, `enough`,
pairs that share their list (`pairing=same-prompt`), the replay, the gate, and that the target learns the failures of all
rounds where the release takes the last round's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.recipes.align.redteam_generate import SAFE
from tilth.recipes.loops.loop import Monitor, answers, at_most, report, split, train
from tilth.recipes.loops.loop import gate as decide
from tilth.recipes.loops.reversegen.explore import (
    NEAR,
    PAIRINGS,
    SEMANTIC,
    SHOTS,
    Proposal,
    contexts,
    figures_of,
    pairs,
    propose,
    prune,
    warm_up,
)
from tilth.recipes.loops.reversegen.grading import (
    DRAWS,
    JUDGE,
    SOLVE,
    VALID,
    ByModels,
    Grader,
    confident,
    grade,
    grader,
    honest,
    largest_number,
    safe_shares,
)
from tilth.recipes.loops.rounds import ASK, asked, mean, scores
from tilth.recipes.recipe import Candidate, Context, recipe
from tilth.rows.row import Row
from tilth.select.words import normalised
from tilth.verify.math import choice

ENOUGH = 0.6
"""Ours, measured in `missing-skills`: beyond a failure rate of .6 to .85 the proposer asks ever fewer kinds of things."""
BATCH = 8
"""ReverseGen, released code: preferences a DPO step (and one pass over them)."""
REPLAYS = ("seeds", "solved", "both")
HELD_OUT = "decontaminate:held-out"
HONEST_DRAWS = 5
"""Ours: sampled answers to a held-out question; their share of ``sure`` is the confidence, the commonest letter's the votes."""


@recipe(
    "reversegen",
    family="loops",
    cites=(
        "Zhao et al. 2024, Forewarned is Forearmed: Leveraging LLMs for Data Synthesis through Failure-Inducing "
        "Exploration, arXiv:2410.16736",
    ),
    takes=("prompt",),
    makes=("prompt", "completion", "task", "round", "entropy"),
    roles=("proposer", "target"),
    trains=("proposer", "target"),
    optional_roles=("judge", "solver"),
    pool=True,
    prompts=(ASK, VALID, SOLVE, SAFE, JUDGE),
)
async def reversegen(
    rows: list[Row],
    ctx: Context,
    *,
    task: str = "maths",
    world: str | None = None,
    policy: str | None = None,
    beyond: bool = False,
    none_option: bool = True,
    rounds: int = 3,
    explore: int = 500,
    samples: int = 1,
    shots: int = SHOTS,
    temperature: float = 1.0,
    top_p: float = 0.9,
    max_tokens: int = 512,
    answer_tokens: int = 1024,
    answer_temperature: float = 1.0,
    near: float = NEAR,
    semantic: float = SEMANTIC,
    pairing: str = "shuffled",
    objective: str = "dpo",
    epochs: int = 1,
    quota: int = 0,
    enough: float = ENOUGH,
    valid: float = 0.3,
    tail: float = 1.0,
    held_out: float = 0.2,
    replay: int = 500,
    replay_from: str = "seeds",
    gate: str = "not-worse",
    warm_up_training: dict | None = None,  # type: ignore[type-arg]
    preference_training: dict | None = None,  # type: ignore[type-arg]
    target_training: dict | None = None,  # type: ignore[type-arg]
) -> AsyncIterator[Candidate]:
    """Train a proposer to write what a target fails at, and the target on that."""
    numbers = largest_number([str(row["prompt"]) for row in rows]) if world and not beyond else None
    how = grader(task, world, policy, numbers, none_option)
    _checked(ctx, pairing, replay_from, world, min(rounds, explore, samples, shots, epochs))
    work, held = split(rows, held_out, ctx)
    lists = warm_up(work, ctx.rng("warm-up"), shots)
    if not lists:
        raise UsageError(f"{len(work)} seeds are too few to list {shots} others of each", todo="give more seeds")
    await train(ctx, "proposer-0", "proposer", "sft", lists, settings=warm_up_training)
    sampling = {"samples": samples, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens}

    async def look(name: str, n: int) -> tuple[list[Any], list[Proposal]]:
        lists_ = contexts(work, n, ctx.rng("lists", name), shots)
        found = await propose(ctx, lists_, name=f"propose {name}", **sampling)  # type: ignore[arg-type]
        await ctx.run(prune, found, near, semantic, ctx.seed)
        await label(name, found)
        return lists_, found

    async def label(name: str, found: Sequence[Proposal]) -> None:
        await grade(
            ctx, found, how, name=f"grade {name}", draws=DRAWS[task], max_tokens=answer_tokens,
            temperature=answer_temperature if DRAWS[task] > 1 else 0.0,
        )  # fmt: skip

    monitor, kept, solved = Monitor(valid=valid, loss=tail), [], []
    taken = {normalised(str(row["prompt"])): HELD_OUT for row in held}
    before = ctx.model("proposer")
    for turn in range(1, rounds + 1):
        lists_, found = await look(str(turn), explore)
        figures = figures_of(found)
        made = {id(p): row_of(ctx, p, task, turn) for p in found}
        good = [p for p in found if p.failing is not None and not p.dropped]
        alarm = monitor.alarm([p.text for p in good], figures["valid"]) if good else "nothing"
        alarm = "repetition" if figures["distinct"] < monitor.distinct else alarm
        report(ctx, turn, figures | ({f"collapse {alarm}": 1} if alarm else {}))
        failing = [p for p in good if p.failing]
        for p in found:
            if alarm or not p.failing or p.dropped:
                ctx.drop(made[id(p)], p.dropped or (f"collapse:{alarm}" if alarm else "failure:fail"))
        if alarm:
            ctx.play("proposer", before)
            break
        rows_ = [made[id(p)] for p in unseen(ctx, failing, made, taken)]
        rows_ = at_most(ctx, rows_, quota, key=lambda r: r.get("skill")) if quota else rows_
        kept += rows_
        solved += [p for p in good if not p.failing and taken.get(normalised(p.text)) != HELD_OUT]
        for row in rows_:
            yield row
        await ctx.round()
        if figures["failing"] >= enough or turn == rounds:
            break
        preferences = pairs(failing, [p for p in good if not p.failing], lists_, ctx.rng("pairs", turn), pairing)
        report(ctx, turn, {"preferences": len(preferences)})
        if not preferences:
            break
        before = ctx.model("proposer")
        steps = max(1, epochs * len(preferences) // BATCH)
        settings = {"per_device_train_batch_size": BATCH, "max_steps": steps, **(preference_training or {})}
        await train(ctx, f"proposer-{turn}", "proposer", objective, preferences, settings=settings)
    if not kept:
        report(ctx, 0, {"nothing to train the target on": 1})
        return
    fresh = (await look("fresh", max(1, explore // 2)))[1]
    report(ctx, rounds + 1, {f"fresh {k}": v for k, v in figures_of(fresh).items()})
    earlier, first = ctx.model("target"), await held_out_figures(ctx, "held out before", task, held, how, answer_tokens)
    lessons = [dict(row) for row in kept] + known(ctx, work, task, solved, replay, replay_from)
    await train(ctx, "target-1", "target", "sft", lessons, settings=target_training)
    then = await held_out_figures(ctx, "held out after", task, held, how, answer_tokens)
    decided = decide(first[0], then[0], gate)
    learned = {normalised(str(lesson["prompt"])) for lesson in lessons}
    new = [p for p in fresh if p.failing is not None and normalised(question_of(ctx, p)) not in learned]
    again = [p.unanswered() for p in new]
    await label("fresh again", again)
    report(
        ctx, rounds + 1,
        {"target accepted": float(decided.accepted), "held out before": decided.before, "held out after": decided.after,
         "fresh unseen": len(new), "fresh unseen failing before": figures_of(new)["failing"],
         "fresh unseen failing after": figures_of(again)["failing"], "training rows": len(lessons),
         **{f"before {k}": v for k, v in first[1].items()}, **{f"after {k}": v for k, v in then[1].items()}},
    )  # fmt: skip
    if not decided.accepted:
        ctx.play("target", earlier)
    await ctx.round()


def unseen(
    ctx: Context, failing: Sequence[Proposal], made: Mapping[int, Candidate], taken: dict[str, str]
) -> list[Proposal]:
    """Those that ask for something new; the others' rows are dropped with the reason in `taken`, which grows."""
    new = []
    for p in failing:
        key = normalised(p.text)
        if key in taken:
            ctx.drop(made[id(p)], taken[key])
            continue
        taken[key] = "exact:duplicate"
        new.append(p)
    return new


def question_of(ctx: Context, proposal: Proposal) -> str:
    """What the target is asked, in the method's wording."""
    return str(asked(ctx, {"prompt": proposal.question}))


def row_of(ctx: Context, proposal: Proposal, task: str, turn: int) -> Candidate:
    """A proposal as a row: what is asked, what should have been answered, its round; its parents are the list's seeds."""
    columns: dict[str, Any] = {"prompt": question_of(ctx, proposal), "task": task, "round": turn}
    if proposal.reference:
        columns["completion"] = honest(proposal.reference, False) if task == "honesty" else proposal.reference
    columns |= {k: v for k, v in proposal.figures.items() if v is not None}
    parents = [row for row in proposal.context.shown if isinstance(row, Row)]
    return ctx.make(columns, of=parents, by=proposal.replies, verdicts=proposal.verdicts, round=turn)


def known(
    ctx: Context, work: Sequence[Row], task: str, solved: Sequence[Proposal], most: int, source: str
) -> list[dict[str, Any]]:
    """What the target should not forget: seeds with a completion, valid proposals it got right, or both.

    For honesty always the latter, questions it was sure of: seeds do not say whether it is.
    """
    if task == "honesty":
        found = [(p.question, honest(p.reference, True)) for p in solved if p.reference]
    else:
        found = [
            (row["prompt"], str(row["completion"])) for row in work if row.get("completion") and source != "solved"
        ]
        found += [(p.question, p.reference) for p in solved if p.reference and source != "seeds"]
    found = list(dict(found).items())
    chosen = ctx.rng("replay").sample(found, min(most, len(found)))
    return [{"prompt": asked(ctx, {"prompt": prompt}), "completion": completion} for prompt, completion in chosen]


async def held_out_figures(
    ctx: Context, name: str, task: str, held: Sequence[Row], how: Grader, max_tokens: int
) -> tuple[list[float], Mapping[str, float]]:
    """Score of each held-out row, and for honesty how well the target knows what it knows."""
    if isinstance(how, ByModels) and how.policy is not None:
        said = await answers(
            ctx, name, "target", held, prompt=lambda r: asked(ctx, r), temperature=0.0, max_tokens=max_tokens
        )
        pairs_ = [(str(row["prompt"]), some[0].text) for row, some in zip(held, said, strict=True)]
        return await safe_shares(ctx, how.policy, pairs_, name=f"{name} judged"), {}
    if task != "honesty":
        return await scores(ctx, name, "target", held, how.check, max_tokens=max_tokens), {}
    from tilth.evaluate.calibration import reliability

    replies = await answers(
        ctx, name, "target", held, HONEST_DRAWS, prompt=lambda r: asked(ctx, r), temperature=1.0, max_tokens=max_tokens
    )
    right = [[how.check(r.text, row).passed for r in some] for row, some in zip(held, replies, strict=True)]
    share = [mean([float(x) for x in some]) for some in right]
    sure = [mean([confident(r.text) for r in some]) for some in replies]
    letters = [Counter(letter for r in some if (letter := choice(r.text))) for some in replies]
    votes = [max(counts.values(), default=0) / HONEST_DRAWS for counts in letters]
    told, voted = (reliability(by, [s > 0.5 for s in share], draws=100) for by in (sure, votes))
    return share, {
        "confidence": mean(sure), "average precision": told.average_precision, "auroc": told.auroc,
        "votes average precision": voted.average_precision, "votes auroc": voted.auroc,
    }  # fmt: skip


def _checked(ctx: Context, pairing: str, replay_from: str, world: str | None, least: int) -> None:
    for name, said, choices in (("pairing", pairing, PAIRINGS), ("replay_from", replay_from, REPLAYS)):
        if said not in choices:
            raise UsageError(f"no {name} is called '{said}'", where=f"--set {name}", todo=did_you_mean(said, choices))
    if least < 1:
        raise UsageError("rounds, explore, samples, shots and epochs are at least 1", where="--set")
    for role in () if world else ("judge", "solver"):
        if role not in ctx.roles:
            raise UsageError(
                f"without a world the role '{role}' says what is valid and right, and no model is bound to it",
                todo=f"add --role {role}=SPEC, or --set world=ID",
            )
