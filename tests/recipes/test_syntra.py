"""syntra: a program knows the answer, and the three kinds of error stay apart."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.align.syntra import errors, read_names, task

SYNTRA = load_recipe("syntra")
TOPIC = [{"topic": "names"}]


def right(text: str) -> list[str]:
    names = text.partition("Names:\n")[2].partition("\n\n")[0].split("\n")
    count, letter = re.search(r"first (\d+) names.*begins with (\w)", text).groups()  # type: ignore[union-attr]
    return [n for n in names if n.startswith(letter)][: int(count)]


def model(rate: float) -> Any:
    """Replaces each right name by an invented one at the given rate."""

    def answer(request: Request, draw: int) -> str:
        said = [f"{n[0]}ozzo Nobody" if hash_uniform("lie", request.text, n) < rate else n for n in right(request.text)]
        return "\n".join(f"{i}. {n}" for i, n in enumerate(said, 1))

    return answer


def run(answer: Any = None, rows: Any = TOPIC, **settings: Any) -> Any:
    return run_recipe(SYNTRA, rows, FunctionModel(answer or model(0.0)), **{"tasks": 60, **settings})


def test_the_completion_is_what_a_program_reads_off_the_list() -> None:
    for row in run().kept:
        assert row["completion"].split("\n") == right(row["prompt"]) and len(row["names"]) == 100 == len(
            set(row["names"])
        )
        assert (row["hallucinated"], row["wrong_letter"], row["missed"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (["Ada A", "Al B"], (0, 0, 0)),
        (["ada a", "AL B"], (0, 0, 0)),
        (["Ada A", "Ann C"], (0.5, 0, 0.5)),
        (["Ada A", "Bo D"], (0, 0.5, 0.5)),
        (["Ada A"], (0, 0, 0.5)),
        (["Bea Z", "Bo D", "Ada A", "Al B"], (0.25, 0.25, 0)),
        ([], None),
    ],
)
def test_three_kinds_of_error_are_kept_apart(said: list[str], found: Any) -> None:
    assert errors(said, ["Ada A", "Bo D", "Al B", "Abe E"], ["Ada A", "Al B"], "A") == found


def test_list_marks_are_no_part_of_a_name() -> None:
    assert read_names("1. Ada A\n- Al B,\n* Bo D.\n\nEd E, Fay F") == ["Ada A", "Al B", "Bo D", "Ed E", "Fay F"]


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_hallucinated_share_is_the_planted_rate(rate: float) -> None:
    found = run(model(rate))
    share = found.numbers.notes["hallucinated share, summed"] / 60
    assert abs(share - rate) <= 4 * (rate * (1 - rate) / 300) ** 0.5
    assert found.numbers.notes["missed share, summed"] == pytest.approx(share * 60)
    assert found.numbers.kept == 60 and found.numbers.notes["wrong_letter share, summed"] == 0


def test_pairs_are_made_of_wrong_answers_only() -> None:
    found = run(model(0.3), emit="pairs")
    clean = sum(1 for _, reason in found.dropped if reason == "names:pass:nothing-to-reject")
    assert clean + len(found.kept) == 60 and abs(clean - 60 * 0.7**5) < 4 * (60 * 0.7**5) ** 0.5
    assert all(r["chosen"].split("\n") == r["gold"] and r["rejected"] != r["chosen"] for r in found.kept)


def test_names_of_the_seeds_are_used_when_there_are_enough_and_letters_can_be_held_out() -> None:
    rows = [{"name": f"{first}{n} Person"} for first in "ABC" for n in range(20)]
    found = run(rows=rows, size=40, tasks=20, letters="bc")
    assert {r["letter"] for r in found.kept} == {"B", "C"} and all(
        n.endswith("Person") for r in found.kept for n in r["names"]
    )
    assert run(rows=rows, size=40, tasks=3, letters="z").numbers.dropped == {"task:fail:no-letter": 3}
    assert task([], 10, 10, "", random.Random(0)) is None


def test_an_answer_without_a_line_is_unknown() -> None:
    assert run(lambda r, d: " ", tasks=4).numbers.dropped == {"names:unknown:empty": 4}


def test_syntra_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(SYNTRA, TOPIC, model(0.2), tasks=12).kept
