"""One published method a file: prompts, parser, filters, constants with citation. Does not know where or when it runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.recipes.prompt import Prompt
    from tilth.recipes.recipe import Candidate, Context, Recipe, Skip, recipe
    from tilth.recipes.registry import RECIPES, load_recipe

_HOMES = {
    "Prompt": "prompt", "Candidate": "recipe", "Context": "recipe", "Recipe": "recipe", "Skip": "recipe",
    "recipe": "recipe", "RECIPES": "registry", "load_recipe": "registry",
}  # fmt: skip
__all__ = ["RECIPES", "Candidate", "Context", "Prompt", "Recipe", "Skip", "load_recipe", "recipe"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"tilth.recipes.{_HOMES[name]}"), name)
        globals()[name] = value  # the submodule `recipe` and the decorator share a name: the decorator wins
        return value
    raise AttributeError(f"module 'tilth.recipes' has no attribute '{name}'")
