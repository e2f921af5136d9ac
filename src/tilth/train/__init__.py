"""Trainers: rows in, a model folder out that transformers opens. Knows no recipe, no audit and no advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.train.arms import ArmResult, train_arms
    from tilth.train.config import PreferenceConfig, RewardConfig, SFTConfig
    from tilth.train.engine import train
    from tilth.train.plain import sft
    from tilth.train.preference import prefer
    from tilth.train.record import Trained
    from tilth.train.scores import StepScores, reward_scores, step_scores

_HOMES = {
    "ArmResult": "arms", "train_arms": "arms", "PreferenceConfig": "config", "RewardConfig": "config",
    "SFTConfig": "config", "train": "engine", "Trained": "record", "sft": "plain", "prefer": "preference",
    "StepScores": "scores", "reward_scores": "scores", "step_scores": "scores",
}  # fmt: skip
__all__ = [
    "ArmResult", "PreferenceConfig", "RewardConfig", "SFTConfig", "StepScores", "Trained", "prefer", "reward_scores",
    "sft", "step_scores", "train", "train_arms",
]  # fmt: skip

__getattr__ = face(__name__, _HOMES)
