from __future__ import annotations

import random
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from tilth.errors import UsageError
from tilth.select import Novelty, novelty_pass, rouge_l
from tilth.select.novelty import least_lcs, rouge_f

WORD = st.sampled_from(["a", "B", "c", "running", "runs", "don't", "x-y", "é", "4", "the"])
TEXTS = st.lists(st.lists(WORD, max_size=12).map(" ".join), max_size=12)
THRESHOLD = st.sampled_from([0.0, 0.2, 0.4, 0.5, 2 / 3, 0.7, 0.8, 1.0])


@lru_cache
def scorer(stemmer: bool) -> RougeScorer:
    return RougeScorer(["rougeL"], use_stemmer=stemmer)


def reference(target: str, prediction: str, stemmer: bool = False) -> float:
    return scorer(stemmer).score(target, prediction)["rougeL"].fmeasure


def reference_pass(texts: list[str], threshold: float, stemmer: bool = False) -> tuple[list[int], list[float]]:
    accepted: list[int] = []
    nearest, similarity = [], []
    for index, text in enumerate(texts):
        scores = [reference(texts[other], text, stemmer) for other in accepted]
        best = max(scores, default=0.0)
        above = best > threshold
        nearest.append(accepted[scores.index(best)] if above else -1)
        similarity.append(best if above else 0.0)
        if not above:
            accepted.append(index)
    return nearest, similarity


def perturbed(count: int, seed: int, longest: int = 150) -> list[str]:
    rng = random.Random(seed)
    texts: list[str] = []
    while len(texts) < count:
        if texts and rng.random() < 0.6:
            words = rng.choice(texts).split()
            for _ in range(rng.randint(0, 1 + len(words) // 2)):
                words[rng.randrange(len(words))] = f"w{rng.randrange(30)}"
        else:
            words = [f"w{min(rng.randrange(60), rng.randrange(60))}" for _ in range(rng.randint(1, longest))]
        texts.append(" ".join(words))
    return texts


@given(TEXTS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_pair_scores_as_rouge_score_does(texts: list[str], stemmer: bool) -> None:
    for a in texts:
        for b in texts:
            assert rouge_l(a, b, stemmer=stemmer) == reference(a, b, stemmer)


@given(TEXTS, THRESHOLD, st.booleans())
@settings(max_examples=100, deadline=None)
def test_both_paths_accept_and_reject_as_rouge_score_does(texts: list[str], threshold: float, stemmer: bool) -> None:
    expected = reference_pass(texts, threshold, stemmer)
    for compiled in (False, True):
        result = novelty_pass(texts, threshold, stemmer=stemmer, compiled=compiled)
        assert (result.nearest, result.similarity) == expected


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9])
def test_long_texts_are_decided_as_rouge_score_does(threshold: float) -> None:
    texts = perturbed(40, seed=3)
    expected = reference_pass(texts, threshold)
    for compiled in (False, True):
        result = novelty_pass(texts, threshold, compiled=compiled)
        assert (result.nearest, result.similarity) == expected


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.55, 0.7, 0.85, 1.0])
def test_the_compiled_pass_equals_the_plain_pass(threshold: float) -> None:
    texts = perturbed(600, seed=8, longest=100)
    assert novelty_pass(texts, threshold, compiled=True) == novelty_pass(texts, threshold, compiled=False)


@given(TEXTS, st.lists(WORD, max_size=12).map(" ".join))
@settings(max_examples=80, deadline=None)
def test_the_live_pool_gives_the_maximum_the_nearest_and_the_mean(pool: list[str], text: str) -> None:
    novelty = Novelty(0.7)
    for index, member in enumerate(pool):
        assert novelty.add(member) == index
    scores = [reference(member, text) for member in pool]
    ranked = sorted(((s, i) for i, s in enumerate(scores) if s > 0), key=lambda pair: (-pair[0], pair[1]))
    assert novelty.check(text) == (ranked[0] if ranked else (0.0, -1))
    assert novelty.nearest(text, 3) == ranked[:3]
    assert novelty.mean(text) == pytest.approx(sum(scores) / len(scores) if scores else 0.0, abs=1e-12)
    assert novelty.is_novel(text) == (max(scores, default=0.0) <= 0.7)
    assert len(novelty) == len(pool)


def test_equality_with_the_threshold_is_novel() -> None:
    # 7 of 10 tokens in order on both sides: F = 0.7 up to rouge_score's own rounding
    a, b = "a b c d e f g h i j", "a b c d e f g x y z"
    novelty = Novelty(rouge_l(a, b))
    novelty.add(a)
    assert novelty.is_novel(b)


def test_the_least_lcs_is_where_the_decision_turns() -> None:
    for a in range(1, 40):
        for b in range(1, 40):
            least = least_lcs(0.7, a, b)
            assert not any(rouge_f(k, a, b) > 0.7 for k in range(min(least, min(a, b) + 1)))
            assert all(rouge_f(k, a, b) > 0.7 for k in range(least, min(a, b) + 1))


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        Novelty(1.5)
