"""rlhf-pairs: the majority of noisy raters is as often right as the binomial says; dress alone makes no pair."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.align.rlhf_pairs import tally

RLHF = load_recipe("rlhf-pairs")
PROMPTS = [{"prompt": f"question {n}"} for n in range(5)]


def shown(request: Request) -> list[tuple[str, str]]:
    return re.findall(r"^Answer ([A-Z]):\n.*\n(.*)\n", request.text, re.M)


def rater(noise: float = 0.0, per_word: float = 0.0) -> Any:
    """Scores the worth that an answer names; at the rate `noise` one at random; each word may add to it."""

    def judge(request: Request, draw: int) -> str:
        scores = {}
        for letter, text in shown(request):
            worth = int(re.search(r"worth (\d)", text.lower())[1]) + per_word * len(text.split())  # type: ignore[index]
            luck = hash_uniform("noise", request.text, letter, draw)
            scores[letter] = 1 + int(luck / noise * 7) if luck < noise else max(1, min(7, round(worth)))
        return json.dumps(scores)

    return judge


def both(judge: Any = None, texts: Any = None) -> Any:
    def answer(request: Request, draw: int) -> str:
        if request.role == "judge":
            return (judge or rater())(request, draw)
        warm = request.sampling["temperature"]
        return (
            texts[round(warm * 10)] if texts else f"{request.text}: an answer worth {1 + (int(warm * 10) + draw) % 7}"
        )

    return answer


def run(answer: Any = None, rows: Any = PROMPTS, **settings: Any) -> Any:
    return run_recipe(RLHF, rows, FunctionModel(answer or both()), **settings)


def worth(text: str) -> int:
    return int(re.search(r"worth (\d)", text)[1])  # type: ignore[index]


def test_agreeing_raters_make_all_pairs_in_one_group() -> None:
    found = run(k=4, temperatures="0.1,0.3,0.5,0.7")
    assert len(found.kept) == 6 * 5
    groups = defaultdict(list)
    for row in found.kept:
        groups[row["group"]].append(row)
        assert worth(row["chosen"]) > worth(row["rejected"]) and row["agreement"] == 1
        assert row["margin"] == worth(row["chosen"]) - worth(row["rejected"])
    assert all(
        sum(r["weight"] for r in g) == pytest.approx(6 / 3) and len({r["split"] for r in g}) == 1
        for g in groups.values()
    )


@pytest.mark.parametrize(
    ("votes", "reason", "share", "sign"),
    [
        ([1, 1, 1], None, 1, 1), ([1, 1, -1], None, 2 / 3, 1), ([-1, -1, 0], None, 2 / 3, -1), ([1, 0, 0], None, 1 / 3, 1),
        ([1, -1, 0], "agreement:unknown:tie", 1 / 3, 0),
        ([0, 0], "agreement:unknown:tie", 0, 0), ([], "agreement:unknown:unparsed", None, 0),
    ],
)  # fmt: skip
def test_the_majority_is_the_label_and_ties_have_none(votes: list[int], reason: Any, share: Any, sign: int) -> None:
    verdict, got = tally(votes)
    assert (
        (None if verdict.passed else verdict.reason) == reason and verdict.score == pytest.approx(share) and got == sign
    )


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_labels_of_noisy_raters_are_right_as_often_as_two_scores_of_which_some_are_random(noise: float) -> None:
    texts = {7: "one answer worth 6", 10: "another answer worth 2"}
    rows = [{"prompt": f"p{n}"} for n in range(250)]
    found = run(both(rater(noise), texts), rows, k=2, raters=1, least_agreement=0.0)
    clean, u = 1 - noise, noise / 7
    wins = clean**2 + clean * u * 5 + u * clean * 5 + u * u * 21
    losses = clean * u * 1 + u * clean * 1 + u * u * 21
    expected, n = wins / (wins + losses), len(found.kept)
    assert abs(n - 250 * (wins + losses)) < 4 * math.sqrt(250 * (wins + losses) * (1 - wins - losses)) + 1
    right = sum(worth(r["chosen"]) == 6 for r in found.kept) / n
    assert abs(right - expected) < 4 * math.sqrt(expected * (1 - expected) / n)


def test_more_raters_are_right_more_often_and_low_agreement_is_unknown() -> None:
    texts = {7: "one answer worth 6", 10: "another answer worth 2"}
    rows = [{"prompt": f"p{n}"} for n in range(80)]

    def wrong(raters: int) -> float:
        kept = run(both(rater(0.6), texts), rows, k=2, raters=raters, least_agreement=0.0).kept
        return sum(worth(r["chosen"]) == 2 for r in kept) / len(kept)

    assert wrong(9) < wrong(1)
    strict = run(both(rater(0.6), texts), rows, k=2, raters=5, least_agreement=0.8)
    assert strict.numbers.dropped["agreement:unknown:low"] > 0 and all(r["agreement"] >= 0.8 for r in strict.kept)


def test_a_judge_who_likes_length_is_seen_where_worth_is_equal() -> None:
    texts = {7: "worth 3", 10: "it is a very long answer indeed and in the end it is worth 3"}
    kept = run(both(rater(per_word=0.2), texts), k=2).kept
    assert len(kept) == 5 and all(len(r["chosen"]) > len(r["rejected"]) for r in kept)
    assert run(both(rater(per_word=0.2), texts), k=2, length_ratio=2.0).numbers.dropped == {"pair:fail:length-ratio": 5}


def test_what_differs_in_dress_alone_is_no_pair() -> None:
    texts = {7: "Worth 3, it is!", 10: "worth 3 it is"}
    assert run(both(texts=texts), k=2).numbers.dropped == {"pair:fail:differs-in-length-only": 5}
    longer = {7: "It is worth 3.", 10: "It is worth 3. And so on."}
    assert run(both(texts=longer), k=2).numbers.dropped == {"pair:fail:differs-in-length-only": 5}


def test_a_rater_that_cannot_be_read_is_left_out() -> None:
    mute = run(both(lambda r, d: '{"A": 9, "B": 1}'), k=2, temperatures="0.1,0.3")
    assert mute.numbers.dropped == {"agreement:unknown:unparsed": 5}


def test_rlhf_pairs_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(RLHF, PROMPTS, both(), k=3).kept
