"""model-written-evals: with an invented behaviour, mislabelled statements go in proportion to the discriminator's rates."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.errors import InputError, UsageError
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe

EVALS = load_recipe("model-written-evals")
POLICY = "purpose: a test\ncategories: [{name: glorbing, violates: says glorb, fine: [a globe]}]"
BEHAVIOURS = [{"behaviour": f"loves the colour {c}"} for c in ("blue", "teal", "plum")]


def world(slip: float = 0.0, known: float = 1.0, glorb: float = 0.0, bias: float = 0.0) -> Any:
    """A statement says yes or no to the behaviour, and the wrong one at the rate `slip`; the discriminator reads it rightly
    at the rate `known`, and likes the first option."""

    def answer(request: Request, draw: int) -> Any:
        text = request.text
        if "Write one sentence in the first person" in text:
            says = "agree" in text and "disagree" not in text
            says ^= hash_uniform("slip", text, draw) < slip
            tail = " glorb" if hash_uniform("glorb", text, draw) < glorb else ""
            number = int(hash_uniform("n", text, draw) * 1e12)
            return f'"{"yes" if says else "no"} {number} {number // 7} {number // 11}{tail}"'
        if "A policy forbids" in text:
            return "Yes" if "glorb" in text.partition("sentence do")[2] else "No"
        statement = re.search(r'sentence: "(\w+) ', text)[1]  # type: ignore[index]
        agrees = (statement == "yes") ^ (hash_uniform("known", text.partition("(A)")[0]) >= known)
        first = text.index("They agree") < text.index("They disagree")
        p = (0.85 if agrees == first else 0.15) + bias
        top = [{"token": "A", "logprob": math.log(p)}, {"token": "B", "logprob": math.log(1 - p)}]
        return Reply("A", logprobs={"content": [{"token": "A", "top_logprobs": top}]})

    return answer


def run(answer: Any = None, rows: Any = BEHAVIOURS, **settings: Any) -> Any:
    return run_recipe(EVALS, rows, FunctionModel(answer or world()), **{"policy": POLICY, **settings})


def test_without_a_policy_nothing_is_asked() -> None:
    model = FunctionModel(world())
    with pytest.raises(UsageError, match="no policy"):
        run_recipe(EVALS, BEHAVIOURS, model)
    with pytest.raises(InputError, match="policy"):
        run_recipe(EVALS, BEHAVIOURS, model, policy="purpose: x")
    with pytest.raises(InputError, match="purpose"):
        run_recipe(EVALS, BEHAVIOURS, model, policy="purpose: ''\ncategories: []")
    assert model.sent == 0


def test_both_labels_are_kept_equally_often_the_surest_first() -> None:
    for settings in ({}, {"keep": 5}, {"slip": 0.4}):
        found = run(world(settings.pop("slip", 0.0)), **settings)
        for behaviour in {r["behaviour"] for r in found.kept}:
            labels = [r["answer_matching"] for r in found.kept if r["behaviour"] == behaviour]
            assert labels.count(" Yes") == labels.count(" No") <= settings.get("keep", 20)


@pytest.mark.parametrize(("slip", "known"), [(0.3, 1.0), (0.3, 0.8), (0.0, 0.8)])
def test_mislabelled_statements_go_in_proportion_to_the_discriminators_rates(slip: float, known: float) -> None:
    found = run(world(slip, known), n=60, check_policy=False)
    right, wrong = (1 - slip) * known, slip * (1 - known)
    passed = found.numbers.kept + found.numbers.dropped.get("balance:surplus", 0)
    expected = 360 * (right + wrong)
    assert abs(passed - expected) <= 4 * math.sqrt(expected * (1 - right - wrong)) + 1e-9
    mislabelled = (
        sum((r["statement"][:2] == "no") == (r["answer_matching"] == " Yes") for r in found.kept) / found.numbers.kept
    )
    share = wrong / (right + wrong)
    assert abs(mislabelled - share) <= 4 * math.sqrt(share * (1 - share) / found.numbers.kept) + 1e-9


def test_confidence_does_not_depend_on_the_order_of_the_options() -> None:
    plain, liking = (run(world(bias=b), n=10) for b in (0.0, 0.1))
    assert [(r["statement"], r["label_confidence"]) for r in plain.kept] == [
        (r["statement"], pytest.approx(r["label_confidence"])) for r in liking.kept
    ]
    assert all(r["label_confidence"] == pytest.approx(0.85) for r in plain.kept)


def test_what_the_policy_forbids_is_dropped() -> None:
    found = run(world(glorb=0.3), n=30)
    assert abs(found.numbers.dropped["policy:fail"] - 180 * 0.3) <= 4 * math.sqrt(180 * 0.21)
    assert not any("glorb" in r["statement"] for r in found.kept)


def test_repeats_refusals_and_unreadable_judges_have_their_own_reasons() -> None:
    same = run(
        lambda r, d: "yes I like it." if "Write one" in r.text else world()(r, d),
        BEHAVIOURS[:1],
        n=2,
        check_policy=False,
    )
    assert same.numbers.dropped.get("novelty:fail:repeat", 0) == 3
    refusing = run(lambda r, d: "I'm sorry, I can't do that.", BEHAVIOURS[:1], n=2)
    assert refusing.numbers.dropped == {"reply:refusal": 4}
    mute = run(lambda r, d: world()(r, d) if "Write one" in r.text else "who knows", BEHAVIOURS[:1], n=2)
    assert mute.numbers.dropped == {"discriminator:unknown:unparsed": 4}


def test_model_written_evals_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(EVALS, BEHAVIOURS, world(0.2), n=5, policy=POLICY).kept
