"""Doubles: what they answer is known in closed form, and depends on request and draw alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tilth.models import FunctionModel, ModelError, Reply, Request, ScriptedModel, open_model
from tilth.models.doubles import hash_uniform
from tilth.models.hostile import KINDS, Hostile
from tilth.models.judge import NoisyJudge
from tilth.models.oracle import Oracle
from tilth.worlds.registry import open_world

WORLD = open_world("story-arithmetic")
PROBLEMS = WORLD.problems(600, seed=7)


def ask(model: Any, text: str, **fields: Any) -> list[Reply]:
    return list(asyncio.run(model.send(Request(messages=({"role": "user", "content": text},), **fields))))


def test_a_function_is_a_model() -> None:
    model = FunctionModel(lambda request, draw: f"{request.text}/{draw}", "f")
    replies = ask(model, "hello", n=2, draw=3)
    assert [r.text for r in replies] == ["hello/3", "hello/4"]
    assert (replies[0].usage.input, replies[1].usage.input) == (2, 0)
    assert replies[0].model == model.identity == "f"


def test_a_function_may_be_async_and_give_whole_replies() -> None:
    async def answer(request: Request, draw: int) -> Reply:
        return Reply('{"a": 1}', finish_reason="length")

    reply = ask(FunctionModel(answer), "x", schema={"type": "object"})[0]
    assert reply.cut and reply.parsed == {"a": 1}


def test_a_script_answers_by_the_first_key_in_the_text() -> None:
    model = ScriptedModel({"cat": ["one", "two"], "": "else"})
    assert [r.text for r in ask(model, "a cat", n=2)] == ["one", "two"]
    assert ask(model, "a dog")[0].text == "else"
    with pytest.raises(ModelError, match="has 2 answers to 'cat', draw 2"):
        ask(model, "a cat", draw=2)


def test_hash_uniform_is_uniform() -> None:
    drawn = [hash_uniform("x", i) for i in range(4000)]
    assert abs(sum(drawn) / 4000 - 0.5) < 4 * (1 / 12 / 4000) ** 0.5
    assert min(drawn) >= 0 and max(drawn) < 1


@pytest.mark.parametrize("error", [0.0, 0.1, 0.5, 1.0])
def test_the_oracle_errs_at_its_rate_and_no_other_way(error: float) -> None:
    model = Oracle(WORLD, error=error)
    wrong = 0
    for problem in PROBLEMS:
        reply = ask(model, problem["prompt"])[0]
        right = WORLD.check(problem["prompt"], reply.text)
        assert right is not model.wrong(problem["prompt"].strip(), 0)
        wrong += not right
    assert abs(wrong - error * len(PROBLEMS)) <= 4 * (error * (1 - error) * len(PROBLEMS)) ** 0.5


def test_oracle_draws_are_independent_and_do_not_depend_on_their_order() -> None:
    model = Oracle(WORLD, error=0.5)
    together = ask(model, PROBLEMS[0]["prompt"], n=40)
    alone = [ask(model, PROBLEMS[0]["prompt"], draw=i)[0] for i in reversed(range(40))][::-1]
    assert [r.text for r in together] == [r.text for r in alone]
    assert 5 < sum(model.wrong(PROBLEMS[0]["prompt"], i) for i in range(40)) < 35


@pytest.mark.parametrize(
    "wording",
    [
        "Question: {}\nAnswer:",
        "Solve the problem below step by step.\n\n{}\n\nEnd with a line that starts with ####.",
        "Example\n\nQuestion: " + PROBLEMS[1]["prompt"] + "\n\nNow yours.\n\nProblem: {}",
        "### Problem:\n{}\n### Solution:",
    ],
)
def test_the_oracle_finds_the_problem_inside_instructions(wording: str) -> None:
    prompt = PROBLEMS[0]["prompt"]
    model = open_model("oracle:story-arithmetic")
    for row in ({}, {"prompt": prompt}, {"question": prompt}):
        assert ask(model, wording.format(prompt), row=row)[0].text == WORLD.solve(prompt)


def test_the_oracle_says_when_there_is_no_problem() -> None:
    model = open_model("oracle:story-arithmetic?style=answer")
    assert "none in this message" in ask(model, "Hello!", row={"prompt": PROBLEMS[0]["prompt"]})[0].text
    assert ask(model, PROBLEMS[0]["prompt"])[0].text == f"#### {PROBLEMS[0]['answer']}"


def test_hostile_gives_every_kind_and_the_same_to_the_same_request() -> None:
    model = Hostile()
    requests = [Request(messages=({"role": "user", "content": str(i)},)) for i in range(300)]
    assert {model.kind(r, 0) for r in requests} == set(KINDS)
    first = [asyncio.run(model.send(r)) for r in requests]
    assert first == [asyncio.run(Hostile().send(r)) for r in requests]
    assert first != [asyncio.run(Hostile(seed=1).send(r)) for r in requests]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_bad_answer_is_what_its_name_says(kind: str) -> None:
    reply = ask(Hostile((kind,)), "Write a poem.")[0]
    checks: dict[str, bool] = {
        "empty": reply.text == "",
        "whitespace": bool(reply.text) and not reply.text.strip(),
        "refusal": "can't" in reply.text,
        "echo": reply.text == "Write a poem.",
        "truncated-json": reply.cut and reply.text.startswith("{"),
        "duplicates": len({line.split(". ", 1)[1] for line in reply.text.splitlines()}) == 1
        if kind == "duplicates"
        else False,
        "numbering": reply.text.startswith("1. "),
        "language": not reply.text.isascii(),
        "large": len(reply.text) >= 100_000,
        "control": any(ord(c) < 32 for c in reply.text) or not reply.text.isascii(),
        "fences": reply.text.count("```") > 4,
        "cut": reply.cut,
    }
    assert checks[kind]


def judged(model: Any, text: str, row: dict[str, Any], **fields: Any) -> str:
    return ask(model, text, row=row, **fields)[0].text.rpartition("\n")[2]


def test_the_noisy_judge_keeps_right_and_wrong_at_its_rates() -> None:
    model = NoisyJudge(rho=0.2, phi=0.8)
    for truth, rate in ((True, 0.8), (False, 0.2)):
        said = [judged(model, f"Item {i}. Is it correct? Verdict: yes or no", {"truth": truth}) for i in range(1000)]
        assert set(said) == {"Verdict: yes", "Verdict: no"}
        assert abs(said.count("Verdict: yes") - 1000 * rate) < 4 * (1000 * 0.16) ** 0.5


def test_the_noisy_judge_reads_truth_from_answers_and_worlds() -> None:
    model = NoisyJudge()
    row = {"completion": "so 3 + 4 = 7\n#### 7", "answer": "7"}
    assert judged(model, "Rate it from 1 to 5.\nScore: <number>", row) == "Score: 5"
    assert judged(model, "Rate it from 1 to 5.\nScore: <number>", row | {"answer": "#### 8"}) == "Score: 1"
    problem = PROBLEMS[0]
    asked = f"{problem['prompt']}\n\n{problem['completion']}\n\nIs this valid or invalid?"
    assert judged(NoisyJudge(world="story-arithmetic"), asked, {}) == "Verdict: valid"
    assert judged(model, "Is it right?", {}) == "I cannot tell from what is given."


def test_the_noisy_judge_of_pairs_has_its_position_bias() -> None:
    row = {"chosen": "good one", "rejected": "bad one"}
    better_first, better_second = "A: good one\nB: bad one\nVerdict: A or B", "A: bad one\nB: good one\nVerdict: A or B"
    assert judged(NoisyJudge(), better_first, row) == "Verdict: A"
    assert judged(NoisyJudge(), better_second, row) == "Verdict: B"
    assert judged(NoisyJudge(position=1.0), better_second, row) == "Verdict: A"
    said = [judged(NoisyJudge(position=0.3), f"{better_second} {i}", row) for i in range(800)]
    assert abs(said.count("Verdict: A") - 240) < 4 * (800 * 0.21) ** 0.5


def test_the_noisy_judge_fills_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "reason": {"type": "string"},
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
            "label": {"enum": ["correct", "incorrect"]},
            "ok": {"type": "boolean"},
        },
    }
    for truth, found in ((True, (5, "correct", True)), (False, (1, "incorrect", False))):
        reply = ask(NoisyJudge(), "Judge.", row={"truth": truth}, schema=schema)[0]
        assert reply.parsed == json.loads(reply.text)
        assert (reply.parsed["score"], reply.parsed["label"], reply.parsed["ok"]) == found


def test_the_noisy_judge_speaks_the_form_that_recipes_ask_for() -> None:
    from tilth.recipes.instruct.backtranslation import SCORE, parse_score

    asked = SCORE.text.replace("{text}", "Pages 3-7 of 9 hold it.").replace("{examples}", "")
    for truth, score in ((True, 5), (False, 1)):
        assert parse_score(ask(NoisyJudge(), asked, row={"truth": truth})[0].text) == score
