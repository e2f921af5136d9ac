from __future__ import annotations

import gzip
import json
import random

import pytest

from tilth.verify.agreement import semantic_entropy
from tilth.verify.votes import compare, dawid_skene, kappa, learn_then_test, log_odds, scores, vote


def load(path):
    with gzip.open(path, "rt") as file:
        return json.load(file)


@pytest.fixture
def pandalm(data_dir):
    people = load(data_dir / "pandalm" / "testset-v1.json.gz")
    said = {str(r["idx"]): r["gpt_result"] for r in load(data_dir / "pandalm" / "gpt-3.5-turbo-testset-v1.json.gz")}
    columns = [[str(r[f"annotator{n}"]) for r in people] for n in (1, 2, 3)]
    return columns, [{"Tie": "0"}.get(s := str(said[str(r["idx"])]), s) for r in people]


def test_pandalm_annotators_agree_as_published(pandalm):
    (a, b, c), _ = pandalm
    assert sorted(round(kappa(x, y), 3) for x, y in ((a, b), (a, c), (b, c))) == [0.852, 0.862, 0.879]


def test_pandalm_judge_scores_as_published_only_when_unparseable_outputs_are_ties(pandalm):
    people, said = pandalm
    truth = [max("012", key=[x, y, z].count) for x, y, z in zip(*people, strict=True)]
    unread = [s not in ("0", "1", "2") for s in said]
    assert sum(unread) == 25
    ties = scores(truth, ["0" if bad else s for s, bad in zip(said, unread, strict=True)])
    assert {k: round(v, 4) for k, v in ties.items()} == {
        "accuracy": 0.7107, "precision": 0.5879, "recall": 0.5736, "f1": 0.5755,
    }  # fmt: skip
    wrong = scores(truth, [None if bad else s for s, bad in zip(said, unread, strict=True)])
    assert round(wrong["accuracy"], 4) == 0.6977


def planted(accuracies, items=600, kinds=3, seed=0):
    rng = random.Random(seed)
    truth = [rng.randrange(kinds) for _ in range(items)]
    other = lambda t: rng.choice([k for k in range(kinds) if k != t])  # noqa: E731
    return truth, [[t if rng.random() < a else other(t) for a in accuracies] for t in truth]


def test_dawid_skene_finds_planted_accuracies_and_beats_the_vote():
    truth, table = planted((0.9, 0.6, 0.6, 0.55))
    model = dawid_skene(table)
    assert [round(a, 1) for a in model.accuracies] == pytest.approx([0.9, 0.6, 0.6, 0.55], abs=0.1)
    found = compare(table, dict(enumerate(truth)))
    assert found["dawid-skene"] > found["vote"]
    assert found["weighted vote"] >= found["vote"]


def test_joining_weak_judges_is_shown_beside_the_best_single_one():
    truth, table = planted((0.95, 0.4, 0.4, 0.4))
    found = compare(table, dict(enumerate(truth)))
    assert found["best single judge"] > found["vote"]


def test_a_tie_or_silence_is_no_vote():
    assert vote([["a", "b"], ["a", None], [None, None], ["a", "b", "b"]][:3]) == [None, "a", None]
    assert vote([["a", "b"]], [2.0, 1.0]) == ["a"]
    assert log_odds(0.5) == pytest.approx(0)


def test_kappa_of_chance_is_zero_and_of_agreement_one():
    assert kappa([1, 1, 2, 2], [1, 2, 1, 2]) == 0
    assert kappa([1, 2, 1], [1, 2, 1]) == 1


def test_the_published_entropy_threshold_is_four_clusters():
    assert round(semantic_entropy([4, 4, 1, 1]), 3) == 1.194
    assert semantic_entropy([4, 4, 1, 1]) > 1.193 > semantic_entropy([5, 3, 1, 1])


def test_a_promised_error_rate_is_kept():
    kept = 0
    for seed in range(60):
        rng = random.Random(seed)
        draw = [(s, rng.random() < s) for s in (rng.random() for _ in range(400))]
        threshold = learn_then_test([s for s, _ in draw], [r for _, r in draw], alpha=0.2)
        if threshold is None:
            kept += 1
            continue
        kept += (1 - threshold) / 2 <= 0.2  # the true error above a threshold t is (1 - t) / 2
    assert kept >= 60 * 0.85
    assert learn_then_test([0.9, 0.8], [True, True], alpha=0.1) is None


def test_many_labels_bring_the_threshold_close_to_the_rate_that_is_tolerated():
    rng = random.Random(1)
    draw = [(s, rng.random() < s) for s in (rng.random() for _ in range(20_000))]
    threshold = learn_then_test([s for s, _ in draw], [r for _, r in draw], alpha=0.2)
    assert threshold == pytest.approx(0.6, abs=0.03)
    assert learn_then_test([1.0] * 50 + [0.0] * 50, [True] * 50 + [False] * 50, alpha=0.1) == 1.0
