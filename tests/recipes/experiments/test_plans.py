"""The experiments' plans: each runs as its page says, with the seeds that the page reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tilth.engine.plan import Plan

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "experiments"
PLANS = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.stem)
def test_a_plan_fits_its_recipe_and_its_page_runs_it_with_five_seeds_or_more(path: Path) -> None:
    plan = Plan.load(path)
    assert plan.load_recipe().family == "experiments"
    page = (FOLDER / f"{plan.recipe}.md").read_text()
    assert f"tilth run docs/experiments/{path.name} --out runs/{path.stem}" in page
    assert plan.set["seeds"] >= 5
    assert re.search(rf"\b{plan.set['seeds']} seeds\b", page), f"the page of {path.name} reports other seeds"


def test_every_experiment_has_a_page_a_plan_and_a_line_in_the_index() -> None:
    pages = {p.stem for p in FOLDER.glob("*.md")} - {"index"}
    recipes = {Plan.load(p).recipe for p in PLANS}
    listed = set(re.findall(r"\]\(([\w-]+)\.md\)", (FOLDER / "index.md").read_text()))
    assert pages == recipes == listed
