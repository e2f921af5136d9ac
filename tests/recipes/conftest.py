"""What every method promises, as a fixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import Model
from tilth.models.doubles import FunctionModel
from tilth.models.hostile import Hostile
from tilth.recipes.recipe import Recipe

Promise = Callable[..., Harvested]


@pytest.fixture
def keeps_its_promises() -> Promise:
    """Hostile answers lose nothing, and a second run over one journal gives equal rows and sends nothing."""

    def check(recipe: Recipe, rows: Sequence[Mapping[str, Any]], answer: Any, **settings: Any) -> Harvested:
        for seed in range(2):
            bad: Model = Hostile(seed=seed)
            found = run_recipe(recipe, rows, dict.fromkeys(recipe.roles, bad), seed=seed, **settings)
            n = found.numbers
            assert not found.failed and n.candidates == n.kept + sum(n.dropped.values())
            assert n.kept == len(found.kept) and sum(n.dropped.values()) == len(found.dropped)
        journal, model = Journal(":memory:"), FunctionModel(answer)
        bound = dict.fromkeys([*recipe.roles, *recipe.optional_roles], model)
        once = run_recipe(recipe, rows, bound, journal=journal, **settings)
        sent = model.sent
        again = run_recipe(recipe, rows, bound, journal=journal, concurrency=3, **settings)
        assert model.sent == sent
        fresh = run_recipe(recipe, rows, dict.fromkeys(bound, FunctionModel(answer)), concurrency=1, **settings)
        first, *others = [[(c.id, dict(c)) for c in run.kept] for run in (once, again, fresh)]
        assert all(other == first for other in others)
        return fresh

    return check
