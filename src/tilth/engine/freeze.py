"""What a run folder remembers of its plan, and what has changed since, in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tilth.engine.plan import EXECUTION, Plan
from tilth.engine.seeds import Seeds
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.recipes.recipe import Recipe
from tilth.recipes.registry import recipe_version
from tilth.rows.folder import RunFolder


def frozen_facts(recipe: Recipe, seeds: Seeds, identities: Mapping[str, str]) -> dict[str, Any]:
    """The hashes that a run folder remembers."""
    return {"version": recipe_version(recipe), "seeds": seeds.hash, "models": dict(identities)}


def freeze(folder: RunFolder, plan: Plan, frozen: Mapping[str, Any], journal: Journal) -> None:
    """Write the plan into a folder where nothing was recorded yet, or insist that it is the one frozen there."""
    if folder.plan.is_file() and not journal.empty():
        import yaml

        there = Plan.load(folder.plan)
        old = yaml.safe_load(folder.plan.read_text(encoding="utf-8")).get("frozen", {})
        changed = differences({**there.content(), **old}, {**plan.content(), **frozen})
        if changed:
            raise UsageError(
                "the run folder holds a run of another plan: " + "; ".join(changed), where=str(folder.path),
                todo=f"choose another --out, and add --fork {folder.path} to reuse its recorded answers",
            )  # fmt: skip
    folder.write_text(folder.plan, plan.dump(frozen))


def plan_differences(a: str | Path, b: str | Path) -> list[str]:
    """What differs between the frozen plans of two run folders, in words."""
    import yaml

    plans = [yaml.safe_load(RunFolder(p).require().plan.read_text(encoding="utf-8")) for p in (a, b)]
    flat = [
        {**{k: v for k, v in p.items() if k not in EXECUTION and k != "frozen"}, **p.get("frozen", {})} for p in plans
    ]
    return differences(*flat)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    said = {"version": "the method's code changed", "seeds": "the seed file's content changed"}
    found = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if a == b:
            continue
        if isinstance(a, Mapping) or isinstance(b, Mapping):
            a, b = a or {}, b or {}
            found += [
                f"{key}.{k}: {_brief(a.get(k))} -> {_brief(b.get(k))}"
                for k in dict.fromkeys([*a, *b])
                if a.get(k) != b.get(k)
            ]
        else:
            found.append(said.get(key) or f"{key}: {_brief(a)} -> {_brief(b)}")
    return found


def _brief(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
