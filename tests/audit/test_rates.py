"""Samples, labels, intervals and rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth import audit
from tilth.audit.estimate import Counts, from_counts
from tilth.errors import InputError, UsageError
from tilth.theory.intervals import beta_cdf, beta_quantile, clopper_pearson, jeffreys

KEPT = [f"k{i}" for i in range(600)]
DROPPED = [f"d{i}" for i in range(400)]


def labelled(kept_wrong: int, dropped_wrong: int, size: int = 200) -> dict[str, str]:
    """Labels for a sample with so many wrong rows on each side."""
    left = {"kept": kept_wrong, "dropped": dropped_wrong}
    found = {}
    for row in audit.sample(KEPT, DROPPED, size):
        found[row.id] = "wrong" if left[row.stratum] > 0 else "right"
        left[row.stratum] -= 1
    return found


def test_two_hundred_labels_give_the_intervals_of_the_advisor() -> None:
    found = audit.rates(labelled(8, 32), KEPT, DROPPED)
    assert (found.epsilon.value, found.rho.value) == (0.2, 0.2)
    assert (round(found.epsilon.lo, 3), round(found.epsilon.hi, 3)) == (0.147, 0.262)
    assert (round(found.rho.lo, 3), round(found.rho.hi, 3)) == (0.091, 0.356)
    assert found.phi.value == pytest.approx(0.7) and found.kept_noise.value == pytest.approx(8 / 120)
    assert found.alpha.value == 0.6


def test_intervals_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for hits, trials in ((0, 10), (1, 7), (40, 200), (199, 200), (5, 5), (3, 100_000)):
        mine, theirs = clopper_pearson(hits, trials), stats.binomtest(hits, trials).proportion_ci(method="exact")
        assert mine.lo == pytest.approx(theirs.low, abs=1e-10) and mine.hi == pytest.approx(theirs.high, abs=1e-10)
        lo, hi = stats.beta.ppf([0.025, 0.975], hits + 0.5, trials - hits + 0.5)
        found = jeffreys(hits, trials)
        assert found.lo == pytest.approx(lo if hits else 0, abs=1e-10)
        assert found.hi == pytest.approx(hi if hits < trials else 1, abs=1e-10)


@given(st.floats(0.3, 500), st.floats(0.3, 500), st.floats(0.001, 0.999))
@settings(max_examples=60, deadline=None)
def test_the_beta_quantile_inverts_the_beta_law(a: float, b: float, q: float) -> None:
    x = beta_quantile(q, a, b)
    assert beta_cdf(max(x - 1e-11, 0), a, b) <= q + 1e-9 and beta_cdf(min(x + 1e-11, 1), a, b) >= q - 1e-9


def test_a_sample_is_the_same_for_the_same_seed_whatever_the_order() -> None:
    a = audit.sample(KEPT, DROPPED, 100, seed=3)
    assert a == audit.sample(KEPT[::-1], DROPPED[::-1], 100, seed=3)
    assert a != audit.sample(KEPT, DROPPED, 100, seed=4)
    assert {r.id for r in a} < {r.id for r in audit.sample(KEPT, DROPPED, 200, seed=3)}
    assert sum(r.stratum == "kept" for r in a) == 60


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 700))
@settings(max_examples=100, deadline=None)
def test_a_sample_has_the_asked_size_and_forgets_neither_side(kept: int, dropped: int, size: int) -> None:
    if kept + dropped == 0:
        return
    found = audit.sample([f"k{i}" for i in range(kept)], [f"d{i}" for i in range(dropped)], size)
    assert len(found) == len({r.id for r in found}) == min(size, kept + dropped)
    if min(kept, dropped) > 0 and size >= 2:
        assert {r.stratum for r in found} == {"kept", "dropped"}


def test_unsure_counts_as_neither_and_foreign_labels_are_left_out() -> None:
    labels = labelled(8, 32)
    some = [i for i, w in labels.items() if w == "right" and i in KEPT][:20]
    found = audit.rates({**labels, **dict.fromkeys(some, "unsure"), "elsewhere": "wrong"}, KEPT, DROPPED)
    assert (found.counts.unsure, found.counts.foreign, found.counts.labelled) == (20, 1, 180)
    assert found.kept_noise.value == pytest.approx(8 / 100)
    assert any("unsure" in n for n in found.notes) and any("does not have" in n for n in found.notes)


def test_a_lopsided_sample_is_weighted_by_the_runs_keep_rate() -> None:
    counts = Counts(kept=900, dropped=100, kept_right=90, kept_wrong=10, dropped_right=20, dropped_wrong=80)
    found = from_counts(counts)
    assert found.epsilon.value == pytest.approx(0.9 * 0.1 + 0.1 * 0.8)
    assert found.rho.value == pytest.approx(0.09 / 0.17) and found.phi.value == pytest.approx(0.81 / 0.83)
    assert found.epsilon.lo < 0.17 < found.epsilon.hi < 0.25
    assert "Jeffreys" in found.method


@given(*[st.integers(0, 60)] * 4, st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_every_count_gives_rates_with_intervals_around_them(
    kr: int, kw: int, dr: int, dw: int, more_kept: int, more_dropped: int
) -> None:
    if kr + kw + dr + dw == 0:
        return
    found = from_counts(Counts(kr + kw + 50 * more_kept, dr + dw + 50 * more_dropped, kr, kw, dr, dw))
    for interval in (found.epsilon, found.rho, found.phi, found.kept_noise, found.alpha):
        assert 0 <= interval.lo <= interval.value <= interval.hi <= 1


def test_jeffreys_draws_cover_the_true_rates() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(150):
        wrong = rng.random(1000) < 0.3
        kept = rng.random(1000) < np.where(wrong, 0.25, 0.85)
        ids = np.array([str(i) for i in range(1000)])
        rows = audit.sample(ids[kept], ids[~kept], 200)
        found = audit.rates({r.id: "wrong" if wrong[int(r.id)] else "right" for r in rows}, ids[kept], ids[~kept])
        lo, hi = np.quantile(found.draws(500).kept_noise, [0.025, 0.975])
        inside.append([lo <= wrong[kept].mean() <= hi, found.epsilon.lo <= wrong.mean() <= found.epsilon.hi])
    assert (np.mean(inside, axis=0) > 0.9).all()


def test_labels_are_appended_and_the_last_word_of_each_annotator_counts(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    audit.add_label(path, "a", "right", "ann")
    path.write_bytes(path.read_bytes() + b'{"id": "half')
    with pytest.raises(InputError, match="line 2"):
        audit.read_labels(path)
    path.write_bytes(path.read_bytes().rsplit(b"\n", 1)[0])
    audit.add_label(path, "a", "wrong", "ann")
    audit.add_label(path, "a", "wrong", "bob")
    audit.add_label(path, "b", "right", "ann")
    audit.add_label(path, "b", "wrong", "bob")
    assert len(audit.read_labels(path)) == 5
    assert audit.consensus(audit.read_labels(path)) == {"a": "wrong", "b": "unsure"}
    assert all(label.at for label in audit.read_labels(path))


def test_kappa_is_cohens() -> None:
    words = [("right", "right")] * 20 + [("right", "wrong")] * 5 + [("wrong", "right")] * 10 + [("wrong", "wrong")] * 15
    labels = [audit.Label(str(i), w, a) for i, pair in enumerate(words) for a, w in zip("xy", pair, strict=True)]
    found = audit.agreement(labels)
    assert found is not None and found.kappa == pytest.approx(0.4) and found.observed == pytest.approx(0.7)
    assert audit.agreement(labels[:1]) is None


def test_bad_labels_are_one_message(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "a", "label": null}\n{"id": "a", "label": "rigth"}\n')
    with pytest.raises(InputError, match="did you mean 'right'") as caught:
        audit.read_labels(path)
    assert "line 2" in caught.value.where
    with pytest.raises(InputError, match="no labels"):
        audit.rates({}, KEPT, DROPPED)
    with pytest.raises(InputError, match="unsure"):
        audit.rates({"k1": "unsure"}, KEPT, DROPPED)
    with pytest.raises(InputError, match="both"):
        audit.sample(KEPT, KEPT)
    with pytest.raises(UsageError):
        audit.sample(KEPT, DROPPED, 0)
