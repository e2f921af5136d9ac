"""One published method a file: prompts, parser, filters, constants. Does not know where or when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face
from tilth.recipes.prompt import Prompt
from tilth.recipes.recipe import Candidate, Context, Recipe, Skip, recipe

if TYPE_CHECKING:
    from tilth.recipes.registry import RECIPES, load_recipe

_HOMES = {"RECIPES": "registry", "load_recipe": "registry"}
__all__ = ["RECIPES", "Candidate", "Context", "Prompt", "Recipe", "Skip", "load_recipe", "recipe"]

__getattr__ = face(__name__, _HOMES)
