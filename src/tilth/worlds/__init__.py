"""Program-grounded worlds: problems whose truth is known by construction. Knows no model, no verifier, no recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

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

__getattr__ = face(__name__, _HOMES)
