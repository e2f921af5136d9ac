"""Trainers: rows in, a model folder out that transformers opens. Knows no recipe, no audit and no advice."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tilth.train.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tilth.train' has no attribute '{name}'")
