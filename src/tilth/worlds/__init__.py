"""Program-grounded worlds: problems whose truth is known by construction. Knows no model, no verifier, no recipe."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.worlds.arithmetic import STORY, StoryArithmetic
    from tilth.worlds.registry import WORLDS, open_world
    from tilth.worlds.world import World

_HOMES = {
    "STORY": "arithmetic",
    "StoryArithmetic": "arithmetic",
    "WORLDS": "registry",
    "open_world": "registry",
    "World": "world",
}
__all__ = ["STORY", "WORLDS", "StoryArithmetic", "World", "open_world"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tilth.worlds.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tilth.worlds' has no attribute '{name}'")
