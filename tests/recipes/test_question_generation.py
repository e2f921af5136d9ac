"""question-generation: spans are exact, and the round trip finds wrong answers at their rate."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.multilingual.answering import question_problem, span_of
from tilth.recipes.multilingual.question_generation import question_generation
from tilth.verify.translation import word_f1

THINGS = ("lamp", "boat", "door", "mill", "clock", "bridge", "oven", "well")


def passage(number: int) -> dict[str, Any]:
    facts = [
        f"The {thing} of Norvik {number} was built in the year {1500 + 31 * i + number}."
        for i, thing in enumerate(THINGS)
    ]
    return {"context": " ".join(facts)}


PASSAGES = [passage(i) for i in range(40)]


def asker(wrong: float = 0.0) -> FunctionModel:
    """Asks for the year of each thing; the answer is another thing's year at rate `wrong`."""

    def write(request: Request, draw: int) -> str:
        context = request.text.split("Passage:\n")[1]
        facts = re.findall(r"The (\w+) of (Norvik \d+) was built in the year (\d+)", context)
        items = []
        for i, (thing, place, year) in enumerate(facts):
            slip = hash_uniform("wrong", place, thing) < wrong
            items.append({
                "question": f"When did they put up that {thing} which stands at {place}, {'please ' * (i % 3)}tell me?",
                "answer": facts[(i + 1) % len(facts)][2] if slip else year,
            })  # fmt: skip
        return json.dumps({"questions": items})

    return FunctionModel(write, f"asker?{wrong}")


def reader(request: Request, draw: int) -> str:
    thing = re.search(r"that (\w+) which", request.text)
    if not thing:
        return "NONE"
    return re.search(rf"The {thing[1]} of Norvik \d+ was built in the year (\d+)", request.text)[1] + "."  # type: ignore[index]


def written(model: Any = None, rows: Any = None, says: Any = reader, **settings: Any) -> Harvested:
    bound = {"generator": model or asker(), "reader": says if hasattr(says, "send") else FunctionModel(says)}
    return run_recipe(question_generation, rows or PASSAGES, bound, **{"n": 8, **settings})


def test_every_answer_is_where_its_row_says() -> None:
    harvest = written(n=4)
    assert len(harvest.kept) == 160
    for row in harvest.kept:
        assert row["context"][row["start"] : row["start"] + len(row["answer"])] == row["answer"] == row["completion"]
        assert row["prompt"] == f"{row['context']}\n\n{row['question']}" and row["roundtrip_f1"] == 1
        assert row["ctx_lang"] == row["q_lang"] == "en"


def test_planted_wrong_answers_fail_the_round_trip_and_no_right_one_does() -> None:
    harvest = written(asker(0.25))
    wrong = [row for row, reason in harvest.dropped if reason == "round-trip:fail:other"]
    total = len(wrong) + len(harvest.kept)
    for row in harvest.kept:
        thing = re.search(r"that (\w+) which", row["question"])[1]  # type: ignore[index]
        assert f"The {thing} " in row["context"][max(0, row["start"] - 60) : row["start"]]
    assert abs(len(wrong) / total - 0.25) < 4 * math.sqrt(0.25 * 0.75 / total)


@pytest.mark.parametrize(
    ("question", "answer", "problem"),
    [
        ("When was the mill built?", "1803", None),
        ("When?", "1803", "short"),
        ("W" * 301, "1803", "long"),
        ("When was the mill built?", "", "answer-empty"),
        ("When was the mill built?", "1" * 201, "answer-long"),
        ("When was the mill built?", "1804", "answer-not-in-passage"),
        ("Was it 1803 that the mill was built?", "1803", "contains-answer"),
    ],
)
def test_what_is_no_question_about_a_span_is_named(question: str, answer: str, problem: str | None) -> None:
    assert question_problem(question, answer, "The mill was built in 1803.") == problem


@given(st.text(max_size=40), st.integers(0, 30), st.integers(1, 20))
def test_a_span_is_found_in_code_points_whatever_the_script(context: str, start: int, size: int) -> None:
    answer = context[start : start + size]
    found = span_of(answer, context)
    assert found is None if not answer else context[found : found + len(answer)] == answer


def test_the_reader_may_say_nothing_less_or_nothing_readable() -> None:
    counts = Counter(reason for _, reason in written(says=lambda r, d: "NONE", rows=PASSAGES[:1]).dropped)
    assert counts == {"round-trip:fail:unanswerable": 8}
    cut = FunctionModel(lambda r, d: Reply("15", finish_reason="length"))
    counts = Counter(reason for _, reason in written(says=cut, rows=PASSAGES[:1]).dropped)
    assert counts == {"round-trip:unknown:reply-cut": 8}
    assert (
        word_f1("the year 1500 or so, I think", "1500")
        < 0.8
        <= word_f1("old mill house by river", "old mill house by a river")
    )


def test_questions_in_another_language_and_surplus_ones_are_dropped() -> None:
    assert {reason for _, reason in written(rows=PASSAGES[:1], lang="de").dropped} == {
        "language:fail:en",
    }
    reasons = Counter(reason for _, reason in written(rows=PASSAGES[:1], n=2).dropped)
    assert reasons == {"surplus": 6} and len(written(rows=PASSAGES[:1], n=2).kept) == 2


def test_only_a_like_question_with_the_same_answer_repeats_another() -> None:
    items = [("When was the mill built, please?", "1500"), ("When was that mill built, please?", "1500"),
             ("When was the boat built, please?", "1531")]  # fmt: skip
    text = json.dumps({"questions": [{"question": q, "answer": a} for q, a in items]})
    says = FunctionModel(lambda r, d: "1531" if "the boat built" in r.text else "1500")
    harvest = written(FunctionModel(lambda r, d: text), PASSAGES[:1], says)
    assert [row["answer"] for row in harvest.kept] == ["1500", "1531"]
    assert [reason for _, reason in harvest.dropped] == ["question:duplicate"]


def test_an_unreadable_list_is_unknown_and_a_cut_one_is_not_trusted() -> None:
    for text, finish, reason in (("1. When?", "stop", "parse:unknown"), ('{"questions": []}', "length", "reply:cut")):
        model = FunctionModel(lambda r, d, t=text, f=finish: Reply(t, finish_reason=f))
        assert [why for _, why in written(model, PASSAGES[:1]).dropped] == [reason]
    assert [why for _, why in written(rows=[{"context": " "}]).skipped] == ["seed:empty"]


def test_a_hostile_model_loses_nothing() -> None:
    harvest = written(Hostile(), says=Hostile(seed=1))
    assert harvest.failed == [] and harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 40
    harvest = written(says=Hostile(seed=1))
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 320


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model, says = Journal(":memory:"), asker(0.2), FunctionModel(reader)
    first = written(model, PASSAGES[:5], says, journal=journal)
    sent = model.sent, says.sent
    again = written(model, PASSAGES[:5], says, journal=journal)
    assert (model.sent, says.sent) == sent
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
