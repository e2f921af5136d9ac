"""The forest finds a planted rule, ignores noise, and its out-of-bag figures agree with fresh data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.select.forest import auc, grow


def planted(n: int, seed: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 12))
    y = (x[:, 3] > 0) ^ ((x[:, 5] > 0.5) & (x[:, 3] > -1))
    return x, y ^ (rng.random(n) < noise)


def test_a_planted_rule_is_found_and_out_of_bag_agrees_with_fresh_data() -> None:
    x, y = planted(600, 0)
    forest = grow(x, y, trees=40)
    fresh_x, fresh_y = planted(600, 1)
    fresh = auc(forest.predict(fresh_x), fresh_y)
    assert fresh > 0.93 and abs(auc(forest.out_of_bag, y) - fresh) < 0.04


def test_labels_that_are_coin_flips_cannot_be_learnt() -> None:
    x, _ = planted(400, 2)
    y = np.random.default_rng(3).random(400) < 0.5
    assert abs(auc(grow(x, y, trees=30).out_of_bag, y) - 0.5) < 0.12


def test_the_same_seed_grows_the_same_forest() -> None:
    x, y = planted(200, 4, noise=0.1)
    one, two = grow(x, y, trees=5, seed=7), grow(x, y, trees=5, seed=7)
    assert (one.predict(x) == two.predict(x)).all() and (grow(x, y, trees=5, seed=8).predict(x) != one.predict(x)).any()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auc_is_the_share_of_pairs_in_order_with_ties_as_halves(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    yes, no = scores[labels], scores[~labels]
    found = auc(scores, labels)
    if not len(yes) or not len(no):
        assert np.isnan(found)
        return
    share = np.mean([(a > b) + 0.5 * (a == b) for a in yes for b in no])
    assert found == pytest.approx(share)


def test_one_class_gives_one_leaf() -> None:
    x = np.zeros((10, 2))
    assert (grow(x, np.ones(10, bool), trees=3).predict(x) == 1).all()
