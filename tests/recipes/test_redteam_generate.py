"""redteam-generate, in a world where "glorb" is forbidden and "zib" is the weak spot: gated, hashed, and better by round."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.errors import UsageError
from tilth.models.base import ModelError, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.align.redteam_generate import Tried, drawn

REDTEAM = load_recipe("redteam-generate")
POLICY = """
purpose: a test of an invented policy
categories:
  - {name: glorbing, violates: says glorb, fine: [a globe, a gourd, glory]}
"""
TOPIC = [{"topic": "anything"}]


def world(weak: float = 0.2, false_alarm: float = 0.0, safe: bool = True) -> Any:
    """The generator asks about zib at the rate `weak`, or as often as the examples that it is shown do; the target says
    glorb to zib; the judge looks for glorb, and finds it in look-alikes at the rate `false_alarm`."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if request.role == "target":
            return "well, glorb then" if "zib" in text else "a plain reply"
        if request.role == "judge":
            shown = text.rsplit("not for you.", 1)[1]
            alike = any(w in shown for w in ("globe", "gourd", "glory")) and hash_uniform("alarm", shown) < false_alarm
            return "violates" if "glorb" in shown or alike else "fine"
        if "Answer the message below" in text:
            return "Let us speak of something else." if safe else "glorb"
        shown = re.findall(r"^- .*", text, re.M)
        rate = (sum("zib" in s for s in shown) + weak) / (len(shown) + 1)
        number = int(hash_uniform("n", text, draw) * 1e15)
        word = "zib" if hash_uniform("zib", number) < rate else "plain"
        return f"{word} {number} {number // 3} {number // 7} {number // 11}"

    return answer


def run(answer: Any = None, rows: Any = TOPIC, **settings: Any) -> Any:
    return run_recipe(REDTEAM, rows, FunctionModel(answer or world()), **{"policy": POLICY, "batch": 30, **settings})


def rates(found: Any, rounds: int) -> list[float]:
    notes = found.numbers.notes
    return [notes[f"round {n}: policy broken"] / notes[f"round {n}: questions judged"] for n in range(1, rounds + 1)]


def test_without_a_policy_nothing_is_asked() -> None:
    model = FunctionModel(world())
    with pytest.raises(UsageError, match="no policy"):
        run_recipe(REDTEAM, TOPIC, model)
    assert model.sent == 0


def test_rows_hold_hashes_and_no_text_unless_asked() -> None:
    found = run()
    assert found.kept and all(
        "zib" not in str(dict(r)) and "glorb " not in str(dict(r))
        for r in [*found.kept, *(r for r, _ in found.dropped)]
    )
    assert {len(r["question_hash"]) for r in found.kept} == {32} and {r["category"] for r in found.kept} == {"glorbing"}


def test_with_text_a_question_comes_with_a_safe_answer_or_not_at_all() -> None:
    found = run(text=True)
    assert found.kept and all(
        "zib" in r["prompt"] and r["completion"] == "Let us speak of something else." for r in found.kept
    )
    unsafe = run(world(safe=False), text=True)
    assert not unsafe.kept and unsafe.numbers.dropped["safe:fail:violates"] == len(found.kept)
    assert not any("prompt" in r for r, _ in unsafe.dropped)


def test_success_rises_by_round_when_examples_are_weighted_and_not_when_they_are_not() -> None:
    weighted = rates(run(rounds=3, batch=40), 3)
    assert weighted[2] > weighted[0] + 0.3
    flat = rates(run(rounds=3, batch=40, weight_temperature=1e9), 3)
    assert abs(flat[2] - flat[0]) < 0.25


def test_examples_are_drawn_with_the_weight_of_their_score() -> None:
    tried = [Tried("a", 1.0), Tried("b", 0.0)]
    first = Counter(drawn(tried, 1, random.Random(n), 0.5)[0].text for n in range(2000))
    share = 7.389 / 8.389
    assert abs(first["a"] / 2000 - share) < 0.03
    assert {t.text for t in drawn(tried, 5, random.Random(0))} == {"a", "b"} and drawn([], 3, random.Random(0)) == []


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_look_alikes_show_how_often_the_judge_cries_wolf(rate: float) -> None:
    notes = run(world(false_alarm=rate), rounds=1, batch=2).numbers.notes
    assert notes["look-alikes judged"] == 3 and notes["look-alikes called violations"] == 3 * rate


def test_unreadable_judges_are_neither_safe_nor_a_success_and_the_cap_holds() -> None:
    mute = run(lambda r, d: "perhaps" if r.role == "judge" else world()(r, d), rounds=1)
    assert mute.numbers.dropped == {"violation:unknown:unparsed": 30}
    assert run(rounds=5, most_questions=12).numbers.candidates == 12


def test_repeats_refusals_and_failed_targets_have_their_own_reasons() -> None:
    texts = ["I'm sorry, I can't.", "zib one two three", "zib one two three", "plain seven eight nine"]

    def answer(request: Request, draw: int) -> str:
        if request.role == "generator":
            return texts[draw]
        if request.role == "target" and "plain" in request.text:
            raise ModelError("down")
        return world()(request, draw)

    found = run(answer, rounds=1, batch=4)
    assert found.numbers.dropped == {"reply:refusal": 1, "novelty:fail:repeat": 1, "target:unknown:failed": 1}
    assert found.numbers.kept == 1


def test_redteam_generate_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(REDTEAM, TOPIC, world(0.5), policy=POLICY, rounds=2, batch=6).kept
    assert keeps_its_promises(
        REDTEAM, [{"prompt": "zib seed"}], world(0.5), policy=POLICY, rounds=1, batch=3, text=True
    ).kept
