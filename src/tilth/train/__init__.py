"""Trainers: rows in, a model folder out that transformers opens. Knows no recipe, no audit and no advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.train.arms import ArmResult, train_arms
    from tilth.train.config import PreferenceConfig, RewardConfig, SFTConfig
    from tilth.train.engine import train
    from tilth.train.plain import Trained, sft
    from tilth.train.preference import prefer

_HOMES = {
    "ArmResult": "arms", "train_arms": "arms", "PreferenceConfig": "config", "SFTConfig": "config", "Trained": "plain",
    "sft": "plain", "prefer": "preference", "train": "engine", "RewardConfig": "config",
}  # fmt: skip
__all__ = [
    "ArmResult", "PreferenceConfig", "RewardConfig", "SFTConfig", "Trained", "prefer", "sft", "train", "train_arms",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
