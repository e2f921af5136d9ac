"""One published method a file: prompts, parser, filters, constants. Does not know where or when it runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, Recipe, Skip, recipe

if TYPE_CHECKING:
    from tilth.recipes.registry import RECIPES, load_recipe

_HOMES = {"RECIPES": "registry", "load_recipe": "registry"}
__all__ = ["RECIPES", "Candidate", "Context", "Prompt", "Recipe", "Skip", "load_recipe", "recipe"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tilth.recipes.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tilth.recipes' has no attribute '{name}'")
