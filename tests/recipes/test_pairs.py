"""Pairs, chunks and balanced draws: the primitives that several methods share."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tilth.recipes.chunks import balanced, chunks, sentences
from tilth.recipes.pairs import all_pairs, answer_to, best_and_worst, pair_problem, unequal_pairs

SCORES = st.lists(st.one_of(st.none(), st.integers(0, 5).map(float)), max_size=8)


@given(SCORES, st.floats(0, 3))
def test_the_best_and_the_worst_lie_furthest_apart(scores: list[float | None], least: float) -> None:
    pair, known = best_and_worst(scores, least_margin=least), [s for s in scores if s is not None]
    if pair is None:
        assert len(known) < 2 or max(known) == min(known) or max(known) - min(known) < least
    else:
        assert scores[pair.better] == max(known) and scores[pair.worse] == min(known)
        assert pair.better == scores.index(max(known)) and pair.worse == scores.index(min(known))


@given(SCORES)
def test_unequal_pairs_are_all_pairs_less_the_ties(scores: list[float | None]) -> None:
    known = [s for s in scores if s is not None]
    ties = sum(c * (c - 1) // 2 for c in Counter(known).values())
    pairs = unequal_pairs(scores)
    assert len(pairs) == len(known) * (len(known) - 1) // 2 - ties
    assert all(scores[p.better] - scores[p.worse] == p.margin > 0 for p in pairs)  # type: ignore[operator]


def test_a_ranking_of_seven_makes_21_pairs() -> None:
    pairs = all_pairs([3, 0, 6, 1, 5, 2, 4])
    assert len(pairs) == 21 and pairs[0] == (3, 0, 1.0) and max(p.margin for p in pairs) == 6


def test_texts_that_teach_nothing_are_no_pair() -> None:
    assert pair_problem("a b", " a  b\n") == "pair:fail:identical"
    assert pair_problem("a", " ") == "pair:fail:empty"
    assert pair_problem("a" * 20, "b" * 10) is None
    assert pair_problem("a" * 21, "b" * 10) == "pair:fail:length-ratio"
    assert pair_problem("a" * 21, "b" * 10, length_ratio=None) is None


@given(st.text(alphabet="ab .!?\n\"'。", max_size=200), st.integers(1, 40))
def test_chunks_joined_are_the_document_and_none_is_too_long(text: str, most: int) -> None:
    found = chunks(text, most)
    assert "".join(c.text for c in found) == text == "".join(s.text for s in sentences(text))
    assert all(len(c.text) <= most and text[c.start : c.end] == c.text for c in found)
    assert all(a.end == b.start for a, b in pairwise(found))


def test_chunks_end_where_sentences_end() -> None:
    text = "One is here. Two is there! Is three 3.5? Four."
    assert [c.text for c in chunks(text, 27)] == ["One is here. Two is there! ", "Is three 3.5? Four."]


@given(st.integers(0, 60))
def test_values_are_drawn_equally_often_within_one(n: int) -> None:
    drawn = balanced({"a": "xyz", "b": range(5)}, n, random.Random(n))
    assert len(drawn) == n
    for axis, size in (("a", 3), ("b", 5)):
        counts = Counter(d[axis] for d in drawn)
        assert all(c in (n // size, n // size + 1) for c in counts.values())


def test_a_conversational_prompt_gets_a_conversational_answer() -> None:
    assert answer_to("hi", "yes") == "yes"
    assert answer_to([{"role": "user", "content": "hi"}], "yes") == [{"role": "assistant", "content": "yes"}]
