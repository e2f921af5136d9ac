"""orca-explain: even samples, fitting messages, checked answers, and the order of the two stages."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models.base import ModelError, Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.orca_explain import FITTING, SYSTEM, kind_of, label_verdict, orca_explain

SUMS = [
    {"prompt": f"How much is {a} + {a + 1}?", "answer": str(2 * a + 1), "task": f"sum-{a % 3}", "collection": "maths"}
    for a in range(30)
]


def teacher(request: Request, draw: int) -> str:
    a, b = (int(w.strip("?")) for w in request.messages[-1]["content"].split() if w.strip("?").isdigit())
    return f"Putting both together gives the sum.\nAnswer: {a + b}"


def explained(answer: Any = teacher, rows: Any = SUMS, **settings: Any) -> Harvested:
    return run_recipe(orca_explain, rows, FunctionModel(answer), **settings)


def reasons(harvest: Harvested) -> Counter[str]:
    return Counter(reason for _, reason in harvest.dropped)


def test_there_are_sixteen_different_messages_one_of_them_empty_and_every_kind_has_several() -> None:
    texts = [p.text for p in SYSTEM.values()]
    assert len(texts) == len(set(texts)) == 16 and "" in texts
    assert all(len(names) >= 6 for names in FITTING.values())
    assert "why-not" in FITTING["choice"] and "why-not" not in FITTING["reasoning"] + FITTING["other"]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"prompt": "Which is a fish?\nA) otter\nB) carp\nC) heron"}, "choice"),
        ({"prompt": "Pick one: (a) red (b) blue"}, "choice"),
        ({"prompt": "How many legs have 3 cats?"}, "reasoning"),
        ({"prompt": "How many people like cats?"}, "other"),
        ({"instruction": "Translate", "input": "A) is the first"}, "other"),
        ({"prompt": "How many legs have 3 cats?", "kind": "other"}, "other"),
    ],
)
def test_the_kind_of_a_question_is_given_or_told_by_its_form(row: dict[str, str], kind: str) -> None:
    assert kind_of(row) == kind


def test_messages_fit_the_kind_and_the_row_holds_what_was_sent() -> None:
    harvest = explained()
    assert len(harvest.kept) == 30
    for row in harvest.kept:
        assert row["kind"] == "reasoning" and row["system_name"] in FITTING["reasoning"]
        roles = [turn["role"] for turn in row["messages"]]
        system = SYSTEM[row["system_name"]].text
        assert roles == (["system"] if system else []) + ["user", "assistant"]
        assert not system or row["messages"][0]["content"] == system
        assert row["task"].startswith("sum-") and row["answer"]
    assert len({row["system_name"] for row in harvest.kept}) > 4


def test_a_question_can_get_several_different_messages() -> None:
    harvest = explained(messages=3)
    assert len({(row["answer"], row["system_name"]) for row in harvest.kept}) == 90


def test_caps_hold_for_tasks_and_collections_and_the_rest_is_counted() -> None:
    other = [{**row, "collection": "more", "task": "one"} for row in SUMS]
    harvest = explained(rows=SUMS + other, per_task=4, per_collection=7)
    kept = Counter((row["collection"], row["task"]) for row in harvest.kept)
    assert kept == {("maths", "sum-0"): 3, ("maths", "sum-1"): 2, ("maths", "sum-2"): 2, ("more", "one"): 4}
    assert Counter(reason for _, reason in harvest.skipped) == {"cap:task": 44, "cap:collection": 5}


def test_an_even_sample_does_not_depend_on_the_order_of_the_seeds() -> None:
    from tilth.rows.row import Row

    rows = [Row(row, str(i)) for i, row in enumerate(SUMS)]
    kept = {c["answer"] for c in explained(rows=rows, per_task=4).kept}
    assert len(kept) == 12
    assert kept == {c["answer"] for c in explained(rows=rows, per_task=4).kept}


def test_the_stronger_teacher_answers_its_share_after_the_cheaper_one() -> None:
    weak, strong = FunctionModel(teacher, "weak"), FunctionModel(teacher, "strong")
    harvest = run_recipe(orca_explain, SUMS, {"teacher": weak, "strong": strong}, strong_share=0.2, batch=7)
    assert (weak.sent, strong.sent) == (30, 6)
    assert [row["order"] for row in harvest.kept] == list(range(36))
    assert [row["stage"] for row in harvest.kept] == [1] * 30 + [2] * 6
    assert {row.lineage.model for row in harvest.kept if row["stage"] == 2} == {"strong"}
    first = {(row["answer"], row["system_name"]) for row in harvest.kept if row["stage"] == 1}
    assert {(row["answer"], row["system_name"]) for row in harvest.kept if row["stage"] == 2} <= first


def test_without_a_share_no_stronger_teacher_is_needed() -> None:
    harvest = run_recipe(orca_explain, SUMS[:2], {"teacher": FunctionModel(teacher)})
    assert len(harvest.kept) == 2


def bad(request: Request, draw: int) -> Reply:
    a = int(request.messages[-1]["content"].split()[3])
    kinds = ["I'm sorry, but I cannot help.", "", "Answer: 1000", "It depends.", teacher(request, draw)]
    return Reply(kinds[a % 5], finish_reason="length" if a % 10 == 4 else "stop")


def test_refusals_cuts_and_wrong_answers_are_dropped_with_their_reason() -> None:
    harvest = explained(bad)
    assert reasons(harvest) == {
        "reply:refusal": 6, "reply:empty": 6, "math:fail": 6, "math:unknown:no-answer": 6, "reply:cut": 3,
    }  # fmt: skip
    assert len(harvest.kept) == 3 and all(row.verdicts[0].passed for row in harvest.kept)


def test_wrong_answers_can_be_flagged_or_ignored_instead() -> None:
    flagged = explained(bad, when_wrong="flag")
    assert Counter(row["consistent"] for row in flagged.kept) == {False: 6, None: 6, True: 3}
    ignored = explained(bad, when_wrong="ignore")
    assert len(ignored.kept) == 15 and all(row.verdicts == () for row in ignored.kept)
    with pytest.raises(UsageError, match="'keep' is none of drop, flag, ignore"):
        explained(when_wrong="keep")


@pytest.mark.parametrize(
    ("text", "answer", "outcome"),
    [
        ("It is warm praise.\nAnswer: positive", "positive", "pass"),
        ("It could be positive, who knows.", "positive", "unknown"),
        ("B is a carp, so B.\nAnswer: B", "B", "pass"),
        ("Answer: C", "B", "fail"),
        ("So 3 + 4 = 7.\nAnswer: 7", "#### 7", "pass"),
    ],
)
def test_labels_are_compared_where_an_answer_is_declared(text: str, answer: str, outcome: str) -> None:
    assert label_verdict(text, answer).outcome == outcome


def test_questions_without_an_answer_are_not_asked_for_a_last_line() -> None:
    rows = [{"prompt": "How much is 1 + 2?"}, {"prompt": "How much is 1 + 2?", "answer": "3"}]
    seen = [row["messages"][-2]["content"] for row in explained(rows=rows).kept]
    assert seen[0] == rows[0]["prompt"] and "Answer:" in seen[1]
    assert "Answer:" not in explained(rows=rows[1:], final_line=False).kept[0]["messages"][-2]["content"]


def test_a_failed_request_costs_one_row_and_an_empty_question_is_left_out() -> None:
    def flaky(request: Request, draw: int) -> str:
        if "7" in request.text:
            raise ModelError("no answer")
        return teacher(request, draw)

    harvest = explained(flaky, [*SUMS, {"prompt": ""}])
    assert harvest.failed == [] and reasons(harvest) == {"model:failed": 6}
    assert len(harvest.kept) == 24 and [r for _, r in harvest.skipped] == ["seed:empty"]


def test_a_hostile_model_loses_nothing() -> None:
    for seed in range(3):
        bound = dict.fromkeys(("teacher", "strong"), Hostile(seed=seed))
        harvest = run_recipe(orca_explain, SUMS, bound, strong_share=0.2)
        assert harvest.failed == [] and len(harvest.kept) + len(harvest.dropped) == 36 == harvest.numbers.candidates


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), FunctionModel(teacher)
    first = run_recipe(orca_explain, SUMS, model, journal=journal, batch=8)
    again = run_recipe(orca_explain, SUMS, model, journal=journal, batch=8)
    assert model.sent == 30
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
