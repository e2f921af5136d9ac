from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu

from tilth.errors import InputError, UsageError
from tilth.rows.lineage import Lineage
from tilth.select import measure, mix, self_bleu, vendi
from tilth.select.monitor import embedding_spread, grid_coverage, lineage_depth, tail_loss
from tilth.select.words import words

TEXTS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=9).map(" ".join), min_size=2, max_size=9)


def nltk_self_bleu(texts: list[str]) -> float:
    tokens = [words(text) for text in texts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = [sentence_bleu(tokens[:i] + tokens[i + 1 :], tokens[i]) for i in range(len(tokens))]
    return sum(scores) / len(scores)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_self_bleu_is_nltks(texts: list[str]) -> None:
    assert self_bleu(texts) == pytest.approx(nltk_self_bleu(texts), abs=1e-9)


def test_figures_of_a_small_set_are_those_by_hand() -> None:
    found = measure(["Write a poem", "Write a poem!", "List three rivers", ""])
    assert found["rows"] == 4
    assert found["empty"] == 1
    assert found["words"] == {"total": 9, "mean": 2.25, "min": 0, "median": 3.0, "max": 3}
    assert found["vocabulary"] == 6
    assert found["distinct"] == {"1": 6 / 9, "2": 4 / 6, "3": 2 / 3, "4": 0.0}
    assert found["exact_duplicates"] == 0.0
    assert found["near_duplicates"] == 0.25
    assert found["openings"] == [{"opening": "write poem", "rows": 2}, {"opening": "list three", "rows": 1}]
    assert found["entropy_bits"]["3"] == pytest.approx(-(2 / 3) * np.log2(2 / 3) - (1 / 3) * np.log2(1 / 3))
    json.dumps(found)


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["one"], ["\ud800 x"]])
def test_degenerate_sets_have_figures_too(texts: list[str]) -> None:
    found = measure(texts)
    assert found["rows"] == len(texts)
    assert all(np.isfinite(value) for value in found.values() if isinstance(value, float))


def test_vendi_counts_effectively_distinct_texts() -> None:
    different = [f"alpha{i} beta{i} gamma{i}" for i in range(20)]
    assert vendi(["same words here"] * 20 + ["something else entirely"] * 20) == pytest.approx(2, abs=0.2)
    assert 17 < vendi(different) <= 20.000001
    assert vendi(different * 3) == pytest.approx(vendi(different), rel=0.05)


def test_a_mix_has_the_share_asked_for_and_repeats_by_seed() -> None:
    drawn = mix(100, 1_000, share="0.2", seed=3)
    assert (drawn.real, drawn.synthetic) == (100, 25)
    assert drawn == mix(100, 1_000, share=0.2, seed=3)
    assert drawn != mix(100, 1_000, share=0.2, seed=4)
    assert len(set(drawn.order)) == 125
    whole = mix(3, 5)
    assert (whole.real, whole.synthetic) == (3, 5)
    assert (mix(10, 10, share=0).synthetic, mix(10, 10, share=1, rows=4).real) == (0, 0)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 20))
def test_the_largest_mix_never_asks_for_more_than_there_is(real: int, synthetic: int, twentieths: int) -> None:
    drawn = mix(real, synthetic, share=twentieths / 20)
    assert drawn.real <= real
    assert drawn.synthetic <= synthetic


def test_too_few_rows_for_a_mix_are_named() -> None:
    with pytest.raises(InputError, match="needs 50 synthetic rows, the source has 10"):
        mix(100, 10, share=0.5, rows=100)
    with pytest.raises(UsageError, match="between 0 and 1"):
        mix(1, 1, share=2)


def test_a_grid_names_its_empty_cells() -> None:
    rows = [{"topic": "sea", "level": 1}, {"topic": "sea", "level": 2}, {"topic": "sky", "level": 1}]
    found = grid_coverage(rows, ["topic", "level"])
    assert (found["cells"], found["filled"], found["empty"]) == (4, 3, [["sky", "2"]])
    assert found["evenness"] == pytest.approx(np.log(3) / np.log(4))
    with pytest.raises(InputError, match="did you mean 'topic'"):
        grid_coverage(rows, ["topc"])


def test_depth_counts_generations_through_parents() -> None:
    lines = [
        Lineage("s", seeds=("s",)),
        Lineage("a", ("s",), ("s",), "m", round=1),
        Lineage("b", ("a", "s"), ("s",), "m", round=2),
        Lineage("c", ("gone",), ("t",), "m", round=1),
    ]
    found = lineage_depth(lines)
    assert found["depth"] == {"0": 1, "1": 2, "2": 1}
    assert (found["max"], found["mean"], found["seeds"]) == (2, 1.0, 2)


def test_a_smaller_round_of_the_same_kind_loses_nothing_and_a_collapsed_one_loses_its_tail() -> None:
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 2_001)
    share /= share.sum()

    def texts(count: int, keep: int) -> list[str]:
        p = share[:keep] / share[:keep].sum()
        return [" ".join(f"w{i}" for i in rng.choice(keep, 20, p=p)) for _ in range(count)]

    before = texts(2_000, 2_000)
    same, collapsed = tail_loss(before, texts(500, 2_000)), tail_loss(before, texts(2_000, 300))
    assert same["tail"]["loss"] < 0.03
    assert same["head"]["loss"] == pytest.approx(0, abs=0.01)
    assert collapsed["tail"]["loss"] > 0.8
    assert collapsed["head"]["loss"] < 0.01
    assert collapsed["entropy_bits"]["after"] < collapsed["entropy_bits"]["before"]


def test_spread_is_the_mean_distance_of_all_pairs() -> None:
    rows = np.random.default_rng(1).standard_normal((40, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (rows @ rows.T)[np.triu_indices(40, 1)]
    assert embedding_spread(rows)["mean_distance"] == pytest.approx(1 - cosines.mean(), abs=1e-9)
    assert embedding_spread(np.eye(6))["effective_rank"] == pytest.approx(6)
    assert embedding_spread(np.ones((9, 1)))["effective_rank"] == pytest.approx(1)
