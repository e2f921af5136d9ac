"""complete: n answers to each prompt or chat; empty and cut answers are put aside with their reason."""

from __future__ import annotations

from tilth.engine import run_recipe
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.recipes import load_recipe

COMPLETE = load_recipe("complete")


def test_a_prompt_gets_completions_and_keeps_its_other_columns() -> None:
    found = run_recipe(
        COMPLETE, [{"prompt": "hi", "x": 1, "id": "mine"}], FunctionModel(lambda r, d: f"answer {d}", "m"), n=3
    )
    assert [dict(r) for r in found.kept] == [
        {"prompt": "hi", "x": 1, "source_id": "mine", "completion": f"answer {d}"} for d in range(3)
    ]
    assert len({r.id for r in found.kept}) == 3


def test_a_chat_gets_one_more_turn_and_a_conversational_prompt_a_conversational_completion() -> None:
    turns = [{"role": "user", "content": "hi"}]
    model = FunctionModel(lambda r, d: f"{len(r.messages)} turns", "m")
    assert run_recipe(COMPLETE, [{"messages": turns}], model).kept[0]["messages"] == [
        *turns,
        {"role": "assistant", "content": "1 turns"},
    ]
    assert run_recipe(COMPLETE, [{"prompt": turns}], model).kept[0]["completion"] == [
        {"role": "assistant", "content": "1 turns"}
    ]


def test_system_and_sampling_reach_the_model() -> None:
    seen: list[Request] = []

    def answer(request: Request, draw: int) -> str:
        seen.append(request)
        return "ok"

    run_recipe(
        COMPLETE, [{"prompt": "hi"}], FunctionModel(answer, "m"), system="Be brief.", temperature=0.5, max_tokens=7
    )
    assert seen[0].messages[0] == {"role": "system", "content": "Be brief."} and seen[0].sampling == {
        "temperature": 0.5,
        "max_tokens": 7,
    }


def test_empty_and_cut_answers_are_dropped_with_their_reason() -> None:
    texts: list[str | Reply] = ["fine", " \n", Reply("half a sen", finish_reason="length")]
    found = run_recipe(COMPLETE, [{"prompt": "hi"}], FunctionModel(lambda r, d: texts[d], "m"), n=3)
    assert found.numbers.dropped == {"complete:empty": 1, "complete:cut": 1} and found.numbers.kept == 1


def test_hostile_replies_lose_nothing() -> None:
    found = run_recipe(COMPLETE, [{"prompt": f"q{i}"} for i in range(40)], open_model("hostile"), n=2)
    n = found.numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 80 and not found.failed
