"""The durable record of every request, step and row outcome of a run, and the budget. Does not know who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.journal.budget import Budget, Limits
    from tilth.journal.keys import request_key
    from tilth.journal.records import Outcome, Record
    from tilth.journal.store import Journal

_HOMES = {
    "Budget": "budget", "Limits": "budget", "request_key": "keys", "Journal": "store", "Outcome": "records",
    "Record": "records",
}  # fmt: skip
__all__ = ["Budget", "Journal", "Limits", "Outcome", "Record", "request_key"]

__getattr__ = face(__name__, _HOMES)
