"""factuality-pairs: over an invented encyclopedia, reference scores are the truth and confidence is consistency."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.align.factuality_pairs import consistency, read_claims

FACTUALITY = load_recipe("factuality-pairs")
RELATIONS = ("home", "craft", "tool", "drink")
BOOK = {(f"Person{p}", r): f"{r}{(p * 7 + i) % 9}" for p in range(5) for i, r in enumerate(RELATIONS)}
REFERENCE = "\n".join(f"The {r} of {who} is {what}." for (who, r), what in BOOK.items())
ROWS = [{"prompt": f"Tell me about Person{p}.", "reference": REFERENCE} for p in range(5)]
WRONG_BUT_SURE = "tool"


def world(error: float = 0.3, sure: float = 0.8) -> Any:
    """Tells four facts, each wrong at the rate `error`; asked again it repeats itself at the rate `sure`; of one relation
    it is wrong always and sure of it."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if "List every claim" in text:
            return "\n".join(f"{i}. {s}" for i, s in enumerate(re.findall(r"The \w+ of \w+ is \w+\.", text), 1))
        if "bear out" in text:
            return (
                "supported" if text.rpartition("Claim: ")[2].partition("\n")[0] in REFERENCE else "Answer: unsupported"
            )
        if "Turn the claim" in text:
            relation, who = re.search(r"Claim: The (\w+) of (\w+) is", text).groups()  # type: ignore[union-attr]
            return f"What is the {relation} of {who}?"
        if found := re.search(r"What is the (\w+) of (\w+)\?", text):
            relation, who = found.groups()
            if relation == WRONG_BUT_SURE:
                return "the moon"
            luck = hash_uniform("again", text, draw)
            return BOOK[who, relation] if luck < sure else f"guess {int(luck * 1e6)}"
        who = re.search(r"Person\d", text)[0]  # type: ignore[index]
        rng = random.Random(f"{text}{draw}")
        return " ".join(
            f"The {r} of {who} is {'nothing' if rng.random() < error else BOOK[who, r]}." for r in RELATIONS
        )

    return answer


def run(answer: Any = None, rows: Any = ROWS, **settings: Any) -> Any:
    return run_recipe(FACTUALITY, rows, FunctionModel(answer or world()), **settings)


def truth(text: str) -> float:
    claims = re.findall(r"The \w+ of \w+ is \w+\.", text)
    return sum(c in REFERENCE for c in claims) / len(claims)


def test_with_a_whole_reference_the_score_is_the_truth_and_the_pairs_are_all_unequal_ones() -> None:
    found = run()
    by_prompt: dict[str, list[float]] = {}
    model = world()
    for row in ROWS:
        texts = [model(Request(({"role": "user", "content": row["prompt"]},)), d) for d in range(10)]
        by_prompt[row["prompt"]] = [truth(t) for t in texts]
    unequal = sum(a != b for v in by_prompt.values() for i, a in enumerate(v) for b in v[:i])
    assert len(found.kept) == unequal == found.numbers.candidates
    for row in found.kept:
        assert (row["score_chosen"], row["score_rejected"]) == pytest.approx(
            (truth(row["chosen"]), truth(row["rejected"]))
        )
        assert row["margin"] > 0


def test_confidence_is_consistency_and_prefers_a_confidently_wrong_fact() -> None:
    assert consistency(["a", "A", "b", "c"]) == 0.5 and consistency(["a", "a", "b", "c"], "expected") == 6 / 16
    assert consistency(["1,000", "1000.0"]) == 1 and consistency([]) is None
    texts = ["The tool of Person1 is the_moon.", "The home of Person1 is " + BOOK["Person1", "home"] + "."]
    model = lambda r, d: texts[d] if r.text.startswith("Tell me") else world(sure=0.7)(r, d)  # noqa: E731
    rows = [ROWS[1]]
    sure = run(model, rows, n=2, scorer="confidence").kept[0]
    right = run(model, rows, n=2, scorer="reference").kept[0]
    assert sure["chosen"] == texts[0] and sure["score_chosen"] == 1 and right["chosen"] == texts[1]
    assert 0.3 < sure["score_rejected"] < 1


def test_truth_cannot_be_bought_by_silence() -> None:
    full = (
        " ".join(f"The {r} of Person0 is {BOOK['Person0', r]}." for r in RELATIONS[:3])
        + " The drink of Person0 is mud."
    )
    texts = [full, f"The home of Person0 is {BOOK['Person0', 'home']}."]
    model = lambda r, d: texts[d] if r.text.startswith("Tell me") else world()(r, d)  # noqa: E731
    found = run(model, ROWS[:1], n=2)
    assert found.numbers.dropped == {"pair:fail:says-less": 1}
    assert run(model, ROWS[:1], n=2, least_claims=0.25).kept[0]["claims_chosen"] == 1


def test_refusals_answers_without_claims_and_unreadable_judges_have_their_own_reasons() -> None:
    texts = [
        "I'm sorry, I can't help.",
        "Hm.",
        Reply("The home", finish_reason="length"),
        "The home of Person0 is mud.",
    ]

    def answer(request: Request, draw: int) -> Any:
        if request.text.startswith("Tell me"):
            return texts[draw]
        if "List every claim" in request.text:
            return "NONE" if "\nHm.\n" in request.text else world()(request, draw)
        return "perhaps"

    assert run(answer, ROWS[:1], n=4).numbers.dropped == {
        "reply:refusal": 1, "factuality:unknown:no-claims": 1, "reply:cut": 1, "factuality:unknown:claims": 1,
    }  # fmt: skip
    assert read_claims(Reply("no list at all")) is None and read_claims(Reply("1. A b.\n2. a  B.")) == ["a B."]


def test_a_claim_that_several_answers_make_is_judged_once() -> None:
    asked: list[str] = []

    def counted(request: Request, draw: int) -> str:
        asked.append(request.text)
        return world(error=0.0)(request, draw)

    found = run(counted, ROWS[:1])
    assert sum("bear out" in text for text in asked) == 4 and not found.kept


def test_without_a_reference_a_row_is_scored_by_confidence_or_left_out() -> None:
    rows = [{"prompt": ROWS[0]["prompt"]}]
    assert run(rows=rows, scorer="reference").skipped[0][1] == "no reference"
    assert {r["scorer"] for r in run(rows=rows, n=4, resamples=5).kept} <= {"confidence"}


def test_factuality_pairs_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(FACTUALITY, ROWS, world(), n=4).kept
