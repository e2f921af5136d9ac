from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.errors import UsageError
from tilth.select import exact_groups, near_groups
from tilth.select.minhash import bands_for
from tilth.select.near import near_tokens
from tilth.select.tokens import Tokens
from tilth.select.words import character_shingles, shingles

WORD = st.sampled_from(["a", "b", "c", "d", "É", "é", "straße", "Σ", "ς", "1", "_", "İx", "，", "日本", "-"])
TEXTS = st.lists(st.lists(WORD, max_size=9).map(" ".join), max_size=14)
THRESHOLD = st.sampled_from(["0.01", "0.25", "0.5", "0.6", "0.7", "0.75", "0.9", "1"])


def brute_force(texts: list[str], threshold: str) -> list[int]:
    """Survivors by comparing all pairs with exact fractions, then closing under chains."""
    sets = [shingles(text) for text in texts]
    label = list(range(len(texts)))
    for a, b in combinations(range(len(texts)), 2):
        union = len(sets[a] | sets[b])
        if union and Fraction(len(sets[a] & sets[b]), union) >= Fraction(threshold):
            low, high = sorted((label[a], label[b]))
            label = [low if x == high else x for x in label]
    return label


@settings(max_examples=150, deadline=None)
@given(TEXTS, THRESHOLD)
def test_both_paths_find_the_groups_that_comparing_all_pairs_finds(texts: list[str], threshold: str) -> None:
    plain = near_groups(texts, threshold, compiled=False)
    assert plain.survivor == brute_force(texts, threshold)
    assert near_groups(texts, threshold, compiled=True) == plain


def perturbed(count: int, rng: random.Random) -> list[str]:
    """Texts of 1-90 common words, of which three in five are copies of earlier ones with 0-3 words replaced."""
    texts: list[str] = []
    while len(texts) < count:
        if texts and rng.random() < 0.6:
            words = rng.choice(texts).split()
            for _ in range(rng.randint(0, 3)):
                words[rng.randrange(len(words))] = str(rng.randrange(50))
        else:
            words = [str(min(rng.randrange(50), rng.randrange(50))) for _ in range(rng.randint(1, 90))]
        texts.append(" ".join(words))
    return texts


@pytest.mark.parametrize("threshold", ["0.3", "0.5", "0.7", "0.8", "0.95"])
def test_groups_of_perturbed_texts_equal_those_of_all_pairs(threshold: str) -> None:
    texts = perturbed(250, random.Random(5))
    expected = brute_force(texts, threshold)
    assert near_groups(texts, threshold, compiled=False).survivor == expected
    assert near_groups(texts, threshold, compiled=True).survivor == expected


@pytest.mark.parametrize("compiled", [False, True])
def test_the_threshold_is_inclusive_and_compared_in_integers(compiled: bool) -> None:
    pair = ["a b c d e f g h i j", "a b c d e f g h i z"]
    assert Fraction(7, 9) == Fraction(
        len(shingles(pair[0]) & shingles(pair[1])),
        len(shingles(pair[0]) | shingles(pair[1])),
    )
    assert near_groups(pair, "0.777777777", compiled=compiled).survivor == [0, 0]
    assert near_groups(pair, "0.777777778", compiled=compiled).survivor == [0, 1]


@pytest.mark.parametrize("compiled", [False, True])
def test_short_texts_are_one_shingle_and_texts_without_words_are_never_duplicates(compiled: bool) -> None:
    texts = ["Yes", "yes!", "", "", "!?", "!?", "yes no", "YES, no"]
    assert near_groups(texts, compiled=compiled).survivor == [0, 0, 2, 3, 4, 5, 6, 6]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_chain_is_one_group_and_each_dropped_text_says_what_links_it(compiled: bool) -> None:
    first = [f"w{i}" for i in range(30)]
    texts = [" ".join(first[shift : shift + 20]) for shift in (0, 3, 6, 9)]
    result = near_groups(texts, "0.7", compiled=compiled)
    assert result.survivor == [0, 0, 0, 0]
    assert result.similarity[3] < 0.7 <= result.link_similarity[3]
    assert result.link == [0, 0, 1, 2]
    assert result.kept == [0]


def test_the_highest_priority_survives_and_the_first_among_equals() -> None:
    texts = ["a b c d", "A b c d", "a b c d!", "other words stand here"]
    assert near_groups(texts, priority=[0, 2, 2, 1]).survivor == [1, 1, 1, 3]
    assert exact_groups(texts, priority=[0, 2, 2, 1]) == [1, 1, 2, 3]


def test_a_large_vocabulary_takes_the_wider_keys_and_stays_exact() -> None:
    from tilth.select import kernels

    texts = ["a b c d e f", "a b", "", "b c d e f g", "a b c"]
    buffer, starts, table = kernels.encode(texts)
    ids, offsets, _, codes, _, _ = kernels.word_ids(buffer, starts, table)
    narrow = kernels.gram_ids(ids, offsets, len(codes), 3)
    wide = kernels.gram_ids(ids, offsets, 1 << 22, 3)
    assert narrow[0].tolist() == wide[0].tolist()
    assert narrow[1].tolist() == wide[1].tolist()
    assert narrow[2] == wide[2]


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_compiled_words_are_pythons_words(text: str) -> None:
    from tilth.select import kernels
    from tilth.select.words import words

    buffer, starts, table = kernels.encode([text])
    ids, _, _, _, first, last = kernels.word_ids(buffer, starts, table)
    found = [bytes(buffer[first[i] : last[i]]).decode("utf-8", "surrogatepass") for i in ids]
    assert found == words(text)


def test_exact_duplicates_are_equal_after_nfkc_lower_case_and_single_spaces() -> None:
    texts = ["Ｆｕｌｌ  width\tﬁ", "full width fi", "full width fi.", "", " ", "FULL\nWIDTH FI "]
    assert exact_groups(texts) == [0, 0, 2, 3, 4, 0]


@pytest.mark.parametrize("threshold", ["0", "-1", "1.1", "x", "nan", "0.12345678901"])
def test_a_threshold_out_of_range_is_refused(threshold: str) -> None:
    with pytest.raises(UsageError):
        near_groups(["a"], threshold)


@settings(max_examples=100, deadline=None)
@given(TEXTS, THRESHOLD, st.integers(1, 6))
def test_character_shingles_group_alike_on_both_paths(texts: list[str], threshold: str, n: int) -> None:
    plain = near_groups(texts, threshold, n=n, unit="char", compiled=False)
    assert near_groups(texts, threshold, n=n, unit="char", compiled=True) == plain
    sets = [character_shingles(text, n) for text in texts]
    for i, held in enumerate(plain.link):
        assert len(sets[i] & sets[held]) * Fraction(1) >= Fraction(threshold) * len(sets[i] | sets[held])


@settings(max_examples=60, deadline=None)
@given(TEXTS, THRESHOLD, st.integers(0, 14))
def test_texts_of_an_existing_pool_survive_and_come_first(texts: list[str], threshold: str, pool: int) -> None:
    alone = near_groups(texts, threshold, compiled=False)
    found = near_groups(texts, threshold, pool=pool, priority=[len(t) for t in texts], compiled=False)
    for i, held in enumerate(found.survivor):
        assert (held == i) if i < pool else (held >= pool or held == alone.survivor[i])


@pytest.mark.parametrize("threshold", ["0.5", "0.7", "0.9"])
def test_above_the_memory_bound_no_pair_is_wrong_and_nearly_none_is_missed(threshold: str) -> None:
    texts = perturbed(1_500, random.Random(11))
    exact = near_groups(texts, threshold, compiled=True)
    bounded = near_groups(texts, threshold, compiled=True, memory=0)
    sets = [shingles(text) for text in texts]
    for i, held in enumerate(bounded.link):
        assert (
            Fraction(len(sets[i] & sets[held]), max(1, len(sets[i] | sets[held]))) >= Fraction(threshold) or i == held
        )
    dropped, expected = ({i for i, h in enumerate(r.survivor) if i != h} for r in (bounded, exact))
    assert len(expected) > 150
    assert (exact.complete, bounded.complete) == (True, False)
    assert dropped <= expected
    assert len(dropped) >= 0.99 * len(expected)


def test_bands_meet_pairs_at_the_threshold_with_the_stated_probability() -> None:
    for t in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0):
        bands, rows = bands_for(t)
        assert 1 - (1 - t**rows) ** bands >= 0.995
        assert bands * rows <= 160


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(UsageError, match="3 lines"):
        near_groups(["a"], unit="line")


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from(["word", "char"]), st.data())
def test_texts_read_in_blocks_are_grouped_as_if_read_at_once(texts: list[str], unit: str, data: st.DataObject) -> None:
    tokens, rest = Tokens(unit), texts
    while rest:
        cut = data.draw(st.integers(1, len(rest)))
        tokens.add(rest[:cut])
        rest = rest[cut:]
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), dtype=np.bool_)
    left = [text for text, taken in zip(texts, chosen, strict=True) if taken]
    expected = near_groups(left, "0.5", n=2, unit=unit, compiled=False)
    assert near_tokens(tokens, "0.5", n=2, chosen=chosen) == expected
