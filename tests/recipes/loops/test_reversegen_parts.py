"""ReverseGen's parts without any training: lists, cleaning, pruning, pairs, entropies, and who says what failed."""

from __future__ import annotations

import asyncio
import math
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tilth.errors import UsageError
from tilth.models.base import Reply
from tilth.recipes.loops.reversegen.explore import (
    Listing,
    Proposal,
    clean,
    contexts,
    figures_of,
    listing,
    pairs,
    prune,
    warm_up,
    with_none,
)
from tilth.recipes.loops.reversegen.grading import (
    ByWorld,
    confident,
    entropy_failure,
    grader,
    honest,
    largest_number,
    unusable,
)
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.worlds import open_world

SEEDS = [{"prompt": f"seed number {i} about {'cats' if i % 3 else 'dogs'}", "subject": "ab"[i % 2]} for i in range(40)]
NOWHERE = Listing("1. x\n2.", ())


def proposal(text: str, *, failing: bool | None = None, context: Listing = NOWHERE) -> Proposal:
    verdicts = [Verdict("world", PASS), Verdict("failure", UNKNOWN if failing is None else PASS if failing else FAIL)]
    return Proposal(context, text, Reply(text), verdicts=verdicts)


def test_every_seed_completes_one_list_of_three_others_of_its_subject() -> None:
    rows = warm_up(SEEDS, Random(0))
    assert len(rows) == len({r["prompt"] for r in rows}) == 40
    subject = {s["prompt"]: s["subject"] for s in SEEDS}
    for row in rows:
        head, *items = row["prompt"].splitlines()
        shown = [line.partition(". ")[2] for line in items[:3]]
        assert items[3] == "4." and len(set(shown)) == 3 and row["completion"] not in shown
        assert {subject[t] for t in [*shown, row["completion"]]} == {head.rstrip(":")}


def test_lists_to_explore_take_the_subjects_in_turn_and_name_their_seeds() -> None:
    found = contexts(SEEDS, 10, Random(0))
    assert [c.text[0] for c in found] == list("ababababab")
    assert all(c.text == listing([s["prompt"] for s in c.shown], c.text[0]) for c in found)
    assert contexts(SEEDS, 10, Random(0)) == found != contexts(SEEDS, 10, Random(1))


@pytest.mark.parametrize(
    ("said", "kept"),
    [("How many?\n5. And what?", "How many?"), (" Ann loses 5. How many\nare left? ", "Ann loses 5. How many are left?"),
     ("one\n6) two", "one"), ("", "")],
)  # fmt: skip
def test_a_proposal_ends_where_a_further_item_begins(said: str, kept: str) -> None:
    assert clean(said) == kept


@pytest.mark.parametrize(
    ("said", "put"),
    [("What is 2 + 2? A 3 B 4 C 5 D 6", "What is 2 + 2? A 3 B 4 C 5 D 6 E none of these"),
     ("Who wrote it? A) Ann B) Bob C) Cy", "Who wrote it? A) Ann B) Bob C) Cy D) none of these"),
     ("Which? (A) x (B) none of the others", "Which? (A) x (B) none of the others"),
     ("Is plan A good? A. yes B. no", "Is plan A good? A. yes B. no C. none of these"),
     ("None knew: A. yes B. no", "None knew: A. yes B. no C. none of these"),
     ("How many keys has A left?", "How many keys has A left?"), ("", "")],
)  # fmt: skip
def test_a_question_gets_the_option_that_none_is_right_where_it_is_missing(said: str, put: str) -> None:
    assert with_none(said) == put == with_none(put)


def test_with_the_option_none_a_question_whose_right_number_is_missing_becomes_valid() -> None:
    for none, dropped, reference in ((False, "validity:fail", ""), (True, "", "7 + 8 = 15\n#### E")):
        found = Proposal(NOWHERE, "Sums: what is 7 + 8? A 14 B 13 C 16 D 25", None)
        how = ByWorld("honesty", open_world("quiz"), none=none)
        asyncio.run(how.examine(found, SimpleNamespace()))  # type: ignore[arg-type]
        assert (found.dropped, found.reference) == (dropped, reference)
        assert found.question.endswith(" E none") == none and not found.text.endswith("none")


def test_repeats_by_words_and_by_meaning_go_and_one_of_each_stays() -> None:
    texts = [f"alpha{i} beta{i} gamma{i} delta{i} epsilon{i} zeta{i}" for i in range(8)]
    found = [proposal(t) for t in (*texts, texts[0], texts[1] + " extra", "")]
    found[-1].dropped = "reply:empty"
    prune(found)
    assert [p.dropped for p in found[:8]] == [""] * 8
    assert [p.dropped for p in found[8:]] == ["near:duplicate", "near:duplicate", "reply:empty"]
    assert figures_of(found)["distinct"] == pytest.approx(9 / 11)


def test_as_many_pairs_as_the_scarcest_side_has_and_never_a_text_on_both() -> None:
    lists = contexts(SEEDS, 9, Random(0))
    good, bad = (
        [proposal(f"g{i}", failing=True) for i in range(5)],
        [proposal(f"b{i}", failing=False) for i in range(20)],
    )
    rows = pairs(good, bad, lists, Random(1))
    assert sorted(r["chosen"] for r in rows) == ["g0", "g1", "g2", "g3", "g4"]
    assert len({r["rejected"] for r in rows}) == len({r["prompt"] for r in rows}) == 5
    assert {r["prompt"] for r in rows} <= {c.text for c in lists}
    assert pairs(good, [], lists, Random(1)) == [] and len(pairs(good * 9, bad, lists[:3], Random(1))) == 3


def test_pairs_of_the_same_list_join_its_own_proposals_only() -> None:
    a, b = contexts(SEEDS, 2, Random(0))
    good = [proposal("g0", failing=True, context=a), proposal("g1", failing=True, context=b)]
    bad = [proposal("b0", failing=False, context=a)]
    assert pairs(good, bad, [a, b], Random(0), "same-prompt") == [{"prompt": a.text, "chosen": "g0", "rejected": "b0"}]


def partitions(n: int, parts: int, largest: int | None = None) -> list[tuple[int, ...]]:
    if n == 0:
        return [()]
    return [(k, *rest) for k in range(min(n, largest or n), 0, -1) if parts for rest in partitions(n - k, parts - 1, k)]


def test_thirteen_of_the_thirty_ways_to_part_ten_answers_count_as_uncertain() -> None:
    ways = partitions(10, 5)
    passing = [
        w for w in ways if entropy_failure([c for c, n in zip("ABCDE", w, strict=False) for _ in range(n)]).passed
    ]
    assert len(ways) == 30 and len(passing) == 13 and (4, 4, 1, 1) in passing and (5, 3, 1, 1) not in passing


def test_unreadable_answers_are_counted_apart_and_when_they_are_most_nothing_is_known() -> None:
    found = entropy_failure(["A", "B", None, "C", "D", "A", None, "B", "C", None])
    assert found.evidence == {"counts": {"A": 2, "B": 2, "C": 2, "D": 1}, "unread": 3}
    assert found.score == pytest.approx(-3 * 2 / 7 * math.log(2 / 7) - math.log(1 / 7) / 7) and found.passed
    assert entropy_failure([None] * 6 + ["A", "B", "C", "D"]).outcome == UNKNOWN


@pytest.mark.parametrize(
    ("task", "world", "answer", "outcome"),
    [("maths", "story-arithmetic", "solve", FAIL), ("maths", "rare-wordings", "corrupt", PASS),
     ("maths", "rare-wordings", "noise", UNKNOWN), ("safety", "invented-policy", "solve", FAIL),
     ("safety", "invented-policy", "corrupt", PASS), ("safety", "invented-policy", "noise", UNKNOWN),
     ("honesty", "quiz", "solve", FAIL)],
)  # fmt: skip
def test_a_world_says_what_failed_and_leaves_the_unreadable_unknown(
    task: str, world: str, answer: str, outcome: str
) -> None:
    program = open_world(world)
    knobs: dict[str, Any] = {"forbidden": 1.0} if task == "safety" else {}
    how = grader(task, world, None)
    for row in program.problems(5, 3, **knobs):
        found = Proposal(NOWHERE, row["prompt"], None)
        asyncio.run(how.examine(found, SimpleNamespace()))  # type: ignore[arg-type]
        assert found.reference == row["completion"] and not found.dropped and found.figures["skill"] == row["skill"]
        said = {
            "solve": program.solve(row["prompt"]),
            "corrupt": program.corrupt(row["prompt"], Random(0)),
            "noise": "um",
        }
        replies = [Reply(str(said[answer]))] * (10 if task == "honesty" else 1)
        assert asyncio.run(how.failure(found, replies, SimpleNamespace())).outcome == outcome  # type: ignore[arg-type]
        assert how.check(str(said["solve"]), row).passed


def test_what_the_world_cannot_read_is_not_valid_and_no_failure() -> None:
    found = Proposal(NOWHERE, "How many?", None)
    asyncio.run(ByWorld("maths", open_world("story-arithmetic")).examine(found, SimpleNamespace()))  # type: ignore[arg-type]
    assert found.dropped == "validity:fail" and found.failing is None
    assert figures_of([found])["valid"] == 0 and figures_of([found])["failing"] == 0


def test_numbers_beyond_the_seeds_are_not_valid_where_a_bound_is_given() -> None:
    for largest, reason in ((None, ""), (200, ""), (150, "validity:fail:range")):
        found = Proposal(NOWHERE, "Moths ruin 4 of the 180 keys kept by Ann. What remains?", None)
        asyncio.run(ByWorld("maths", open_world("rare-wordings"), largest).examine(found, SimpleNamespace()))  # type: ignore[arg-type]
        assert found.dropped == reason
    assert largest_number(["no 7", "12 and 3", ""]) == 12 and largest_number([]) == 0


def test_a_task_or_world_that_does_not_fit_is_one_clear_error() -> None:
    for task, world, hint in (
        ("mathz", None, "did you mean 'maths'"), ("safety", "quiz", "invented-policy"), ("maths", "quizz", "quiz"),
        ("safety", None, "no policy"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=hint):
            grader(task, world, None)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [("2 + 2 = 4\n#### 4", ""), ("It is 4.", "reference:unknown:no-answer"), ("#### 0", "reference:fail:zero"),
     ("#### 3 or 4", "reference:fail:several-numbers")],
)  # fmt: skip
def test_a_solver_without_one_marked_answer_other_than_zero_is_no_reference(reference: str, reason: str) -> None:
    assert unusable(reference) == reason


def test_an_honest_answer_says_in_its_last_line_whether_it_is_sure() -> None:
    assert confident(honest("1 + 1 = 2\n#### A", True)) == 1 and confident(honest("#### A", False)) == 0
    assert confident("#### A") == 0.5
