"""honesty-tuning: the entropy threshold is a set of partitions; certain and uncertain follow a model's known knowledge."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.align.honesty_tuning import is_certain, read_answer

HONESTY = load_recipe("honesty-tuning")
OPTIONS = ["oak", "elm", "ash", "yew"]
CHOICES = [{"prompt": f"Which tree is tree {n}?", "answer": "BCDA"[n % 4], "options": OPTIONS} for n in range(200)]


def partitions(n: int, parts: int, most: int) -> Iterator[tuple[int, ...]]:
    if n == 0:
        yield ()
    for first in range(min(n, most), 0, -1) if parts else ():
        for rest in partitions(n - first, parts - 1, first):
            yield (first, *rest)


def knowing(known: float, p: float = 0.9) -> Any:
    """Of the questions it knows it answers right at the rate p, of the others at random."""

    def answer(request: Request, draw: int) -> str:
        number = int(request.text.split("tree ")[2].split("?")[0])
        luck = hash_uniform("draw", request.text, draw)
        if hash_uniform("knows", number) < known and luck < p:
            return f"I think so.\nAnswer: {'BCDA'[number % 4]}"
        return f"Answer: ({'ABCD'[int(hash_uniform('guess', request.text, draw) * 4)]})"

    return answer


def run(answer: Any, rows: Any = CHOICES, **settings: Any) -> Any:
    return run_recipe(HONESTY, rows, FunctionModel(answer), **settings)


def test_thirteen_of_the_thirty_partitions_of_ten_answers_are_uncertain() -> None:
    found = list(partitions(10, 5, 10))
    uncertain = [p for p in found if not is_certain(p)]
    assert len(found) == 30 and len(uncertain) == 13
    assert sorted(p for p in uncertain if len(p) <= 4) == [
        (3, 3, 2, 2), (3, 3, 3, 1), (4, 2, 2, 2), (4, 3, 2, 1), (4, 4, 1, 1), (5, 2, 2, 1),
    ]  # fmt: skip
    assert is_certain((5, 3, 1, 1))


@pytest.mark.parametrize("known", [0.0, 0.5, 1.0])
def test_certain_questions_are_those_that_the_model_knows(known: float) -> None:
    found = run(knowing(known))
    assert len(found.kept) + sum(found.numbers.dropped.values()) == 200 and set(found.numbers.dropped) <= {
        "certainty:unknown:tie"
    }
    sure = [r for r in found.kept if r["certain"]]
    knows = [int(r["prompt"].split("tree ")[2].split("?")[0]) for r in sure]
    missed = [n for n in range(200) if hash_uniform("knows", n) < known and n not in knows]
    assert not missed, "ten draws at .9 outvote every error"
    lucky = len(sure) - sum(hash_uniform("knows", n) < known for n in knows)
    assert lucky <= 0.45 * 200 * (1 - known) + 1


def test_by_entropy_no_right_answer_is_needed() -> None:
    rows = [{k: v for k, v in row.items() if k != "answer"} for row in CHOICES]
    found = run(knowing(0.5), rows)
    rate = {True: [0, 0], False: [0, 0]}
    for row in found.kept:
        n = int(row["prompt"].split("tree ")[2].split("?")[0])
        rate[hash_uniform("knows", n) < 0.5][row["certain"]] += 1
    assert rate[True][0] == 0 and rate[False][1] < rate[False][0]


def test_completions_hold_the_right_answer_and_say_how_sure_to_be() -> None:
    kept = run(knowing(0.5)).kept
    assert all(r["completion"].split("\n")[0] == OPTIONS["ABCD".index(r["answer"])] for r in kept)
    assert {r["completion"].split("\n")[1]: r["certain"] for r in kept} == {
        "I am sure of this answer.": True, "I am not sure of this answer.": False,
    }  # fmt: skip
    refusing = run(knowing(0.0), uncertain="refuse").kept
    assert {r["completion"] for r in refusing if not r["certain"]} == {"I do not know the answer to this."}
    unknown = run(lambda r, d: "Answer: Lake Como", [{"prompt": "Where?"}]).kept[0]
    assert unknown["completion"] == "Lake Como\nI am sure of this answer." and unknown["counts"] == [10]


@pytest.mark.parametrize(
    ("text", "choices", "key"),
    [
        ("Answer: (C)", OPTIONS, "C"), ("Answer: elm", OPTIONS, "B"), ("Answer: E", OPTIONS, None), ("no idea at all", OPTIONS, None),
        ("Answer: 1,000", [], "1000"), ("Paris.", [], "paris"),
        ("a long reply that never comes to any point at all", [], None), ("", [], None),
    ],
)  # fmt: skip
def test_answers_are_read_as_options_before_they_are_counted(text: str, choices: list[str], key: str | None) -> None:
    found = read_answer(text, choices)
    assert (found.key if found else None) == key


def test_answers_that_cannot_be_read_are_counted_apart_and_too_many_are_unknown() -> None:
    texts = ["Answer: A", Reply("Answer: A", finish_reason="length"), "hm, who could tell"]
    found = run(lambda r, d: texts[d % 3], CHOICES[:1], k=9)
    assert found.numbers.dropped == {"certainty:unknown:unparsed": 1}
    half = run(lambda r, d: texts[d % 2], CHOICES[3:4], k=10).kept[0]
    assert half["unread"] == 5 and half["counts"] == [5] and half["share"] == 0.5


def test_a_tie_with_the_right_answer_is_unknown_and_a_wrong_key_is_left_out() -> None:
    found = run(lambda r, d: f"Answer: {'AB'[d % 2]}", CHOICES[:1], k=4)
    assert found.numbers.dropped in ({"certainty:unknown:tie": 1}, {})
    rows = [{"prompt": "q", "answer": "Z", "options": OPTIONS}, {"prompt": "q"}]
    assert [r for _, r in run(knowing(1.0), rows, by="answer").skipped] == [
        "the answer is none of the options", "no answer to compare with",
    ]  # fmt: skip


def test_the_share_of_certain_questions_is_the_chance_of_a_right_majority() -> None:
    rows = [{"prompt": f"What is tree tree {n}? ", "answer": str(n)} for n in range(150)]
    p, k = 0.6, 3

    def coin(request: Request, draw: int) -> str:
        n = request.text.split("tree ")[2].split("?")[0]
        return f"Answer: {n if hash_uniform('c', request.text, draw) < p else -1}"

    expected = sum(math.comb(k, i) * p**i * (1 - p) ** (k - i) for i in (2, 3))
    sure = sum(r["certain"] for r in run(coin, rows, k=k).kept)
    assert abs(sure - 150 * expected) < 4 * math.sqrt(150 * expected * (1 - expected))


def test_honesty_tuning_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(HONESTY, CHOICES[:10], knowing(0.5), k=4).kept
