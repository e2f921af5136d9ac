"""Trainers: rows in, a model folder out that transformers opens. Knows no recipe, no audit and no advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.train.arms import ArmResult, train_arms
    from tilth.train.config import PreferenceConfig, SFTConfig
    from tilth.train.plain import Trained, sft
    from tilth.train.preference import prefer

_HOMES = {
    "ArmResult": "arms", "train_arms": "arms", "PreferenceConfig": "config", "SFTConfig": "config", "Trained": "plain",
    "sft": "plain", "prefer": "preference",
}  # fmt: skip
__all__ = ["ArmResult", "PreferenceConfig", "SFTConfig", "Trained", "prefer", "sft", "train_arms"]

__getattr__ = face(__name__, _HOMES)
