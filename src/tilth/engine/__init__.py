"""Runs a plan: bounded concurrency, deterministic order, commit, resume, budget, progress. Knows no single method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.lazy import face

if TYPE_CHECKING:
    from tilth.engine.local import Result, run_plan
    from tilth.engine.memory import run_recipe
    from tilth.engine.plan import Plan
    from tilth.engine.table import write_table_run

_HOMES = {
    "Plan": "plan", "Result": "local", "run_plan": "local", "run_recipe": "memory", "write_table_run": "table",
}  # fmt: skip
__all__ = ["Plan", "Result", "run_plan", "run_recipe", "write_table_run"]

__getattr__ = face(__name__, _HOMES)
