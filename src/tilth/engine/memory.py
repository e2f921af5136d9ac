"""Run a recipe in memory: for tests, notebooks and recipes in the making."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tilth.engine.asking import Asker
from tilth.engine.project import Numbers, count
from tilth.engine.runner import Runner
from tilth.journal.budget import Budget, Limits
from tilth.journal.store import Journal
from tilth.models.base import Model
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Recipe
from tilth.recipes.registry import recipe_version
from tilth.rows.lineage import Lineage
from tilth.rows.row import Row, source_id
from tilth.rows.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Harvested:
    """What a recipe brought in.

    Args:
        kept: rows with their evidence, in seed order.
        dropped: rows put aside, each with its reason.
        failed: ids of failed seeds, each with its reason.
        skipped: ids of seeds left out, each with its reason.
        numbers: the counts, conserved.
    """

    kept: list[Candidate]
    dropped: list[tuple[Candidate, str]]
    failed: list[tuple[str, str]]
    skipped: list[tuple[str, str]]
    numbers: Numbers


def run_recipe(
    recipe: Recipe,
    rows: Iterable[Mapping[str, Any]],
    models: Mapping[str, Model] | Model,
    *,
    seed: int = 0,
    concurrency: int = 16,
    journal: Journal | None = None,
    prompts: Mapping[str, Prompt] | None = None,
    **settings: Any,
) -> Harvested:
    """Run `recipe` over `rows` without a run folder.

    Args:
        recipe: the method.
        rows: seeds; plain mappings get ids by their place.
        models: role to model, or one model for all roles but the optional ones.
        seed: the run's seed.
        concurrency: seeds in work at most.
        prompts: other wordings, by prompt name.
        journal: where answers are recorded; a fresh one in memory when not given.
        settings: the recipe's settings.

    Raises:
        TilthError: the run cannot go on.
    """
    seeds = [r if isinstance(r, Row) else Row(r, source_id("memory", i)) for i, r in enumerate(rows)]
    bound = dict.fromkeys(recipe.roles, models) if not isinstance(models, Mapping) else models
    own = journal or Journal(":memory:")

    async def go() -> Runner:
        asker = Asker(bound, own, Budget(Limits()), concurrency=concurrency)  # type: ignore[arg-type]
        runner = Runner(
            recipe,
            recipe_version(recipe),
            asker,
            settings=recipe.settings(settings),
            prompts=prompts,
            seed=seed,
            concurrency=concurrency,
        )
        await runner.run(seeds)
        return runner

    runner = asyncio.run(go())
    if runner.error is not None:
        raise runner.error
    kept, dropped, failed, skipped = [], [], [], []
    for outcome in own.outcomes():
        content = outcome.content
        kept += [_candidate(*c) for c in content.get("kept", ())]
        dropped += [(_candidate(*c[:3]), c[3]) for c in content.get("dropped", ())]
        failed += [(content["failed"][0], content["failed"][2])] if "failed" in content else []
        skipped += [(s[0], s[1]) for s in content.get("skipped", ())]
    return Harvested(kept, dropped, failed, skipped, count(own))


def _candidate(columns: dict[str, Any], lineage: dict[str, Any], verdicts: list[dict[str, Any]]) -> Candidate:
    return Candidate(columns, Lineage.from_dict(lineage), tuple(Verdict.from_dict(v) for v in verdicts))
