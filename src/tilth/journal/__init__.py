"""The durable record of every request, step and row outcome of a run, and the budget. Does not know who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.journal.budget import Budget, Limits
    from tilth.journal.keys import request_key
    from tilth.journal.store import Journal, Outcome, Record

_HOMES = {
    "Budget": "budget", "Limits": "budget", "request_key": "keys", "Journal": "store", "Outcome": "store",
    "Record": "store",
}  # fmt: skip
__all__ = ["Budget", "Journal", "Limits", "Outcome", "Record", "request_key"]

__getattr__ = face(__name__, _HOMES)
