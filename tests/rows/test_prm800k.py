"""PRM800K's form: what is written is read back, chosen and human completions make the trajectory, labels end at -1."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.rows.prm800k import as_prm800k, from_prm800k

LABELS = st.tuples(st.lists(st.sampled_from([0, 1]), max_size=5), st.sampled_from([-1, 0, 1])).map(
    lambda p: [*p[0], p[1]]
)


@given(LABELS)
def test_what_is_written_is_read_back(labels: list[int]) -> None:
    row = {
        "prompt": "How many?",
        "answer": "7",
        "completions": [f"step {i}" for i in range(len(labels))],
        "labels": labels,
    }
    record = as_prm800k(row)
    back = from_prm800k(record)
    assert back is not None and {k: back[k] for k in row} == row
    assert record["label"]["finish_reason"] == ("found_error" if labels[-1] == -1 else "solution")


@pytest.mark.parametrize(("steps", "labels"), [(["a", "b"], [1]), (["a"], [2]), (["a", "b"], [-1, 1])])
def test_labels_that_break_the_form_are_refused(steps: list[str], labels: list[int]) -> None:
    with pytest.raises(ValueError, match="label"):
        as_prm800k({"prompt": "q", "completions": steps, "labels": labels})


def step(ratings: list[int | None], chosen: int | None = None, human: str | None = None) -> dict[str, Any]:
    completions = [{"text": f"text {i}", "rating": r, "flagged": None} for i, r in enumerate(ratings)]
    told = (
        {"text": human, "rating": None, "source": "human", "flagged": False, "corrected_rating": None}
        if human
        else None
    )
    return {"completions": completions, "human_completion": told, "chosen_completion": chosen}


def record(*steps: dict[str, Any]) -> dict[str, Any]:
    question = {"problem": "q", "ground_truth_answer": "4"}
    return {"question": question, "label": {"steps": list(steps), "finish_reason": "solution"}}


@pytest.mark.parametrize(
    ("steps", "texts", "labels"),
    [
        ([step([1], 0), step([0, 1], 1)], ["text 0", "text 1"], [1, 1]),
        ([step([1], 0), step([-1, -1], None, "mine"), step([1], 0)], ["text 0", "mine", "text 0"], [1, 1, 1]),
        ([step([1], 0), step([-1], None)], ["text 0", "text 0"], [1, -1]),
        ([step([-1], 0), step([1], 0)], ["text 0"], [-1]),
        ([step([1], 0), step([None], None)], ["text 0"], [1]),
    ],
)
def test_the_trajectory_is_the_chosen_or_the_human_completion_up_to_the_first_error(
    steps: list[dict[str, Any]], texts: list[str], labels: list[int]
) -> None:
    row = from_prm800k(record(*steps))
    assert row is not None and row["completions"] == texts and row["labels"] == labels


def test_a_record_without_a_rating_is_no_row() -> None:
    assert from_prm800k(record(step([None], None))) is None
    assert from_prm800k({"question": {}, "label": {"steps": []}}) is None
    assert from_prm800k({}) is None
