"""Rebuild a dataset from its journal alone: every row's code runs again over the recorded answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilth.engine.freeze import differences, freeze, frozen_facts
from tilth.engine.local import Result, run_frozen
from tilth.engine.plan import Plan
from tilth.engine.seeds import Seeds
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.journal.upkeep import copy_erased
from tilth.models.base import Model
from tilth.rows.folder import RunFolder


def replay(path: str | Path, out: str | Path, *, quiet: bool = True) -> Result:
    """Rebuild a run's dataset from its journal alone into `out`: every row's code runs again over the recorded answers.

    Raises:
        TilthError: `path` is not a run, or its seeds or code have changed.
    """
    there = RunFolder(path).require()
    plan = replace(Plan.load(there.plan), budget={}, limit=Plan.load(there.plan).limit)
    recipe = plan.load_recipe()
    import yaml

    old = yaml.safe_load(there.plan.read_text(encoding="utf-8"))["frozen"]
    seeds = Seeds(plan, recipe)
    models: dict[str, Model] = {role: Recorded(identity) for role, identity in old["models"].items()}
    frozen = frozen_facts(recipe, seeds, old["models"])
    changed = differences({"seeds": old["seeds"]}, {"seeds": seeds.hash})
    if changed:
        raise UsageError("cannot replay: " + changed[0], where=str(path), todo="bring the seed file back")
    folder = RunFolder(out).create()
    journal = Journal(folder.journal)
    try:
        freeze(folder, plan, frozen, journal)
        journal.copy_answers(there.journal)
        copy_erased(journal, there.journal)
        return asyncio.run(run_frozen(plan, recipe, frozen, seeds, models, folder, journal, quiet, True, close=False))
    finally:
        journal.close()


class Recorded:
    """A model that is only a name: its answers stand in the journal."""

    local = True

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.name = identity.rpartition("#")[2] or identity

    async def send(self, request: Any) -> Any:
        """Never called: a replay answers from the journal alone."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to release."""
