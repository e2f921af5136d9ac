"""cultural-norms: against a rule base with exceptions, wrong labels are dropped and minimal pairs are found."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine import run_recipe
from tilth.models.base import Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.align.cultural_norms import (
    LABELS,
    SLOTS,
    Constraint,
    contradiction,
    frame_of,
    nearest_flip,
    two_labelled,
)

NORMS = load_recipe("cultural-norms")
SETTINGS = [{"setting": f"hall {n}", "culture": "the isles"} for n in range(8)]
C = Constraint


def rule(words: str) -> str:
    """Singing is expected of a singer, unexpected at night unless one is a singer, and okay for everybody else."""
    if "the role is singer" in words:
        return "expected"
    return "unexpected" if "the environment is night" in words else "okay"


def society(error: float = 0.0) -> Any:
    """Knows the rule base; the generator gives a frame of another label at the rate `error`."""
    frames = {
        "expected": [{"slot": "role", "relation": "is", "value": "Singer"}],
        "okay": [{"slot": "role", "relation": "is", "value": "guest"}],
        "unexpected": [
            {"slot": "environment", "relation": "is", "value": "night"},
            {"slot": "role", "relation": "is", "value": "guest"},
        ],
    }

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if text.startswith("The setting") and "List " in text:
            return json.dumps(
                {
                    "roles": ["singer", "guest"],
                    "environment": ["night", "day"],
                    "behaviours": [f"sing song {i}" for i in range(9)],
                }
            )
        if "Under which circumstances" in text:
            label = re.search(r"is this behaviour (\w+) there", text)[1]  # type: ignore[index]
            if hash_uniform("slip", text, draw) < error:
                label = LABELS[(LABELS.index(label) + 1) % 3]
            return json.dumps({"constraints": frames[label]})
        return rule(text)

    return answer


def run(answer: Any = None, rows: Any = SETTINGS, **settings: Any) -> Any:
    return run_recipe(NORMS, rows, FunctionModel(answer or society()), **settings)


def test_a_rule_base_with_exceptions_comes_back_with_minimal_pairs() -> None:
    found = run(n=3)
    assert len(found.kept) == 8 * 9 and found.kept[0]["culture"] == "the isles"
    for row in found.kept:
        assert rule(row["prompt"]) == row["label"] == row["completion"]
        assert row["flip"]["label"] != row["label"] and row["flip"]["differs"] in (
            ["role"],
            ["environment"],
            ["environment", "role"],
        )
    okay = next(r for r in found.kept if r["label"] == "okay")
    assert okay["flip"]["label"] in ("expected", "unexpected") and len(okay["flip"]["differs"]) == 1


@pytest.mark.parametrize("error", [0.2, 1.0])
def test_frames_of_another_label_are_dropped_as_torn_or_judged_otherwise(error: float) -> None:
    found = run(society(error), n=6)
    wrong = 8 * 18 * error
    assert all(rule(r["prompt"]) == r["label"] for r in found.kept)
    lost = sum(found.numbers.dropped.values())
    assert set(found.numbers.dropped) <= {
        "frame:fail:two-labels",
        "norm:fail:expected",
        "norm:fail:okay",
        "norm:fail:unexpected",
    }
    assert lost >= wrong - 4 * math.sqrt(wrong) and (error < 1 or not found.kept)


@pytest.mark.parametrize(
    ("frame", "torn"),
    [
        ([C("role", "is", "guest")], False),
        ([C("role", "is", "guest"), C("role", "is not", "Guest")], True),
        ([C("role", "is", "guest"), C("role", "is", "host")], True),
        ([C("attribute", "is", "old"), C("attribute", "is", "deaf")], False),
        ([C("role", "is", "guest"), C("environment", "is not", "guest")], False),
        ([], False),
    ],
)
def test_constraints_that_exclude_each_other_are_found(frame: list[Constraint], torn: bool) -> None:
    assert contradiction(frame) is torn


CONSTRAINT = st.builds(C, st.sampled_from(SLOTS), st.sampled_from(["is", "is not"]), st.sampled_from(["a", "b"]))


@given(
    st.lists(
        st.tuples(st.sampled_from("xy"), st.frozensets(CONSTRAINT, max_size=2), st.sampled_from(LABELS)), max_size=12
    )
)
def test_after_torn_frames_are_gone_labels_differ_in_at_least_one_constraint(frames: list[Any]) -> None:
    torn = two_labelled(frames)
    left = [f for f in frames if (f[0], f[1]) not in torn]
    assert not two_labelled(left)
    for behaviour, frame, label in left:
        flip = nearest_flip(frame, label, [(f, o) for b, f, o in left if b == behaviour])
        assert flip is None or (flip["differs"] and flip["label"] != label)


def test_equal_frames_are_equal_however_they_are_spelled() -> None:
    a = [
        {"slot": "role", "relation": "is", "value": " The  Guest"},
        {"slot": "environment", "relation": "is", "value": "Night"},
    ]
    assert frame_of(a) == frame_of(a[::-1]) == {C("role", "is", "the guest"), C("environment", "is", "night")}


def test_unreadable_replies_have_their_own_reasons() -> None:
    assert run(lambda r, d: "hm", SETTINGS[:1]).numbers.dropped == {"propose:unknown:unparsed": 1}

    def mute(request: Request, draw: int) -> str:
        return "it depends" if "Somebody does this" in request.text else society()(request, draw)

    assert run(mute, SETTINGS[:1], n=2).numbers.dropped == {"norm:unknown:unparsed": 6}
    empty = run(lambda r, d: '{"constraints": []}' if "Under which" in r.text else society()(r, d), SETTINGS[:1], n=2)
    assert empty.numbers.dropped == {"frame:fail:none": 6}


def test_cultural_norms_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(NORMS, SETTINGS[:4], society(0.1), n=3).kept
