"""starling-ranking: only permutations are rankings, joined rankings lose the order shown, Plackett-Luce is recovered."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine import run_recipe
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe
from tilth.recipes.align.ranking import joined, kendall_tau, plackett_luce, plackett_luce_loss, read_ranking

STARLING = load_recipe("starling-ranking")
PROMPTS = [{"prompt": f"question {n}"} for n in range(6)]


def shown(request: Request) -> list[tuple[str, int]]:
    """Letters and worths of the answers in the order shown."""
    return [(a, int(w)) for a, w in re.findall(r"^Answer ([A-Z]):\n.*\n.*worth (\d+)", request.text, re.M)]


def answer(request: Request, draw: int) -> str:
    if request.role != "judge":
        number = int(request.role.removeprefix("generator") or 1)
        return f"{request.text}, worth {(number * 5 + draw) % 23}"
    best_first = [letter for letter, _ in sorted(shown(request), key=lambda s: -s[1])]
    return f"Compared them.\nRanking: {' > '.join(best_first)}"


def run(answers: Any = answer, rows: Any = PROMPTS, roles: int = 1, **settings: Any) -> Any:
    model = FunctionModel(answers)
    names = ["generator", "judge", *(f"generator{n}" for n in range(2, roles + 1))]
    return run_recipe(STARLING, rows, dict.fromkeys(names, model), **settings)


@pytest.mark.parametrize(
    ("text", "ranking"),
    [
        ("So.\nRanking: C > A > B", [2, 0, 1]),
        ("**Ranking: B, A, C**", [1, 0, 2]),
        ("c a b", [2, 0, 1]),
        ("[A > B > C]", [0, 1, 2]),
        ("Ranking: A > B", None),
        ("Ranking: A > B > B", None),
        ("Ranking: A > B > C > D", None),
        ("Ranking: A = B > C", None),
        ("Ranking: A > B > C\nOr perhaps not.", None),
        ("", None),
    ],
)
def test_only_a_permutation_of_all_letters_on_the_last_line_is_a_ranking(text: str, ranking: Any) -> None:
    assert read_ranking(text, 3) == ranking


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_tau_is_symmetric_one_for_equal_and_minus_one_for_reversed(a: list[int], b: list[int]) -> None:
    assert kendall_tau(a, b) == pytest.approx(kendall_tau(b, a)) and kendall_tau(a, a) == 1
    assert kendall_tau(a, a[::-1]) == -1
    assert joined([a, a[::-1]]) == [2.5] * 6


def test_the_loss_of_two_is_bradley_terry_and_a_constant_changes_nothing() -> None:
    assert plackett_luce_loss([1.3, 0.2], [0, 1]) == pytest.approx(-math.log(1 / (1 + math.exp(-1.1))))
    rewards, ranking = [0.1, 2.0, -1.0, 0.5], [1, 3, 0, 2]
    assert plackett_luce_loss([r + 7 for r in rewards], ranking) == pytest.approx(plackett_luce_loss(rewards, ranking))


@pytest.mark.parametrize(("n", "most"), [(200, 0.35), (1500, 0.12)])
def test_rewards_are_recovered_from_drawn_rankings_the_better_the_more_there_are(n: int, most: float) -> None:
    rng, rewards = random.Random(n), [-1.5, -0.5, 0.0, 0.5, 1.5]
    gumbel = lambda: -math.log(-math.log(rng.random()))  # noqa: E731
    rankings = [
        sorted(range(5), key=lambda i: -noisy[i]) for noisy in ([r + gumbel() for r in rewards] for _ in range(n))
    ]
    found = plackett_luce(rankings, 5)
    assert max(abs(a - b) for a, b in zip(found, rewards, strict=True)) < most
    nearby = [
        sum(plackett_luce_loss([r + d * (i == 2) for i, r in enumerate(found)], q) for q in rankings)
        for d in (-0.2, 0, 0.2)
    ]
    assert nearby[1] < min(nearby[0], nearby[2])


def test_seven_answers_of_seven_models_make_21_pairs_in_one_group_on_one_side() -> None:
    found = run(roles=7)
    assert found.numbers.kept == 21 * 6
    assert len({r["group"] for r in found.kept}) == 6 == len({(r["group"], r["split"]) for r in found.kept})
    for row in found.kept:
        worths = [int(row[c].rsplit(" ", 1)[1]) for c in ("chosen", "rejected")]
        assert worths[0] > worths[1] and row["tau"] == 1 and row["margin"] >= 1


def test_repeated_answers_are_dropped_before_they_are_ranked() -> None:
    found = run(rows=[{"prompt": "q", "completions": ["worth 1", " Worth  1", "worth 2", ""]}], k=4)
    assert found.numbers.dropped == {"reply:repeated": 1, "reply:empty": 1}
    assert [(r["chosen"], r["rejected"]) for r in found.kept] == [("worth 2", "worth 1")]


def test_a_judge_that_ranks_by_place_agrees_with_nobody() -> None:
    def by_place(request: Request, draw: int) -> str:
        return answer(request, draw) if request.role != "judge" else " > ".join(a for a, _ in shown(request))

    assert run(by_place, shuffles=6, k=5, least_tau=0.5).numbers.dropped == {"ranking:unknown:low-tau": 6}
    mute = run(lambda r, d: answer(r, d) if r.role != "judge" else "A > B > A", k=3)
    assert mute.numbers.dropped == {"ranking:unknown:unparsed": 6}


def test_orders_that_cancel_tie_and_a_ranking_can_be_one_row() -> None:
    calls: list[int] = []

    def contrary(request: Request, draw: int) -> str:
        if request.role != "judge":
            return answer(request, draw)
        calls.append(1)
        return " > ".join(a for a, _ in sorted(shown(request), key=lambda s: s[1] * (-1) ** len(calls)))

    found = run(contrary, PROMPTS[:1], k=2, least_tau=-1.0)
    assert found.numbers.dropped == {"pair:unknown:tie": 1}
    whole = run(emit="rankings", k=4).kept[0]
    assert whole["places"] == [0, 1, 2, 3] and len(whole["completions"]) == 4


def test_starling_ranking_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(STARLING, PROMPTS, answer, k=4).kept
