from __future__ import annotations

import numpy as np
import pytest

from tilth.errors import UsageError
from tilth.select.embed import open_embedder, unit_rows
from tilth.select.semantic import kmeans, semantic_groups


def planted(count: int, seed: int = 0) -> np.ndarray:
    """Unit rows around 20 centres; every fifth is a slightly turned copy of an earlier one."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, 32))
    rows = centres[rng.integers(0, 20, count)] + 1.2 * rng.standard_normal((count, 32))
    for i in range(5, count, 5):
        rows[i] = rows[rng.integers(0, i)] + 0.1 * rng.standard_normal(32)
    return unit_rows(rows)


def brute_force(vectors: np.ndarray, threshold: float) -> set[int]:
    """Rows with an earlier row at the threshold or above."""
    cosines = vectors @ vectors.T
    return {i for i in range(len(vectors)) if (cosines[i, :i] >= threshold - 1e-6).any()}


def dropped(survivor: list[int]) -> set[int]:
    return {i for i, held in enumerate(survivor) if held != i}


def test_one_cluster_finds_what_comparing_all_pairs_finds() -> None:
    vectors = planted(3_000)
    found = semantic_groups(vectors, 0.95)
    assert dropped(found.survivor) == brute_force(vectors, 0.95)
    assert found.report["missed"]["bound"] == 0.0
    for i in dropped(found.survivor):
        assert found.similarity[i] == pytest.approx(float(vectors[i] @ vectors[found.nearest[i]]), abs=1e-5)
        assert found.survivor[found.survivor[i]] == found.survivor[i]


def test_clusters_miss_little_never_err_and_say_what_they_miss() -> None:
    vectors = planted(3_000)
    truth = brute_force(vectors, 0.95)
    one, two = (semantic_groups(vectors, 0.95, clusters=40, probes=p) for p in (1, 2))
    for found in (one, two):
        assert dropped(found.survivor) <= truth
        missed = found.report["missed"]
        assert missed["share_of_rows_upper_95"] >= len(truth - dropped(found.survivor)) / len(vectors) * 0.5
        assert 0 <= missed["proven_safe"] <= 1
    assert len(dropped(two.survivor)) >= len(dropped(one.survivor))
    assert len(dropped(two.survivor)) >= 0.97 * len(truth)


def test_well_parted_clusters_are_proven_safe() -> None:
    rng = np.random.default_rng(1)
    rows = unit_rows(np.eye(8)[rng.integers(0, 8, 2_000)] * 10 + 0.1 * rng.standard_normal((2_000, 8)))
    report = semantic_groups(rows, 0.99, clusters=8, probes=1).report
    assert report["missed"]["recall"] == 1.0
    assert report["missed"]["proven_safe"] == 1.0


def test_hard_and_easy_rules_keep_the_far_and_the_near_one() -> None:
    centre = np.array([[1.0, 0.0, 0.0]] * 50)
    rows = unit_rows(np.vstack([centre, [[1, 0.5, 0]], [[1, 0.52, 0]]]))
    hard, easy = (semantic_groups(rows, 0.9999, keep=rule).survivor for rule in ("hard", "easy"))
    assert len(set(hard)) == len(set(easy)) == 3
    both = semantic_groups(rows[50:], 0.999, keep="hard").survivor, semantic_groups(rows, 0.999, keep="easy").survivor
    assert both[1][50:] == [50, 50]
    assert semantic_groups(rows, 0.999, keep="hard").survivor[50:] == [51, 51]


def test_a_pool_stays_and_rows_without_content_are_no_duplicates() -> None:
    rows = unit_rows([[1, 0], [1, 0], [1, 0], [0, 0], [0, 0]])
    assert semantic_groups(rows, 0.95, pool=2).survivor == [0, 1, 1, 3, 4] or semantic_groups(
        rows, 0.95, pool=2
    ).survivor == [0, 1, 0, 3, 4]
    assert semantic_groups(rows, 0.95, priority=np.array([0.0, 2.0, 1.0, 0, 0])).survivor == [1, 1, 1, 3, 4]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="threshold"):
        semantic_groups(planted(10), 1.5)
    with pytest.raises(UsageError, match="no rule"):
        semantic_groups(planted(10), 0.9, keep="best")
    with pytest.raises(UsageError, match="no embedder"):
        open_embedder("minlm")


def test_kmeans_finds_parted_centres() -> None:
    rng = np.random.default_rng(2)
    rows = unit_rows(np.eye(5)[rng.integers(0, 5, 500)] * 5 + 0.05 * rng.standard_normal((500, 5)))
    centres = kmeans(rows, 5, seed=3)
    assert centres.shape == (5, 5)
    assert np.allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)


def test_hashed_embeddings_are_near_for_texts_of_the_same_words_and_far_for_others() -> None:
    texts = ["the cat sat on the mat", "on the mat sat the cat", "a dog runs in a park", "", "stocks fell on monday"]
    vectors = open_embedder("hashed").embed(texts)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.7
    assert cosines[0, 2] < 0.3
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 0, 1], atol=1e-5)
    assert np.array_equal(vectors, open_embedder("hashed").embed(texts))
    assert open_embedder("hashed").embed([]).shape[0] == 0
