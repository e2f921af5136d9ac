"""unnatural-instructions: fields, duplicates, listed outputs and paraphrases that keep the place of the input."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.unnatural_instructions import (
    SLOT,
    constraint_verdict,
    filled,
    listed_outputs,
    parse_example,
    unnatural_instructions,
)

SEEDS = [
    {"instruction": f"Say whether the word names a {kind}.", "input": kind, "constraints": "either yes or no"}
    for kind in ("fish", "bird", "tree", "town", "tool", "sport")
]


def thinker(request: Request, draw: int) -> str:
    text = request.text
    if "Rewording:" in text:
        return ["Of this: {INPUT}, say whether it is one.", "{INPUT} - is it one?"][draw % 2]
    if "Write the answer alone." in text:
        return "Yes."
    number = int(10_000 * hash_uniform(text, draw))
    return f"Say whether the number is even.\nInput: {number}\nConstraints: The output must be one of: yes, no."


def made(model: Any = thinker, **settings: Any) -> Harvested:
    model = model if not callable(model) else FunctionModel(model)
    return run_recipe(unnatural_instructions, SEEDS, model, **{"target": 40, **settings})


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Add them.\nInput: 1 2\nConstraints: None", ("Add them.", "1 2", "None")),
        ("Instruction: Add them.\nInput: 1 2\nConstraints: None.\nExample 5", ("Add them.", "1 2", "None")),
        ("Add them.\nConstraints: None\nInput: 1 2", None),
        ("Add them.\nInput: 1 2", None),
        ("Add them.\nInput:\nConstraints: None", None),
        ("", None),
    ],
)
def test_three_fields_in_order_or_nothing(text: str, fields: tuple[str, str, str] | None) -> None:
    assert parse_example(text) == fields


@pytest.mark.parametrize(
    ("constraints", "allowed"),
    [
        ('The output should be "true" or "false"', ["true", "false"]),
        ("must be one of: red, green, or blue", ["red", "green", "blue"]),
        ("either yes or no", ["yes", "no"]),
        ("The output must be a whole sentence", []),
        ("None", []),
        ("one of the sentences of the text that you were given above in full, or its summary", []),
    ],
)
def test_outputs_are_listed_only_where_they_are_named(constraints: str, allowed: list[str]) -> None:
    assert listed_outputs(constraints) == allowed


def test_an_output_must_be_one_of_those_listed() -> None:
    assert constraint_verdict("either yes or no", "Yes.")[0].passed
    assert constraint_verdict("either yes or no", "Perhaps")[0].reason == "constraint:fail:not-listed"
    assert constraint_verdict("None", "Perhaps") == []


def test_each_example_gives_itself_and_its_paraphrases() -> None:
    harvest = made(target=10)
    core = [row for row in harvest.kept if not row["reformulation"]]
    assert len(core) == len({row["input"] for row in core}) == 10 and not harvest.dropped
    assert Counter(row.lineage.parents for row in core).most_common(2)[1][1] == 5
    others = [row for row in harvest.kept if row["reformulation"]]
    assert len(others) == 20 and {row["completion"] for row in others} == {"Yes."}
    for row in others:
        assert filled(row["template"], row["input"]) == row["prompt"] and SLOT not in row["prompt"]
        assert row.lineage.parents[0] in {c.id for c in core}
    assert all(row["prompt"] == f"{row['instruction']}\n{row['input']}" for row in core)


def test_bad_examples_outputs_and_paraphrases_have_their_reasons() -> None:
    replies = {
        0: "Say whether the word names a fish.\nInput: fish\nConstraints: None",
        1: "Say it.\nInput: a\nConstraints: either b or c",
        2: "No fields at all",
    }

    def bad(request: Request, draw: int) -> str:
        text = request.text
        if "Rewording:" in text:
            return ["without a place", "Say it. {INPUT}"][draw % 2]
        if "Write the answer alone." in text:
            return "b" if "Say it again" in text else "d"
        kind = 0 if re.search(r"a fish.\nInput", text) else 1
        return replies[kind]

    harvest = made(bad, target=2)
    reasons = Counter(reason for _, reason in harvest.dropped)
    assert reasons == {"example:copied": 1, "constraint:fail:not-listed": 1} and not harvest.kept
    harvest = made(lambda r, d: replies[2], target=2)
    assert Counter(reason for _, reason in harvest.dropped) == {"parse:unknown": 2}

    def words(request: Request, draw: int) -> str:
        if "Rewording:" in request.text:
            return ["without a place", "Say it. {INPUT}", "Tell me {INPUT}", "Tell me {INPUT}"][draw]
        return "b" if "alone." in request.text else replies[1]

    harvest = made(words, target=1, paraphrases=4)
    reasons = Counter(reason for _, reason in harvest.dropped)
    assert reasons == {"paraphrase:slot": 1, "paraphrase:identical": 1, "paraphrase:duplicate": 1}
    assert len(harvest.kept) == 2


def test_seeds_without_input_are_left_out_and_a_cut_reply_is_not_trusted() -> None:
    rows = [*SEEDS, {"instruction": "No input"}]
    cut = FunctionModel(lambda r, d: Reply(thinker(r, d), finish_reason="length"))
    harvest = run_recipe(unnatural_instructions, rows, cut, target=5)
    assert [reason for _, reason in harvest.skipped] == ["seed:no-input"]
    assert Counter(reason for _, reason in harvest.dropped) == {"reply:cut": 5}


def test_a_hostile_model_loses_nothing() -> None:
    harvest = made(Hostile())
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) >= 40


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), FunctionModel(thinker)
    first = run_recipe(unnatural_instructions, SEEDS, model, target=6, journal=journal)
    sent = model.sent
    again = run_recipe(unnatural_instructions, SEEDS, model, target=6, journal=journal)
    assert model.sent == sent and [dict(c) for c in first.kept] == [dict(c) for c in again.kept]
