"""failure-inducing: does training on what a proposer learned to make a target fail at beat random and rejected problems?

In each world and for each seed, from nothing:

1. A reader learns the seeds' sentences; the target goes on from it with solutions (of all but the gap where skills are
   missing), the proposer with lists of three examples.
2. ReverseGen: exploring, grading by the world's program, preferences (failing over solved), DPO, at most `rounds` times and
   until .6 of the valid proposals fail.
3. Arms of `budget` new problems (several budgets may be given) with right solutions, each joined to the same replay of
   known ones, same steps:
   `none` (replay alone), `random` (valid proposals of the first proposer), `rejection` (its failures, from as many
   proposals as ReverseGen made in all), `reversegen` (failures of the last round), `pooled` (failures of all rounds).
4. Each is measured on problems in their natural shares, on every skill equally, and on the gap alone.

The worlds: `rare-wordings`, where each of eight ways of telling holds 1 % of the seeds and of what the target learned; and
`missing-skills`, story arithmetic whose target never saw carries, borrows and products, which are a fifth of the seeds.

Source: the comparison that ReverseGen's paper makes against human and model-written data, in worlds where the gap is
known. Everything else here, sizes included, is ours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tilth.errors import UsageError, did_you_mean
from tilth.recipes.experiments.common import key_of, numbers, result, seeds_of
from tilth.recipes.loops.loop import measure, train
from tilth.recipes.loops.reversegen.explore import (
    Listing,
    Proposal,
    contexts,
    figures_of,
    pairs,
    propose,
    prune,
    warm_up,
)
from tilth.recipes.loops.reversegen.grading import ByWorld, grade, largest_number
from tilth.recipes.recipe import Context, recipe
from tilth.rows.row import Row
from tilth.worlds import wordings
from tilth.worlds.arithmetic import STORY

SKILL_GAP = ("add-carry", "sub-borrow", "mul")
READING = {"max_steps": 300, "per_device_train_batch_size": 32, "save_steps": 0}
TARGET = {"per_device_train_batch_size": 32, "save_steps": 0}
WARM_UP = {"max_steps": 400, "per_device_train_batch_size": 16, "save_steps": 0}
PREFERENCE = {"per_device_train_batch_size": 8, "learning_rate": 2e-4, "warmup_steps": 5, "save_steps": 0}
EPOCHS, MOST_STEPS = 4, 40
"""Passes of DPO over a round's preferences, and its steps at most: more of either ruins the proposer's validity."""
NEAR = 0.95
"""Jaccard of word sets that makes a repeat: .78, as released, drops half of what templates with small numbers can say."""
IMPROVE = {"per_device_train_batch_size": 32, "learning_rate": 1e-3, "save_steps": 0}
TOP_P = 1.0
"""The release samples the proposer at .9, which never writes what holds 1 % of the seeds (measured here)."""
ENOUGH = 0.6
"""Failure rate at which exploring stops; beyond .6 to .85 ever fewer kinds of problems are asked."""
LEAST_VALID = 0.3
"""A round with fewer valid proposals does not count, and the rounds end."""
MAX_TOKENS = 60


@dataclass(frozen=True, slots=True)
class Setting:
    """A world with a known gap.

    Args:
        name: of the setting.
        world: its program.
        gap: the skills of the gap.
        seeds: what the proposer sees.
        known: problems with solutions that the target learns.
        natural: held out, in natural shares.
        balanced: held out, every skill equally often.
    """

    name: str
    world: Any
    gap: tuple[str, ...]
    seeds: list[dict[str, Any]]
    known: list[dict[str, Any]]
    natural: list[Row]
    balanced: list[Row]


def rare_wordings(seed: int, seeds: int, known: int, held_out: int) -> Setting:
    """One-step problems told in twelve ways, eight of them rare."""
    world, knobs = wordings.WORDINGS_WORLD, {"largest": 12}
    seen = world.problems(seeds, key_of("wordings", seed, "seeds"), **knobs)
    learned = world.problems(known, key_of("wordings", seed, "known"), **knobs)
    natural = world.problems(held_out, key_of("wordings", seed, "natural"), **knobs)
    balanced = world.problems(held_out, key_of("wordings", seed, "balanced"), skills=world.skills, **knobs)
    return Setting(
        "rare-wordings", world, wordings.RARE, seen, learned, _rows("natural", natural), _rows("balanced", balanced)
    )


def missing_skills(seed: int, seeds: int, known: int, held_out: int) -> Setting:
    """One-step stories; the target never learned a fifth of what is asked."""
    knobs = {"steps": (1,), "operators": "+-*", "largest": 30, "ceiling": 100}

    def natural(part: str, n: int) -> list[dict[str, Any]]:
        lacking = n // 5
        rows = STORY.problems(n - lacking, key_of("skills", seed, part), without=SKILL_GAP, **knobs)
        rows += STORY.problems(lacking, key_of("skills", seed, part, "gap"), skills=SKILL_GAP, **knobs)
        Random(key_of("skills", seed, part, "order")).shuffle(rows)
        return rows

    each = held_out // (2 + len(SKILL_GAP))
    balanced = [
        row for skill in ("add", "sub", *SKILL_GAP)
        for row in STORY.problems(each, key_of("skills", seed, "balanced", skill), skills=[skill], **_alone(skill, knobs))
    ]  # fmt: skip
    learned = STORY.problems(known, key_of("skills", seed, "known"), without=SKILL_GAP, **knobs)
    return Setting(
        "missing-skills", STORY, SKILL_GAP, natural("seeds", seeds), learned, _rows("natural", natural("natural", held_out)),
        _rows("balanced", balanced),
    )  # fmt: skip


WORLDS = {"rare-wordings": rare_wordings, "missing-skills": missing_skills}


@recipe(
    "failure-inducing",
    family="experiments",
    cites=("ReverseGen: Forewarned is Forearmed (Zhao et al. 2024), arXiv:2410.16736",),
    takes=("topic",),
    makes=("world", "seed", "budget", "arm", "accuracy", "balanced", "gap", "training_rows", "proposals"),
    roles=(),
    pool=True,
    topic=True,
    level=6,
)
async def failure_inducing(
    rows: list[Row],
    ctx: Context,
    *,
    worlds: str = "rare-wordings,missing-skills",
    seeds: int = 5,
    first: int = 0,
    budget: str = "60",
    rounds: int = 3,
    explore: int = 800,
    problems: int = 1200,
    known: int = 1000,
    learn: int = 600,
    replay: int = 400,
    improve: int = 100,
    held_out: int = 300,
) -> AsyncIterator[Any]:
    """Compare problems a target fails at, found by ReverseGen or by rejection, with random ones at equal budget."""
    budgets = numbers(budget, "budget")
    names = [w.strip() for w in worlds.split(",") if w.strip()]
    for name in names:
        if name not in WORLDS:
            raise UsageError(f"no setting is called '{name}'", where="--set worlds", todo=did_you_mean(name, WORLDS))
    if min(rounds, explore) < 1:
        raise UsageError("rounds and explore are at least 1", where="--set")
    for seed in seeds_of(seeds, first):
        for name in names:
            setting = WORLDS[name](seed, problems, known, held_out)
            own = ctx.branch(name, seed)
            found = await hunt(own, setting, seed, rounds, explore, learn)
            plain = await improved(own, setting, seed, "none", [], replay, improve)
            for size in budgets:
                for arm, chosen, proposals in arms_of(found, size, Random(key_of(name, seed, "arms"))):
                    scores = plain
                    if chosen:
                        scores = await improved(own, setting, seed, f"{arm}-{size}", chosen, replay, improve)
                    facts = {"world": name, "budget": size, "training_rows": len(chosen), "proposals": proposals}
                    facts |= {k: v for k, v in scores.items() if k != "right"}
                    facts |= {"skills": dict(sorted(Counter(str(p.figures.get("skill")) for p in chosen).items()))}
                    facts |= {"rounds": found.figures} if arm == "reversegen" else {}
                    yield result(own, arm, seed, scores["right"], **facts)
                    ctx.note(f"{name}, {size}, {arm}: balanced accuracy, mean of seeds", scores["balanced"] / seeds)
            await ctx.round()


@dataclass(frozen=True, slots=True)
class Hunt:
    """What exploring brought in.

    Args:
        warm: graded proposals of the first proposer in the first round.
        plain: failures of the first proposer, from as many proposals as all rounds made.
        rounds: failures of each round.
        made: proposals asked for in all rounds.
        figures: of each round, see `figures_of`.
    """

    warm: list[Proposal]
    plain: list[Proposal]
    rounds: list[list[Proposal]]
    made: int
    figures: list[dict[str, float]]


async def hunt(ctx: Context, setting: Setting, seed: int, rounds: int, explore: int, learn: int) -> Hunt:
    """Train reader, target and proposer, then explore and prefer for `rounds` rounds and explore once more."""
    largest = largest_number(row["prompt"] for row in setting.seeds)
    how, rng = ByWorld("maths", setting.world, largest), Random(key_of(setting.name, seed, "hunt"))
    sentences = [{"prompt": "", "completion": row["prompt"]} for row in setting.seeds]
    reader = await train(
        ctx, "reader", "reader", "sft", sentences, start="nano:scratch", settings={**READING, "seed": seed}
    )
    await train(
        ctx,
        "target",
        "target",
        "sft",
        setting.known,
        start=reader,
        settings={**TARGET, "max_steps": learn, "seed": seed},
    )
    lists = warm_up(setting.seeds, rng)
    warm = await train(ctx, "proposer-0", "proposer", "sft", lists, start=reader, settings={**WARM_UP, "seed": seed})

    async def look(name: str, n: int) -> tuple[list[Listing], list[Proposal]]:
        asked = contexts(setting.seeds, n, rng)
        found = await propose(ctx, asked, name=f"propose {name}", top_p=TOP_P, max_tokens=MAX_TOKENS)
        prune(found, NEAR, semantic=0)
        await grade(ctx, found, how, name=f"grade {name}", max_tokens=MAX_TOKENS)
        return asked, found

    asked, found = await look("0", explore)
    first, history, figures = found, [found], [figures_of(found)]
    for turn in range(1, rounds + 1):
        failing, passing = [p for p in found if p.failing], [p for p in found if p.failing is False]
        preferences = pairs(failing, passing, asked, rng)
        if not preferences or figures[-1]["failing"] >= ENOUGH:
            break
        steps = min(MOST_STEPS, max(1, EPOCHS * len(preferences) // int(PREFERENCE["per_device_train_batch_size"])))
        settings = {**PREFERENCE, "max_steps": steps, "seed": seed}
        await train(ctx, f"proposer-{turn}", "proposer", "dpo", preferences, settings=settings)
        asked, found = await look(str(turn), explore)
        figures.append(figures_of(found))
        if figures[-1]["valid"] < LEAST_VALID:
            break
        history.append(found)
    total = explore * len(figures)
    ctx.play("proposer", warm)
    more = (await look("plain", total - explore))[1] if total > explore else []
    failures = [[p for p in one if p.failing] for one in history]
    plain = [p for p in (*first, *more) if p.failing]
    return Hunt([p for p in first if p.failing is not None], plain, failures, total, figures)


def arms_of(found: Hunt, budget: int, rng: Random) -> list[tuple[str, list[Proposal], int]]:
    """Each arm's new problems (at most `budget`) and how many proposals they took."""

    def some(from_: Sequence[Proposal]) -> list[Proposal]:
        return rng.sample(list(from_), min(budget, len(from_)))

    every = [p for failures in found.rounds for p in failures]
    return [
        ("none", [], 0), ("random", some(found.warm), len(found.warm)), ("rejection", some(found.plain), found.made),
        ("reversegen", some(found.rounds[-1]), found.made), ("pooled", some(every), found.made),
    ]  # fmt: skip


async def improved(
    ctx: Context, setting: Setting, seed: int, arm: str, chosen: Sequence[Proposal], replay: int, steps: int
) -> dict[str, Any]:
    """Train the target on an arm's problems and the replay, and measure it."""
    check = ByWorld("maths", setting.world).check
    rows: list[Mapping[str, Any]] = [{"prompt": p.text, "completion": p.reference} for p in chosen]
    rows += setting.known[:replay]
    settings = {**IMPROVE, "max_steps": steps, "seed": seed}
    await train(ctx, f"arm-{arm}", "student", "sft", rows, start=ctx.model("target"), settings=settings)
    natural = await measure(ctx, f"natural {arm}", "student", setting.natural, check, max_tokens=MAX_TOKENS)
    balanced = await measure(ctx, f"balanced {arm}", "student", setting.balanced, check, max_tokens=MAX_TOKENS)
    by_skill: dict[str, list[float]] = defaultdict(list)
    for row, score in zip(setting.balanced, balanced, strict=True):
        by_skill[row["tested"]].append(score)
    means = {skill: sum(s) / len(s) for skill, s in by_skill.items()}
    return {
        "accuracy": sum(natural) / len(natural), "balanced": sum(means.values()) / len(means),
        "gap": sum(means[s] for s in setting.gap) / len(setting.gap), "right": balanced,
    }  # fmt: skip


def _alone(skill: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Knobs under which a problem asks for `skill` and for nothing else of the gap."""
    return {**knobs, "without": [s for s in SKILL_GAP if s != skill]}


def _rows(name: str, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    return [Row({**row, "tested": row["skill"]}, f"{name}-{i}") for i, row in enumerate(rows)]
