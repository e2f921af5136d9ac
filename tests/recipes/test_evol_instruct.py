"""evol-instruct: every elimination at its edge, and rounds in which only survivors go on."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models.base import Reply, Request, Usage
from tilth.models.doubles import FunctionModel
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.evol_instruct import (
    META_TERMS,
    OPERATORS,
    answer_problem,
    evol_instruct,
    h2o_problem,
    instruction_problem,
)

SEEDS = [{"instruction": f"Tell me about the number {n}."} for n in range(12)]
MARK = "#Rewritten#"


def original(text: str) -> str:
    return text.rsplit("#Instruction#\n", 1)[1].split(f"\n\n{MARK}", 1)[0]


def evolver(request: Request, draw: int) -> str:
    """Rewrites by adding one constraint, judges by comparing, answers by counting constraints."""
    text = request.text
    if "Equal or Not Equal" in text:
        return "They differ in one requirement.\nNot Equal"
    if MARK in text:
        old = original(text)
        return f"{old} Requirement {old.count('Requirement') + 1} must hold."
    return f"Done with {text.count('Requirement')} requirements met."


def evolved(answer: Any = evolver, rows: Any = SEEDS, **settings: Any) -> Harvested:
    return run_recipe(evol_instruct, rows, FunctionModel(answer), **settings)


def reasons(harvest: Harvested) -> Counter[str]:
    return Counter(reason for _, reason in harvest.dropped)


@pytest.mark.parametrize(
    ("text", "tokens", "problem"),
    [
        ("Explain the tides to me", 0, None),
        ("Explain the tides", 0, "instruction:short"),
        ("", 0, "instruction:empty"),
        ("Explain   tides\nbriefly to us", 0, "equality:unchanged"),
        ("Explain the given prompt to me", 0, "instruction:meta-term:given-prompt"),
        ("#Rewritten# Explain the tides to me", 0, "instruction:meta-term:rewritten"),
        ("Explain prompt payment, rewritten twice", 0, None),
        ("Ünder water, what do divers hear", 0, "instruction:non-ascii"),
        ("What do divers hear ünder water", 0, None),
        ("Explain the tides to me", 999, None),
        ("Explain the tides to me", 1000, "instruction:tokens"),
    ],
)
def test_each_elimination_of_a_rewrite_has_a_case_and_a_near_miss(text: str, tokens: int, problem: str | None) -> None:
    assert instruction_problem(text, "Explain tides briefly to us", tokens) == problem


@pytest.mark.parametrize("term", META_TERMS)
def test_every_meta_term_eliminates_in_any_case(term: str) -> None:
    reason = instruction_problem(f"Say what the {term.upper()} is", "Say it")
    assert reason is not None and reason.startswith("instruction:meta-term:")


@pytest.mark.parametrize(
    ("text", "tokens", "problem"),
    [
        ("sorry " + "word " * 78, 0, "answer:refusal"),
        ("sorry " + "word " * 79, 0, None),
        ("sorry " + "word " * 80, 0, None),
        ("It is so, and not the.", 0, "answer:empty"),
        ("... --- !", 0, "answer:empty"),
        ("", 0, "answer:empty"),
        ("Paris.", 0, None),
        ("42", 0, None),
        ("Paris", 1999, None),
        ("Paris", 2000, "answer:tokens"),
    ],
)
def test_each_elimination_of_an_answer_has_a_case_and_a_near_miss(text: str, tokens: int, problem: str | None) -> None:
    assert answer_problem(text, tokens) == problem


@pytest.mark.parametrize(
    ("text", "parent", "problem"),
    [
        ("a\nb\nc\nd e", "x", "h2o:newlines"),
        ("a b\nc\nd", "x", None),
        ("List of the following things to do" + "\n- a thing" * 11, "x", "h2o:dashes"),
        ("List of the following things to do" + "\n- a thing" * 10, "x", None),
        ("List of the following things to do\n" + "\n- a thing" * 11, "x", None),
        ("As an AI I want this", "x", "h2o:assistant"),
        ("I'm sorry, no", "x", "h2o:sorry"),
        ("I'm sorry, no", "I am sorry", None),
        ("I'm sorry, no" + " very" * 80, "x", None),
    ],
)
def test_each_elimination_of_h2o_has_a_case_and_a_near_miss(text: str, parent: str, problem: str | None) -> None:
    assert h2o_problem(text, parent) == problem


def test_survivors_stand_for_their_parents_and_difficulty_never_falls() -> None:
    harvest = evolved()
    assert len(harvest.kept) == 12 * 4 and harvest.dropped == []
    for i, row in enumerate(harvest.kept):
        turn = i % 4 + 1
        assert row["round"] == row.lineage.round == turn
        assert row["prompt"].count("Requirement") == turn == row["parent"].count("Requirement") + 1
        assert row["completion"] == f"Done with {turn} requirements met."
        if turn > 1:
            assert row.lineage.parents == (harvest.kept[i - 1].id,)
        assert [v.reason for v in row.verdicts] == ["equality:pass"]


def test_operators_are_drawn_uniformly_from_all_six_or_the_chosen_ones() -> None:
    drawn = Counter(row["operator"] for row in evolved(rows=SEEDS * 8).kept)
    assert set(drawn) == set(OPERATORS) and len(OPERATORS) == 6
    assert all(abs(n - 64) < 32 for n in drawn.values())
    assert {row["operator"] for row in evolved(operators="breadth, deepen").kept} == {"breadth", "deepen"}
    with pytest.raises(UsageError, match="no operator 'depth'"):
        evolved(operators="depth")


def test_a_model_that_changes_nothing_leaves_the_pool_as_it_was_and_asks_no_judge() -> None:
    def noop(request: Request, draw: int) -> str:
        assert request.role == "generator"
        return original(request.text)

    harvest = evolved(noop)
    assert harvest.kept == [] and reasons(harvest) == {"equality:unchanged": 48}
    assert {row["parent"] for row, _ in harvest.dropped} == {s["instruction"] for s in SEEDS}


def test_rewrites_that_gain_nothing_go_back_unevolved() -> None:
    def equal(request: Request, draw: int) -> str:
        return "Equal" if "Equal or Not Equal" in request.text else evolver(request, draw)

    harvest = evolved(equal)
    assert harvest.kept == [] and reasons(harvest) == {"equality:fail:equal": 48}
    assert all(row["prompt"].count("Requirement") == 1 for row, _ in harvest.dropped)


def test_a_judge_that_cannot_be_read_is_asked_once_more_and_is_then_unknown() -> None:
    model = FunctionModel(lambda r, d: "Hard to say." if "Equal or Not Equal" in r.text else evolver(r, d))
    harvest = run_recipe(evol_instruct, SEEDS[:1], model, rounds=1)
    assert reasons(harvest) == {"equality:unknown:unparsed": 1} and model.sent == 3


def test_failures_by_chance_are_conserved_over_the_rounds_and_their_parents_go_on() -> None:
    def chancy(request: Request, draw: int) -> Reply:
        text = evolver(request, draw)
        luck = random.Random(request.text).random()
        if MARK not in request.text and "Equal or" not in request.text and luck < 0.3:
            return Reply("Sorry, I cannot do that.")
        return Reply(text, finish_reason="length" if MARK in request.text and luck < 0.2 else "stop")

    harvest = evolved(chancy)
    assert len(harvest.kept) + len(harvest.dropped) == 48 == harvest.numbers.candidates
    assert set(reasons(harvest)) == {"answer:refusal", "reply:cut"}
    texts = {s["instruction"] for s in SEEDS} | {row["prompt"] for row in harvest.kept}
    assert all(row["parent"] in texts for row in harvest.kept)


def test_overlong_replies_are_eliminated_by_their_token_counts() -> None:
    def long(request: Request, draw: int) -> Reply:
        return Reply(evolver(request, draw), usage=Usage(1500, 500 if MARK not in request.text else 10))

    assert reasons(evolved(long, rounds=1)) == {"answer:tokens": 12}


def test_outside_the_window_of_h2o_a_text_is_evolved_again_and_not_dropped() -> None:
    harvest = evolved(h2o=True, rounds=1, min_chars=100, max_chars=200)
    assert len(harvest.kept) == 12 and harvest.dropped == []
    assert all(100 <= len(row["prompt"]) <= 200 and row["prompt"].count("Requirement") > 1 for row in harvest.kept)
    assert reasons(evolved(h2o=True, rounds=1, min_chars=100, max_chars=200, tries=1)) == {"h2o:window": 12}
    assert reasons(evolved(h2o=True, rounds=1, min_chars=1, max_chars=10, tries=3)) == {"h2o:window": 12}


def test_the_input_of_a_seed_is_appended_on_its_own_line() -> None:
    harvest = evolved(rows=[{"instruction": "Sort these.", "input": "3 1 2"}, {"prompt": "Count to ten."}], rounds=1)
    assert [row["parent"] for row in harvest.kept] == ["Sort these.\n3 1 2", "Count to ten."]


def test_a_hostile_model_loses_nothing() -> None:
    for seed in range(3):
        harvest = run_recipe(evol_instruct, [*SEEDS, {"instruction": " "}], Hostile(seed=seed))
        assert harvest.failed == [] and len(harvest.skipped) == 1
        assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 48


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), FunctionModel(evolver)
    first = run_recipe(evol_instruct, SEEDS, model, journal=journal)
    sent = model.sent
    again = run_recipe(evol_instruct, SEEDS, FunctionModel(evolver), concurrency=1)
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
    run_recipe(evol_instruct, SEEDS, model, journal=journal)
    assert model.sent == sent == 12 * 4 * 3
