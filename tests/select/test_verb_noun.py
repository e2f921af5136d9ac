from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.select import measure
from tilth.select.verbs import verb_and_noun


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write a short poem about rain.", ("write", "poem")),
        ("Please list the three largest cities of Chile", ("list", "city")),
        ("Given a table, compute the mean of each column.", ("compute", "mean")),
        ("Can you give me some tips for sleeping well?", ("give", "tip")),
        ("You are given two words. You need to find a third word.", ("find", "word")),
        ("My bike is broken. Explain the steps of a repair.", ("explain", "step")),
        ("Turn down the offer politely.", ("turn", "offer")),
        ("What is the capital of France?", ("", "")),
        ("Reply to the letter.", ("reply", "")),
        ("", ("", "")),
    ],
)
def test_verb_and_object_of_an_order_are_found(text: str, expected: tuple[str, str]) -> None:
    assert verb_and_noun(text) == expected


@given(st.text(max_size=60))
def test_any_text_has_an_answer(text: str) -> None:
    verb, noun = verb_and_noun(text)
    assert verb or not noun


@pytest.mark.skipif("TILTH_DATA" not in os.environ, reason="TILTH_DATA is not set")
@pytest.mark.parametrize(("part", "least"), [("made_on", 0.98), ("held_out", 0.90)])
def test_rules_agree_with_a_reading_by_hand_of_seed_instructions(part: str, least: float) -> None:
    """Labels by the instruction's number; the rules were made on the even ones and first run on the odd ones after."""
    labels = json.loads(Path(__file__).with_name("verb_noun.json").read_text())[part]
    lines = (Path(os.environ["TILTH_DATA"]) / "self_instruct" / "seed_tasks.jsonl").read_text().splitlines()
    found = {
        number: " ".join(verb_and_noun(json.loads(lines[int(number)])["instruction"])).strip() for number in labels
    }
    assert sum(found[number] == label for number, label in labels.items()) / len(labels) >= least


def test_the_measure_counts_verbs_with_their_objects() -> None:
    found = measure(["Write a poem.", "Write the poem now", "Write a song", "How tall is it?"])["verb_noun"]
    assert found["rows"] == 3
    assert found["commonest"] == [
        {"verb": "write", "rows": 3, "nouns": [{"noun": "poem", "rows": 2}, {"noun": "song", "rows": 1}]}
    ]
    assert found["distinct"] == 2
