from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.errors import InputError, UsageError
from tilth.select.embed import unit_rows
from tilth.select.subset import balanced, bins, facility_location, k_center, quotas_of, score_first


def random_rows(count: int, width: int = 4, seed: int = 0) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).standard_normal((count, width)))


def coverage(rows: np.ndarray, chosen: tuple[int, ...] | list[int]) -> float:
    return float(np.maximum(rows @ rows[list(chosen)].T, 0).max(axis=1).sum())


def radius(rows: np.ndarray, chosen: tuple[int, ...] | list[int]) -> float:
    return float(np.sqrt(np.maximum(0, 2 - 2 * (rows @ rows[list(chosen)].T).max(axis=1))).max())


def test_k_center_is_within_twice_the_best_radius() -> None:
    rows = random_rows(12)
    best = min(radius(rows, chosen) for chosen in combinations(range(12), 3))
    assert radius(rows, k_center(rows, 3)) <= 2 * best + 1e-6
    assert k_center(rows, 3) == k_center(rows, 5)[:3]
    assert sorted(k_center(rows, 99)) == list(range(12))


def test_lazy_facility_location_equals_the_plain_greedy_choice_and_its_bound() -> None:
    rows = random_rows(14, seed=1)
    chosen: list[int] = []
    for _ in range(4):
        rest = [i for i in range(14) if i not in chosen]
        chosen.append(max(rest, key=lambda i: (round(coverage(rows, [*chosen, i]), 4), -i)))
    found = facility_location(rows, 4)
    assert coverage(rows, found) == pytest.approx(coverage(rows, chosen), rel=1e-4)
    best = max(coverage(rows, c) for c in combinations(range(14), 4))
    assert coverage(rows, found) >= (1 - np.exp(-1)) * best


def test_score_first_takes_the_best_and_leaves_out_what_is_near_them() -> None:
    rows = unit_rows([[1, 0], [1, 0.01], [0, 1], [1, 1]])
    assert score_first([3, 2.9, 1, 2], rows, 3, most=0.9) == [0, 3, 2]
    assert score_first([3, 2.9, 1, 2], rows, 4, most=0.5) == [0, 2]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(0, 5))
def test_quotas_are_met_exactly_and_by_seed(labels: list[str], seed: int) -> None:
    quotas = quotas_of(labels)
    chosen = balanced(labels, quotas, seed=seed)
    assert chosen == balanced(labels, quotas, seed=seed)
    least = min(labels.count(x) for x in set(labels))
    assert {x: sum(labels[i] == x for i in chosen) for x in set(labels)} == dict.fromkeys(set(labels), least)


def test_quotas_that_cannot_be_met_are_refused() -> None:
    assert quotas_of(["a", "a", "b"], {"a": 2}) == {"a": 2}
    assert balanced(["a", "a", "b"], {"a": 1}, priority=[0, 5, 9]) == [1]
    with pytest.raises(InputError, match="2 rows of 'b' are asked for, there are 1"):
        quotas_of(["a", "a", "b"], 2)
    with pytest.raises(UsageError, match="at most"):
        facility_location(np.zeros((20_001, 1), dtype=np.float32), 3)


def test_ranges_of_a_number_hold_equally_many() -> None:
    labels = bins(list(range(100)), 4)
    assert sorted(labels.count(x) for x in set(labels)) == [25, 25, 25, 25]
    assert len(set(bins([1, 1, 1, 1], 4))) == 1
