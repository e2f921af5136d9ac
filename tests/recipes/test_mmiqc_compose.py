"""mmiqc-compose: the old problem is inside the new one, depth is the iteration, acceptance falls with depth as p^depth."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from tilth.engine.memory import run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_key, hash_uniform
from tilth.recipes.maths.mmiqc_compose import mmiqc_compose, written
from tilth.worlds.registry import open_world
from tilth.worlds.stories import Phrase, read_story
from tilth.worlds.tree import Tree

WORLD = open_world("story-arithmetic")
SEEDS = WORLD.problems(200, seed=5, steps=(1,), operators="+")


def composer(error: float = 0.0) -> FunctionModel:
    """Composes by one more event, writes other problems; as solver it errs at a known rate."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if text.startswith("Build a new"):
            story = read_story(text.partition("old problem: ")[2].partition("\n\nIts solution")[0])
            assert story is not None
            new = str(replace(story, events=(*story.events, Phrase("finds", (7,)))))
            return f"[Problem]\n{new}\n[Solution]\n{WORLD.solve(new)}"
        if text.startswith("Write a maths problem that"):
            new = _other(text, 1)[0]
            return f"[Problem]\n{new}\n[Solution]\n{WORLD.solve(new)}"
        if text.startswith("Write 5 new"):
            return "\n".join(f"{i}. {p}" for i, p in enumerate(_other(text, 5), 1))
        if hash_uniform("slip", text, draw) < error:
            return f"A slip.\n#### {draw + 10_000}"
        return WORLD.solve(text) or ""

    return FunctionModel(answer, f"composer{error}")


def _other(text: str, n: int) -> list[str]:
    return [r["prompt"] for r in WORLD.problems(n, seed=int.from_bytes(hash_key(text)[:4], "big"))]


def parts_of(tree: Tree) -> list[Tree]:
    return [
        tree,
        *(p for side in ("left", "right") for p in (parts_of(getattr(tree, side)) if hasattr(tree, side) else [])),
    ]


def test_the_old_problem_is_a_part_of_the_new_one_and_depth_is_the_iteration() -> None:
    found = run_recipe(mmiqc_compose, SEEDS[:20], composer(), kinds="compose", iterations=3)
    assert len(found.kept) == 60
    for row in found.kept:
        new, old = read_story(row["prompt"]), read_story(row["composed_from"])
        assert new is not None and old is not None and old.tree in parts_of(new.tree)
        assert row["answer"] == WORLD.answer(row["prompt"]) and len(new.events) == 1 + row["iteration"]


def test_acceptance_falls_with_depth_as_p_to_the_depth() -> None:
    found = run_recipe(mmiqc_compose, SEEDS, composer(0.2), kinds="compose", iterations=3, samples=1)
    reached = Counter(r["iteration"] for r in found.kept)
    for depth in (1, 2, 3):
        p = 0.8**depth
        assert abs(reached[depth] - 200 * p) < 4 * (200 * p * (1 - p)) ** 0.5
    assert set(found.numbers.dropped) == {"compose:math:fail"}


def test_more_samples_find_the_composers_answer_with_the_chance_of_at_least_one() -> None:
    found = run_recipe(mmiqc_compose, SEEDS, composer(0.5), kinds="compose", iterations=1, samples=3)
    p = 1 - 0.5**3
    assert abs(len(found.kept) - 200 * p) < 4 * (200 * p * (1 - p)) ** 0.5
    assert all(r["answer"] == WORLD.answer(r["prompt"]) for r in found.kept)


def test_every_kind_gives_its_number_of_rows() -> None:
    found = run_recipe(mmiqc_compose, SEEDS[:5], composer(), iterations=2)
    assert Counter(r["kind"] for r in found.kept) == {"augment": 5, "bootstrap": 25, "similar": 15, "compose": 10}
    assert all(r["answer"] == WORLD.answer(r["prompt"]) for r in found.kept)
    assert {r["composed_from"] is None for r in found.kept if r["kind"] != "compose"} == {True}


def test_a_seed_without_an_answer_is_not_augmented() -> None:
    found = run_recipe(
        mmiqc_compose, [{"prompt": SEEDS[0]["prompt"]}], composer(), kinds="augment compose", iterations=1
    )
    assert [r["kind"] for r in found.kept] == ["compose"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Problem]\nHow many?\n[Solution]\n#### 4", None),
        ("[Problem]\nIn [asy] draw(a); [/asy], how many?\n[Solution]\n#### 4", "figure:drawing-code"),
        ("[Problem]\nHow many?\n\\begin{tikzpicture}\n[Solution]\n#### 4", "figure:drawing-code"),
        ("[Problem]\nHow easy is it to draw 4 lines?\n[Solution]\n#### 4", None),
        ("[Problem]\nHow many?\n[Solution]\nnobody knows", "parse:unknown:no-answer"),
        ("How many?\n#### 4", "parse:unknown:headings"),
    ],
)
def test_each_filter_of_a_written_problem_has_a_case(text: str, reason: str | None) -> None:
    assert written("compose", Reply(text)).reason == reason
    assert written("compose", Reply(text, finish_reason="length")).reason == "reply:cut"


def test_a_list_that_was_cut_off_loses_its_last_question() -> None:
    whole = composer()

    def answer(request: Request, draw: int) -> Reply:
        text = str(whole.answer(request, draw))
        return Reply(text[: text.rindex("5.") + 9], finish_reason="length") if re.match("1\\.", text) else Reply(text)

    found = run_recipe(mmiqc_compose, SEEDS[:3], FunctionModel(answer), kinds="bootstrap")
    assert found.numbers.candidates == len(found.kept) == 12


def test_an_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="mixing"):
        run_recipe(mmiqc_compose, SEEDS[:1], composer(), kinds="mixing")


def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run_recipe(mmiqc_compose, SEEDS[:20], open_model("hostile")).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) and not n.failed
    journal, model = Journal(":memory:"), composer(0.3)
    first = run_recipe(mmiqc_compose, SEEDS[:10], model, journal=journal)
    sent = model.sent
    again = run_recipe(mmiqc_compose, SEEDS[:10], model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
