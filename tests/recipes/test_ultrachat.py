"""ultrachat: the tree of topics, alternation, rounds that stop, and faults of either speaker."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.ultrachat import DONE, turn_problem, ultrachat

WORDS = [a + b for a in ("ka", "lo", "mi", "ru", "te", "vo") for b in ("ben", "dor", "fin", "gal", "hup", "jes")]
TOPICS = [{"topic": name} for name in ("rivers", "bread", "clocks")]


def sentence(*names: object) -> str:
    return " ".join(random.Random(str(names)).sample(WORDS, 10))


def person(request: Request, draw: int) -> str:
    text = request.text
    if text.startswith("Divide"):
        return "\n".join(f"{i + 1}. {sentence(text, i)}" for i in range(10))
    if " different " in text:
        return "\n".join(f"{i + 1}. What of {sentence(text, i)}?" for i in range(10))
    return f"Person: And {sentence(text, draw)}?"


def helper(request: Request, draw: int) -> str:
    return f"It is {sentence(request.text, 'answer')}."


def talked(user: Any = person, assistant: Any = helper, rows: Any = TOPICS, **settings: Any) -> Harvested:
    models = {"user": user, "assistant": assistant}
    bound = {k: m if hasattr(m, "send") else FunctionModel(m, k) for k, m in models.items()}
    return run_recipe(ultrachat, rows, bound, **{"subtopics": 2, "questions": 3, **settings})


def test_the_tree_of_topics_is_covered_evenly() -> None:
    harvest = talked()
    assert len(harvest.kept) == 3 * 2 * 3 and not harvest.dropped
    assert set(Counter(row.lineage.seeds for row in harvest.kept).values()) == {6}
    assert set(Counter(row["topic"] for row in harvest.kept).values()) == {3}


def test_dialogues_alternate_and_have_the_drawn_number_of_rounds() -> None:
    harvest = talked(questions=8)
    lengths = Counter(row["rounds"] for row in harvest.kept)
    assert set(lengths) == {3, 4, 5, 6, 7} and len(harvest.kept) == 48
    for row in harvest.kept:
        roles = [turn["role"] for turn in row["messages"]]
        assert roles == ["user", "assistant"] * row["rounds"] and row["stop_reason"] == "rounds"
        assert not any(turn["content"].startswith("Person:") for turn in row["messages"])
    assert len(talked(min_rounds=2, max_rounds=2).kept[0]["messages"]) == 4


def test_the_person_can_end_and_too_early_an_end_is_dropped() -> None:
    def leaves(after: int) -> Any:
        def user(request: Request, draw: int) -> str:
            asked = request.text.count("Person:")
            return DONE if asked >= after and "so far" in request.text else person(request, draw)

        return user

    harvest = talked(leaves(4), max_rounds=7, min_rounds=3)
    assert {row["stop_reason"] for row in harvest.kept if row["rounds"] == 4} <= {"done", "rounds"}
    assert max(row["rounds"] for row in harvest.kept) == 4
    early = talked(leaves(2))
    assert not early.kept and {reason for _, reason in early.dropped} == {"turn:done-early"}


EARLIER = [
    {"role": "user", "content": "Thank you, and what of the kaben?"},
    {"role": "assistant", "content": f"I apologize. It is {sentence('a')}."},
]


@pytest.mark.parametrize(
    ("role", "text", "problem"),
    [
        ("user", "How can I help you today?", "swapped-role"),
        ("user", "As an AI, I wonder.", "swapped-role"),
        ("assistant", "How can I help you today?", None),
        ("user", "Why?\nAssistant: because", "answers-itself"),
        ("assistant", "I'm sorry, but I cannot help.", "refusal"),
        ("user", "Thanks a lot!", "loop-thanks"),
        ("assistant", "It is so, and I apologize.", "loop-apologies"),
        ("assistant", f"So now: it is {sentence('a')}.", "repetition"),
        ("assistant", "Thanks for asking, it is otherwise.", None),
        ("user", "Why?", None),
    ],
)
def test_each_fault_of_a_turn_has_its_name(role: str, text: str, problem: str | None) -> None:
    assert turn_problem(role, text, EARLIER) == problem


def test_a_fault_ends_the_dialogue_before_its_round() -> None:
    def swapping(request: Request, draw: int) -> str:
        if request.text.count("Person:") == 4:
            return "How can I help you further?"
        return person(request, draw)

    harvest = talked(swapping, min_rounds=3, max_rounds=7, questions=6)
    assert Counter(row["stop_reason"] for row in harvest.kept if row["rounds"] == 4).keys() <= {
        "turn:swapped-role", "rounds",
    }  # fmt: skip
    assert max(row["rounds"] for row in harvest.kept) == 4 and not harvest.dropped
    looping = talked(assistant=lambda r, d: "I'm sorry, but I can't.")
    assert {reason for _, reason in looping.dropped} == {"turn:refusal"} and not looping.kept
    cut = talked(assistant=lambda r, d: Reply("It is", finish_reason="length"))
    assert {reason for _, reason in cut.dropped} == {"reply:cut"}


def test_like_openings_go_and_texts_and_prompts_open_too() -> None:
    rows = [
        {"text": sentence("material")},
        {"prompt": "Write a poem about a lamp."},
        {"instruction": "Write a poem about a lamp"},
    ]
    harvest = talked(rows=[*rows, {"prompt": ""}], questions=1)
    assert Counter(row["sector"] for row in harvest.kept) == {"material": 1, "writing": 1}
    assert Counter(reason for _, reason in harvest.dropped) == {"opening:similar": 1}
    assert [reason for _, reason in harvest.skipped] == ["opening:none"]
    material = next(row for row in harvest.kept if row["sector"] == "material")
    assert material["messages"][0]["content"].startswith(rows[0]["text"])


def test_a_hostile_model_loses_nothing() -> None:
    rows = [*TOPICS, *({"prompt": sentence(i)} for i in range(20))]
    harvest = talked(Hostile(), Hostile(seed=1), rows=rows)
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) >= 20


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, user, assistant = Journal(":memory:"), FunctionModel(person, "u"), FunctionModel(helper, "a")
    first = talked(user, assistant, journal=journal)
    sent = user.sent, assistant.sent
    again = talked(user, assistant, journal=journal)
    assert (user.sent, assistant.sent) == sent
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
