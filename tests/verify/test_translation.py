"""Likeness and faults of translations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.verify.translation import chrf, copied_share, length_ratio, translation_problem, word_f1


def test_chrf_is_worked_out_by_hand_for_short_texts() -> None:
    # abc and abd share a, b and ab: precision and recall (2/3 + 1/2 + 0) / 3
    assert chrf("abc", "abd") == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    # one order only: precision 1/1, recall counted on the one-grams of the longer text
    assert chrf("a", "ab") == pytest.approx(5 * 1 * 0.5 / (4 * 1 + 0.5))
    assert (chrf("", ""), chrf("a", ""), chrf("a b c", "abc")) == (1.0, 0.0, 1.0)


@given(st.text(max_size=30), st.text(max_size=30))
def test_chrf_is_a_share_and_one_for_equal_texts(a: str, b: str) -> None:
    assert 0 <= chrf(a, b) <= 1 and chrf(a, a) == pytest.approx(1.0)


def test_word_f1_length_and_copying() -> None:
    assert word_f1("the old mill", "Old mill") == pytest.approx(0.8) and word_f1("", "") == 1 and word_f1("a", "b") == 0
    assert length_ratio("ab", "abcd") == 2 and length_ratio("", "a") == float("inf")
    assert copied_share("one two three 4", "one two zwei drei") == 0 and copied_share("a b c d", "a b x") == 0.5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("das alte Haus am Fluss", None),
        ("", "empty"),
        ("the old house by the river", "copy"),
        ("the old house am Fluss", "copy"),
        ("Haus", "length"),
        ("das Haus das Haus das Haus das Haus", "repetition"),
        ("so so so so so so so so", "repetition"),
    ],
)
def test_what_is_no_translation_is_named(text: str, problem: str | None) -> None:
    assert translation_problem(text, "the old house by the river") == problem
