"""steerlm: labels round-trip, missing is not zero, programmed attributes are read and obeyed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine import run_recipe
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe
from tilth.recipes.align.steerlm import ATTRIBUTES, level, read_label, turns_of, write_label

STEERLM = load_recipe("steerlm")
ROWS = [{"prompt": f"Tell me of {n}.", "completion": "word " * (3 * n + 1) + "7" * (n % 5)} for n in range(12)]


def verbosity(text: str) -> int:
    return min(4, len(text.split()) // 8)


def programmed(request: Request, draw: int) -> str:
    """Length is verbosity and digits are complexity; the policy writes as many words as its label wants."""
    if request.role == "judge":
        answer = request.text.rsplit("The answer:\n", 1)[1].split("\n")[1]
        levels = {a: None for a in ATTRIBUTES} | {
            "quality": 3,
            "verbosity": verbosity(answer),
            "complexity": answer.count("7"),
        }
        return json.dumps(levels)
    return f"draw {draw} " + "good " * 8 * (4 - draw)


def run(answer: Any = programmed, rows: Any = ROWS, **settings: Any) -> Any:
    return run_recipe(STEERLM, rows, FunctionModel(answer), **settings)


@given(st.fixed_dictionaries({a: st.one_of(st.none(), st.integers(0, 4)) for a in ATTRIBUTES}))
def test_a_label_round_trips_and_leaves_out_what_is_missing(levels: dict[str, int | None]) -> None:
    assert read_label(f"Some words.\n\n[{write_label(levels)}]") == {a: v for a, v in levels.items() if v is not None}


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, False, 0), (4, False, 4), (9, False, 4), (-3, False, 0), (2.5, False, 3), (1.0, False, 1),
        (1.0, True, 4), (0.125, True, 1), (0.375, True, 2), (0.124, True, 0), (0.0, True, 0),
        (-100, False, None), (None, False, None), ("4", False, None), (True, False, None), (float("nan"), True, None),
    ],
)  # fmt: skip
def test_labels_become_levels_with_halves_up_and_missing_as_none(value: Any, unit: bool, expected: int | None) -> None:
    assert level(value, unit=unit) == expected


def test_programmed_attributes_stand_in_the_label_behind_the_request() -> None:
    found = run()
    assert len(found.kept) == 12
    for row in found.kept:
        text = row["completion"][0]["content"]
        wanted = {"quality": 3, "complexity": text.count("7"), "verbosity": verbosity(text)}
        assert (
            read_label(row["prompt"][-1]["content"])
            == wanted
            == {k: v for k, v in row["attributes"].items() if v is not None}
        )
        assert list(read_label(row["label"])) == ["quality", "complexity", "verbosity"]
    assert found.numbers.notes["quality=3"] == 12


def test_labels_of_the_seeds_are_taken_and_nobody_is_asked() -> None:
    turns = [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello", "labels": {"quality": 0.5, "humor": -100}},
        {"role": "user", "content": "more"}, {"role": "assistant", "content": "no", "labels": {"quality": 0.1, "toxicity": 1.0}},
    ]  # fmt: skip
    asked: list[Request] = []
    found = run(lambda r, d: asked.append(r) or "x", [{"messages": turns}], unit=True)
    assert [r["label"] for r in found.kept] == ["quality:2", "quality:0,toxicity:4"] and not asked
    assert [len(r["prompt"]) for r in found.kept] == [1, 3] and "labels" not in str(found.kept[1]["prompt"])


def test_an_unreadable_judge_is_unknown_and_a_level_off_the_scale_is_not_taken() -> None:
    assert run(lambda r, d: "rather good").numbers.dropped == {"attributes:unknown:unparsed": 12}
    off = json.dumps(dict.fromkeys(ATTRIBUTES, 91))
    assert run(lambda r, d: off).numbers.dropped == {"attributes:unknown:unparsed": 12}
    nothing = json.dumps(dict.fromkeys(ATTRIBUTES))
    assert run(lambda r, d: nothing).numbers.dropped == {"attributes:unknown:unparsed": 12}


def test_bootstrapped_answers_carry_the_label_that_they_got_not_the_one_that_was_wanted() -> None:
    found = run(rows=[{"prompt": "Tell me."}], bootstrap=4)
    assert [read_label(r["label"])["verbosity"] for r in found.kept] == [4, 3, 2, 1]
    assert {r["source"] for r in found.kept} == {"bootstrap"}
    assert all(re.search(r"quality:3", r["prompt"][-1]["content"]) for r in found.kept)


def test_seeds_without_an_answer_are_left_out_with_the_reason() -> None:
    rows = [{"prompt": "hi"}, {"messages": [{"role": "assistant", "content": "I begin"}]}]
    assert [reason for _, reason in run(rows=rows).skipped] == ["no answer to label", "no request"]
    assert [t["role"] for t in turns_of({"prompt": [{"role": "user", "content": "a"}], "completion": "b"})] == [
        "user",
        "assistant",
    ]


def test_steerlm_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(STEERLM, ROWS, programmed, bootstrap=2).kept
