"""constitutional-ai: revisions remove violations one by one; preferences lose a planted position bias exactly."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine import run_recipe
from tilth.errors import InputError
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe
from tilth.recipes.align.constitutional_ai import chance_of_a, preference
from tilth.recipes.align.principles import read_constitution

RULE = "revise: [{critique: Name every digit., revise: Remove one digit.}]\nchoose: ['Which reply has fewer digits?']"


def worker(request: Request, draw: int) -> str:
    """Answers with digits; its critique names them; its revision removes one."""
    text = request.text
    if "Begin your answer with the line\nCritique:" in text:
        return "Critique:\nIt holds " + (", ".join(re.findall(r"\d", text.partition("Reply:")[2])) or "none")
    if "Begin with the line\nRevision:" in text:
        reply = text.partition("Reply:\n")[2].partition("\n\nCritique:")[0]
        return "Revision:\n" + re.sub(r"\d", "", reply, count=1)
    return f"call 1 2 3 now {'7' * draw}"


def letters(bias: float, sharp: float = 3.0) -> FunctionModel:
    """A judge that prefers fewer digits, with log-probabilities and a planted pull towards option A."""

    def judge(request: Request, draw: int) -> Reply:
        a, b = re.search(r"Reply A:\n(.*)\n\nReply B:\n(.*)\n\nAnswer", request.text, re.S).groups()  # type: ignore[union-attr]
        better = len(re.findall(r"\d", b)) - len(re.findall(r"\d", a))
        p = 1 / (1 + math.exp(-sharp * better)) * 0.8 + 0.1 + bias
        top = [{"token": "A", "logprob": math.log(p)}, {"token": " B", "logprob": math.log(1 - p)}]
        return Reply("A" if p > 0.5 else "B", logprobs={"content": [{"token": "A", "top_logprobs": top}]})

    return FunctionModel(judge, f"judge{bias}")


def run(judge: object = None, n: int = 3, **settings: object) -> object:
    models = {"generator": FunctionModel(worker, "worker"), "judge": judge or letters(0.0)}
    return run_recipe(
        load_recipe("constitutional-ai"), [{"prompt": f"q{i}"} for i in range(n)], models, constitution=RULE, **settings
    )  # type: ignore[arg-type]


def test_violations_fall_with_every_revision_to_none() -> None:
    found = run(emit="sft", revisions=4)
    for row in found.kept:  # type: ignore[attr-defined]
        digits = [len(re.findall(r"\d", link["revision"])) for link in row["revisions"]]
        assert digits == [2, 1, 0, 0] and row["revisions"][3]["state"] == "unchanged"
        assert row["completion"] == "call    now"


def test_every_revision_can_be_a_row_with_its_number() -> None:
    found = run(emit="sft", revisions=4, every_revision=True, n=1)
    assert [(r.lineage.round, len(re.findall(r"\d", r["completion"]))) for r in found.kept] == [(1, 2), (2, 1), (3, 0)]  # type: ignore[attr-defined]


def test_pairs_prefer_what_the_judge_prefers_whatever_the_order() -> None:
    for row in run(emit="pairs").kept:  # type: ignore[attr-defined]
        assert len(re.findall(r"\d", row["chosen"])) < len(re.findall(r"\d", row["rejected"]))


def test_a_planted_position_bias_is_removed_exactly() -> None:
    fair, biased = (run(letters(b), emit="pairs") for b in (0.0, 0.09))
    a, b = ([(r["chosen"], r["chosen_probability"]) for r in f.kept] for f in (fair, biased))  # type: ignore[attr-defined]
    assert [x[0] for x in a] == [x[0] for x in b]
    assert [x[1] for x in a] == pytest.approx([x[1] for x in b])


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)), min_size=1, max_size=5))
def test_swapping_the_replies_mirrors_the_label(votes: list[tuple[float, float]]) -> None:
    soft, _ = preference(votes)  # type: ignore[arg-type]
    mirrored, _ = preference([(1 - x, 1 - y) for x, y in votes])
    assert soft is not None and mirrored is not None and soft + mirrored == pytest.approx(1)


def test_without_logprobs_the_letter_counts_and_anything_else_is_unknown() -> None:
    assert [chance_of_a(Reply(t), think=False) for t in ("A", " b.", "both", "")] == [1.0, 0.0, None, None]
    assert chance_of_a(Reply("A is nice, but\nB"), think=True) == 0.4


def test_a_judge_that_cannot_be_read_drops_the_pair_as_unknown() -> None:
    found = run(FunctionModel(lambda r, d: "I like both", "mute"), emit="pairs")
    assert found.numbers.dropped == {"preference:unknown:unparsed": 3}  # type: ignore[attr-defined]
    contrary = run(FunctionModel(lambda r, d: "A", "always-a"), emit="pairs")
    assert contrary.numbers.dropped == {"preference:unknown:tie": 3}  # type: ignore[attr-defined]


def test_hostile_replies_lose_nothing() -> None:
    found = run_recipe(
        load_recipe("constitutional-ai"), [{"prompt": f"q{i}"} for i in range(12)], open_model("hostile")
    )
    n = found.numbers
    assert not found.failed and n.candidates == n.kept + sum(n.dropped.values())
    assert all(r.get("completion") or r.get("chosen") for r in found.kept)


def test_a_constitution_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="not a constitution"):
        read_constitution("revise: [just words]")
    assert len(read_constitution(None)[0]) == 8
