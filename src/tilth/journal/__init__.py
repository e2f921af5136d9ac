"""The durable record of every request, step and row outcome of a run, and the budget. Does not know who asks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.journal.budget import Budget, Limits
    from tilth.journal.keys import request_key
    from tilth.journal.store import Journal, Outcome, Record

_HOMES = {
    "Budget": "budget", "Limits": "budget", "request_key": "keys", "Journal": "store", "Outcome": "store",
    "Record": "store",
}  # fmt: skip
__all__ = ["Budget", "Journal", "Limits", "Outcome", "Record", "request_key"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tilth.journal.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tilth.journal' has no attribute '{name}'")
