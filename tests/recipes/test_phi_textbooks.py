"""phi-textbooks: the whole grid is asked for, sections hold prose and code that runs, near copies go."""

from __future__ import annotations

import re

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_key, hash_uniform
from tilth.recipes.code.phi_textbooks import AUDIENCES, phi_textbooks, section_problem

TOPICS = [{"topic": f"topic{n}"} for n in range(6)]


def prose(key: str, n: int = 100) -> str:
    return " ".join("w" + hash_key(key, i).hex()[:6] for i in range(n)) + "."


def section(key: str, second: str = "print(a + 1)", words: int = 100) -> str:
    return f"# Heading\n{prose(key, words)}\n```python\na = 1\n```\nAnd then:\n```python\n{second}\n```\nThat is all."


def author(broken: float = 0.0, same: bool = False) -> FunctionModel:
    def answer(request: Request, draw: int) -> str:
        wrong = hash_uniform("broken", request.text) < broken
        topic = re.search(r"topic is (\w+)", request.text)[1]  # type: ignore[index]
        return section(topic if same else request.text, "print(b)" if wrong else "print(a + 1)")

    return FunctionModel(answer, f"author{broken}{same}")


def run(model: object = None, **settings: object) -> Harvested:
    return run_recipe(phi_textbooks, TOPICS, model or author(), **{"execute": False, **settings})  # type: ignore[arg-type]


def test_every_cell_of_the_grid_is_filled_once() -> None:
    found = run()
    cells = {(r["topic"], r["audience"]) for r in found.kept}
    assert cells == {(t["topic"], a) for t in TOPICS for a in AUDIENCES} and len(found.kept) == 30
    assert found.numbers.notes == {"cells of the grid": 30, "cells filled": 30}
    assert {r["audience"] for r in run(audiences="cats; dogs").kept} == {"cats", "dogs"}


@pytest.mark.sandbox
def test_the_blocks_run_as_one_program_and_what_raises_is_dropped() -> None:
    found = run(author(broken=0.3), execute=True)
    assert set(found.numbers.dropped) == {"code:fail:NameError"}
    assert found.numbers.dropped["code:fail:NameError"] == sum("print(b)" in r["text"] for r, _ in found.dropped)
    assert not any("print(b)" in r["text"] for r in found.kept) and found.kept


def test_of_near_copies_the_first_is_kept() -> None:
    found = run(author(same=True))
    assert len(found.kept) == 6 and found.numbers.dropped == {"near:duplicate": 24}
    assert {r["audience"] for r in found.kept} == {AUDIENCES[0]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (section("x"), None),
        (section("x", words=60), "section:little-prose"),
        (section("x", second="x = 1\n" * 2000), "section:mostly-code"),
        (section("x", second="def f(:"), "code:fail:SyntaxError"),
        (prose("x"), "section:no-code"),
        (prose("x") + "\n```rust\nfn f() {}\n```", "section:no-code"),
        (section("x") + "\n```python\nb = 1", "section:open-block"),
        ("I'm sorry, I cannot write that. " + section("x"), "section:refusal"),
        (section("x") + " As an AI language model I like code.", "section:refusal"),
    ],
)
def test_each_bound_of_a_section_has_a_case(text: str, reason: str | None) -> None:
    assert section_problem(text) == reason


def test_hostile_and_cut_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run(open_model("hostile")).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 30
    cut = FunctionModel(lambda r, d: Reply(section("x"), finish_reason="length"))
    assert run(cut).numbers.dropped == {"reply:cut": 30}
    journal, model = Journal(":memory:"), author()
    first = run(model, journal=journal)
    sent = model.sent
    again = run(model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
