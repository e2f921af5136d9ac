"""What a run says of itself: `summary.json` and a minimal dataset card; the full card is the report room's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilth import __version__
from tilth.engine.asking import Asker
from tilth.engine.plan import Plan
from tilth.engine.project import Numbers
from tilth.models.base import Model
from tilth.recipes.recipe import Recipe
from tilth.rows.folder import RunFolder

CARD_HEAD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/kept/*.parquet
- config_name: dropped
  data_files:
  - split: train
    path: data/dropped/*.parquet
tags:
- synthetic
- tilth
---
"""


def run_summary(
    plan: Plan,
    recipe: Recipe,
    frozen: Mapping[str, Any],
    numbers: Numbers,
    asker: Asker,
    models: Mapping[str, Model],
    total: int,
    seconds: float,
    state: str,
) -> dict[str, Any]:
    """The run's summary, with conservation asserted.

    Raises:
        AssertionError: rows were lost; this is a fault of tilth, not of the user.
    """
    calls, tokens_in, tokens_out, usd = asker.journal.spent()
    skipped = sum(numbers.skipped.values())
    retried = sum(
        int(getattr(getattr(m, "stats", None), "retried", 0)) for m in {id(m): m for m in models.values()}.values()
    )
    untouched = total - numbers.used - skipped - (0 if recipe.pool else numbers.unfinished)
    assert untouched >= 0, f"more seeds accounted for than there are: {numbers}"
    return {
        "state": state,
        "seeds": {
            "total": total,
            "used": numbers.used,
            "skipped": skipped,
            "untouched": untouched,
            "failed": numbers.seeds_failed,
            "skipped_why": dict(sorted(numbers.skipped.items())),
        },
        "candidates": numbers.candidates,
        "kept": numbers.kept,
        "dropped": dict(sorted(numbers.dropped.items())),
        "failed": numbers.failed,
        "failed_why": dict(sorted(numbers.failures.items())),
        "unfinished": numbers.unfinished,
        "requests": {
            "sent": int(asker.journal.meta("sent") or calls),
            "cached": asker.counts.cached,
            "retried": retried,
            "waiting": asker.waiting.count(),
        },
        "tokens": {"in": tokens_in, "out": tokens_out},
        "cost_usd": round(usd, 6),
        "unpriced": sorted(asker.counts.unpriced),
        "seconds": round(seconds, 3),
        "levels": dict(sorted(numbers.levels.items())),
        "verdicts": {name: dict(sorted(c.items())) for name, c in sorted(numbers.verdicts.items())},
        "notes": dict(sorted(numbers.notes.items())),
        "recipe": {
            "id": recipe.id,
            "family": recipe.family,
            "summary": recipe.summary,
            "cites": list(recipe.cites),
            "makes": list(recipe.makes),
            "version": frozen["version"],
        },
        "models": dict(frozen["models"]),
        "bound": dict(asker.journal.meta("bound") or {}),
        "seeds_hash": frozen["seeds"],
        "plan": plan.content(),
        "tilth": __version__,
    }


def write_minimal_card(folder: RunFolder, plan: Plan, recipe: Recipe, summary: Mapping[str, Any]) -> None:
    """A card that lets `datasets.load_dataset` open the folder and a person see where it came from."""
    dropped = "".join(f"| dropped: {reason} | {n:,} |\n" for reason, n in summary["dropped"].items())
    folder.write_text(
        folder.card,
        f"{CARD_HEAD}# {recipe.id}\n\nMade with tilth {__version__}, recipe `{recipe.id}`.\n\n"
        f"| candidates | {summary['candidates']:,} |\n|---|---|\n| kept | {summary['kept']:,} |\n{dropped}"
        f"| failed | {summary['failed']:,} |\n| unfinished | {summary['unfinished']:,} |\n\n"
        + "".join(f"* {cite}\n" for cite in recipe.cites),
    )
