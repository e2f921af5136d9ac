"""attribute-grid: every cell is filled, the judge confirms or drops, and empty cells are asked for again."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.attribute_grid import attribute_grid, cells_of, coverage, grid_of

GRID = {
    "topic": "lamps",
    "attributes": {
        "difficulty": ["easy", "hard"],
        "length": ["short", "long", "endless"],
        "style": ["plain", "ornate"],
    },
    "personas": ["a lighthouse keeper", "a student"],
}
WORDS = [a + b for a in ("ka", "lo", "mi", "ru", "te", "vo") for b in ("ben", "dor", "fin", "gal", "hup", "jes")]


def generator(slip: float = 0.0) -> FunctionModel:
    def write(request: Request, draw: int) -> str:
        text = request.text
        if not text.startswith("Write one instruction"):
            return f"An answer to: {text}"
        values = dict(re.findall(r"^- (\w+): (\w+)$", text, re.M))
        if hash_uniform("slip", text, draw) < slip:
            values["difficulty"] = {"easy": "hard", "hard": "easy"}[values["difficulty"]]
        noise = " ".join(random.Random(f"{text}{draw}").sample(WORDS, 12))
        return f"{noise} ({' '.join(values.values())})"

    return FunctionModel(write, f"generator?{slip}")


def judge(request: Request, draw: int) -> str:
    values = request.text.split("(")[1].split(")")[0].split()
    return "\n".join(f"{name}: {value}" for name, value in zip(GRID["attributes"], values, strict=True))


def filled(slip: float = 0.0, says: Any = judge, row: Any = GRID, **settings: Any) -> Harvested:
    return run_recipe(attribute_grid, [row], {"generator": generator(slip), "judge": FunctionModel(says)}, **settings)


def test_every_cell_gets_its_quota_and_the_coverage_is_whole() -> None:
    harvest = filled(per_cell=3)
    cells = Counter(tuple(row["attributes"].values()) for row in harvest.kept)
    assert len(cells) == 12 and set(cells.values()) == {3} and not harvest.dropped
    assert harvest.numbers.notes["coverage"] == pytest.approx(1) and harvest.numbers.notes["cells-filled"] == 12
    for row in harvest.kept:
        assert row["completion"] == f"An answer to: {row['prompt']}" and row["persona"] in GRID["personas"]
        assert [v.passed for v in row.verdicts] == [True] * 3
    assert {row["persona"] for row in harvest.kept} == set(GRID["personas"])


def test_a_generator_that_slips_is_caught_and_its_cells_are_asked_for_again() -> None:
    harvest = filled(0.3, per_cell=10, tries=4)
    assert Counter(tuple(row["attributes"].values()) for row in harvest.kept).most_common()[-1][1] == 10
    assert {reason for _, reason in harvest.dropped} == {"attribute:fail:difficulty"}
    assert all(
        tuple(row["attributes"].values()) == tuple(row["prompt"].split("(")[1][:-1].split()) for row in harvest.kept
    )
    notes = harvest.numbers.notes
    rate = notes["confirmed:difficulty"] / notes["judged"]
    assert abs(rate - 0.7) < 4 * math.sqrt(0.21 / notes["judged"])
    assert notes["confirmed:style"] == notes["judged"]


def test_what_belongs_elsewhere_can_be_moved_there() -> None:
    stay, moved = filled(0.5, per_cell=4), filled(0.5, per_cell=4, move=True)
    assert len(moved.kept) >= len(stay.kept) and moved.numbers.candidates < stay.numbers.candidates
    cells = Counter(tuple(row["attributes"].values()) for row in moved.kept)
    assert max(cells.values()) == 4
    assert all(
        tuple(row["attributes"].values()) == tuple(row["prompt"].split("(")[1][:-1].split()) for row in moved.kept
    )
    assert {reason for _, reason in moved.dropped} <= {"attribute:fail:difficulty", "cell:full"}


def test_a_collapsed_generator_fills_one_cell_and_stops() -> None:
    bound = {
        "generator": FunctionModel(lambda r, d: "always this one text here (easy short plain)"),
        "judge": FunctionModel(judge),
    }
    harvest = run_recipe(attribute_grid, [GRID], bound, tries=2)
    reasons = Counter(reason for _, reason in harvest.dropped)
    assert len(harvest.kept) == 1 and set(reasons) == {"novelty:fail:similar"} and reasons.total() == 22
    assert harvest.numbers.notes["coverage"] == 0


def test_an_unreadable_judge_is_unknown() -> None:
    harvest = filled(says=lambda r, d: "difficulty: easy\nlength: short", tries=1)
    assert {reason for _, reason in harvest.dropped} == {"attribute:unknown:unparsed"} and not harvest.kept
    assert all(row["completion"] == "" for row, _ in harvest.dropped)


def test_large_grids_are_sampled_in_balance() -> None:
    grid = {name: [f"{name}{i}" for i in range(10)] for name in "abc"}
    cells = cells_of(grid, 100, random.Random(0))
    assert 90 <= len(cells) == len(set(cells)) <= 100
    for i in range(3):
        counts = Counter(cell[i] for cell in cells)
        assert len(counts) == 10 and max(counts.values()) <= 10
    assert len(cells_of(grid, 1000, random.Random(0))) == 1000


def test_coverage_and_grids_at_their_edges() -> None:
    assert coverage({}, 4) == 0 and coverage({("a",): 5}, 4) == 0
    assert coverage({("a",): 5, ("b",): 5}, 4) == pytest.approx(0.5)
    assert grid_of({"attributes": {"a": ["x"]}}) == grid_of({"attributes": {"a": "xy"}}) == grid_of({}) == {}
    harvest = filled(row={"topic": "lamps", "attributes": {"a": ["x"]}})
    assert [reason for _, reason in harvest.skipped] == ["seed:attributes"]


def test_a_hostile_model_loses_nothing() -> None:
    harvest = run_recipe(attribute_grid, [GRID], {"generator": Hostile(), "judge": Hostile(seed=1)})
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) >= 12


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, bound = Journal(":memory:"), {"generator": generator(0.2), "judge": FunctionModel(judge)}
    first = run_recipe(attribute_grid, [GRID], bound, journal=journal)
    sent = [m.sent for m in bound.values()]
    again = run_recipe(attribute_grid, [GRID], bound, journal=journal)
    assert [m.sent for m in bound.values()] == sent
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
