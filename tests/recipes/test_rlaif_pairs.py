"""rlaif-pairs: soft labels are the planted preferences, whatever the order; filters at their edges."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe
from tilth.recipes.pairs import held_out

RLAIF = load_recipe("rlaif-pairs")
PROMPTS = [{"prompt": f"question {n}"} for n in range(20)]


def utility(text: str) -> float:
    return int(re.findall(r"worth (\d+)", text)[-1]) / 4


def policy(request: Request, draw: int) -> str:
    return f"{request.text}: an answer worth {(draw * 7 + int(request.text.split()[-1]) * 3) % 11:02d}"


def boltzmann(bias: float = 0.0) -> Any:
    """P(A) = sigmoid(utility difference), moved towards the first place by `bias`."""

    def judge(request: Request, draw: int) -> Reply:
        fence = re.search(r"-{5} \w+ -{5}", request.text)[0]  # type: ignore[index]
        a, b = request.text.split(f"{fence}\n")[3:6:2]
        p = 0.8 / (1 + math.exp(utility(b) - utility(a))) + 0.1 + bias
        top = [{"token": "A", "logprob": math.log(p)}, {"token": "B", "logprob": math.log(1 - p)}]
        return Reply("A" if p > 0.5 else "B", logprobs={"content": [{"token": "A", "top_logprobs": top}]})

    return judge


def both(bias: float = 0.0) -> Any:
    judge = boltzmann(bias)
    return lambda request, draw: judge(request, draw) if request.role == "judge" else policy(request, draw)


def run(answer: Any, rows: Any = PROMPTS, **settings: Any) -> Any:
    return run_recipe(RLAIF, rows, FunctionModel(answer), **settings)


@pytest.mark.parametrize("bias", [0.0, 0.09, -0.07])
def test_soft_labels_are_the_planted_preferences_whatever_the_judge_likes_of_places(bias: float) -> None:
    found = run(both(bias), k=3, least_margin=0.0)
    assert len(found.kept) == 60
    for row in found.kept:
        gap = utility(row["chosen"]) - utility(row["rejected"])
        assert gap > 0 and row["probability"] == pytest.approx(0.8 / (1 + math.exp(-gap)) + 0.1)


def test_a_higher_least_margin_never_adds_rows_and_keeps_the_edge() -> None:
    kept = [{r.id for r in run(both(), k=3, least_margin=m).kept} for m in (0.0, 0.1, 0.2, 0.4)]
    assert all(b <= a for a, b in pairwise(kept)) and len(kept[-1]) < len(kept[0])
    edge = run(both(), k=2, least_margin=0.0).kept[0]
    assert run(both(), PROMPTS[:1], k=2, least_margin=edge["margin"]).kept[0]["margin"] == edge["margin"]


def test_a_judge_that_always_names_the_first_place_labels_nothing() -> None:
    found = run(lambda r, d: "A" if r.role == "judge" else policy(r, d))
    assert found.numbers.dropped == {"preference:unknown:tie": 20}
    mute = run(lambda r, d: "both are fine" if r.role == "judge" else policy(r, d))
    assert mute.numbers.dropped == {"preference:unknown:unparsed": 20}


def test_pairs_that_teach_nothing_are_dropped_before_anybody_judges_them() -> None:
    texts = ["same", " same ", "a much longer text than that", Reply("cut of", finish_reason="length")]
    asked = []

    def answer(request: Request, draw: int) -> Any:
        asked.append(request.role)
        return "A" if request.role == "judge" else texts[draw]

    found = run(answer, PROMPTS[:1], k=4)
    assert found.numbers.dropped == {"pair:fail:identical": 1, "pair:fail:length-ratio": 2, "reply:cut": 3}
    assert "judge" not in asked


def test_a_pair_that_is_there_is_only_judged_anew_and_may_be_turned_round() -> None:
    rows = [{"prompt": "q 1", "chosen": "answer worth 01", "rejected": "answer worth 09"}]
    found = run(both(), rows)
    assert found.kept[0]["chosen"] == "answer worth 09"


def test_a_conversation_gets_conversational_pairs() -> None:
    rows = [{"prompt": [{"role": "user", "content": f"question {n}"}]} for n in range(3)]
    found = run(both(), rows, least_margin=0.0)
    assert found.kept and all(r[c][0]["role"] == "assistant" for r in found.kept for c in ("chosen", "rejected"))


def test_all_pairs_of_a_prompt_lie_on_one_side_of_the_split() -> None:
    found = run(both(), k=3, held_out_share=0.5)
    sides = {r["prompt"]: set() for r in found.kept}
    for r in found.kept:
        sides[r["prompt"]].add(r["split"])
    assert all(len(s) == 1 for s in sides.values()) and {"train", "test"} == set().union(*sides.values())
    share = sum(held_out(f"p{n}", 0.05) for n in range(4000)) / 4000
    assert abs(share - 0.05) < 0.015


def test_rlaif_pairs_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(RLAIF, PROMPTS, both(), k=3).kept
