"""The worlds by id; third parties add theirs by entry points of the group ``tilth.worlds``."""

from __future__ import annotations

from tilth.registry import Registry
from tilth.worlds.world import World

WORLDS = Registry(
    "worlds",
    {
        "story-arithmetic": "tilth.worlds.arithmetic:STORY",
        "rare-wordings": "tilth.worlds.wordings:WORDINGS_WORLD",
        "invented-policy": "tilth.worlds.policy:POLICY",
        "quiz": "tilth.worlds.quiz:QUIZ",
    },
)


def open_world(id: str) -> World:
    """The world called `id`.

    Raises:
        UsageError: no world has this id.
    """
    world: World = WORLDS.load(id)
    return world
