from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.errors import InputError
from tilth.evaluate import compare, pass_at_k, read_results, score_rows, write_results
from tilth.models.base import ModelError, Reply, Request
from tilth.models.nano import Nano
from tilth.rows.verdict import Verdict
from tilth.theory import clopper_pearson, mcnemar, wilson
from tilth.worlds import STORY
from tilth.worlds.arithmetic import SUBTRACTION

ROWS = STORY.problems(40, 21, **SUBTRACTION)


class Scripted:
    """Right on draw 0 of even rows, wrong else; fails on prompts that ask it to."""

    identity, name, local = "scripted", "scripted", True

    async def send(self, request: Request) -> Sequence[Reply]:
        if "fail" in request.text:
            raise ModelError("asked to fail")
        right = ROWS.index(dict(request.row)) % 2 == 0 if dict(request.row) in ROWS else False
        answer = request.row["answer"]
        return [Reply(f"#### {answer if right and i == 0 else int(answer) + 1}") for i in range(request.n)]

    async def close(self) -> None:
        return None


counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(counts, st.integers(1, 5))
def test_pass_at_k_is_the_share_of_k_subsets_with_a_right_one(count: tuple[int, int], k: int) -> None:
    n, c = count
    if k > n:
        with pytest.raises(ValueError, match="pass@"):
            pass_at_k(n, c, k)
        return
    assert pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)
    if n <= 8:
        subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@given(counts, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_intervals_agree_with_scipy(count: tuple[int, int], level: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    n, c = count
    for ours, method in ((clopper_pearson(c, n, level), "exact"), (wilson(c, n, level), "wilson")):
        theirs = stats.binomtest(c, n).proportion_ci(level, method)
        assert (ours.lo, ours.hi) == pytest.approx((theirs.low, theirs.high), abs=1e-8)
        assert 0 <= ours.lo <= ours.value <= ours.hi <= 1


def test_exact_intervals_hold_for_large_counts_and_none() -> None:
    stats = pytest.importorskip("scipy.stats")
    for hits, trials in ((0, 10_000), (1, 100_000), (54_321, 100_000), (99_999, 100_000)):
        theirs = stats.binomtest(hits, trials).proportion_ci()
        ours = clopper_pearson(hits, trials)
        assert (ours.lo, ours.hi) == pytest.approx((theirs.low, theirs.high), abs=1e-7)
    assert (clopper_pearson(0, 0).lo, clopper_pearson(0, 0).hi) == (0.0, 1.0)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_binomial_test(a: int, b: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = 1.0 if a + b == 0 else stats.binomtest(a, a + b).pvalue
    assert mcnemar(a, b) == pytest.approx(expected, abs=1e-9)


def test_a_paired_comparison_is_narrower_than_its_parts() -> None:
    a = [True] * 100 + [False] * 100
    b = [True] * 120 + [False] * 80
    paired = compare(a, b)
    assert paired.delta == pytest.approx(0.1) and (paired.only_a, paired.only_b) == (0, 20)
    assert 0.05 < paired.lo < 0.1 < paired.hi < 0.15 and paired.p == mcnemar(0, 20) < 1e-5
    assert compare(a, a).delta == 0 and compare(a, a).p == 1.0
    assert compare(b, a).delta == -paired.delta


def test_runs_of_several_seeds_are_averaged_by_problem() -> None:
    a = [[1, 0, 0, 1] * 50, [0, 0, 1, 1] * 50]
    b = [[1, 1, 0, 1] * 50, [1, 0, 1, 1] * 50]
    paired = compare(a, b)
    assert paired.delta == pytest.approx(0.25) and paired.problems == 200 and paired.p < 0.01
    with pytest.raises(InputError, match="199 on the other"):
        compare(a, [row[:199] for row in b])


def test_paired_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    import numpy as np

    rng, hits = np.random.default_rng(5), 0
    for i in range(200):
        skill = rng.random(150)
        a, b = rng.random(150) < skill * 0.5, rng.random(150) < skill * 0.7
        paired = compare(a, b, draws=400, seed=i)
        hits += paired.lo <= 0.1 <= paired.hi
    assert 0.90 <= hits / 200 <= 0.99


def test_scores_count_right_unknown_and_failed_and_keep_every_row(tmp_path: Path) -> None:
    rows = [*ROWS, {"prompt": "please fail", "answer": "1"}]
    scores = asyncio.run(score_rows(Scripted(), rows, samples=4))
    summary = write_results(tmp_path, scores)
    assert summary["rows"] == 41 and summary["failed"] == 1
    assert summary["outcomes"] == {"pass": 20, "fail": 140, "unknown": 0}
    assert scores.pass_at(4) == pytest.approx(20 / 41) and scores.pass_at(1) == pytest.approx(20 / 4 / 41)
    back = read_results(tmp_path)
    assert back == scores.results and len(back) == 41 and back[-1].error == "asked to fail"
    assert json.loads((tmp_path / "summary.json").read_text())["accuracy"]["value"] == pytest.approx(20 / 4 / 41)


def test_an_unknown_verdict_is_not_right() -> None:
    unsure = lambda text, row: Verdict("math", "unknown")  # noqa: E731
    scores = asyncio.run(score_rows(Scripted(), ROWS, check=unsure))
    assert scores.accuracy.value == 0.0 and scores.summary()["outcomes"]["unknown"] == 40


@pytest.mark.parametrize(("row", "hint"), [({"prompt": "x"}, "'answer'"), ({"answer": "1"}, "'prompt'")])
def test_a_row_without_prompt_or_answer_is_named(row: dict[str, str], hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        asyncio.run(score_rows(Scripted(), [ROWS[0], row]))
    with pytest.raises(InputError, match="no rows"):
        asyncio.run(score_rows(Scripted(), []))


def test_the_embedded_model_is_imperfect_in_the_promised_range() -> None:
    rows = STORY.problems(300, 2024, **SUBTRACTION)
    scores = asyncio.run(score_rows(Nano(), rows, samples=4, sampling={"temperature": 0.8}))
    assert 0.55 <= scores.accuracy.value <= 0.75
    assert scores.pass_at(4) > scores.accuracy.value + 0.1
