"""code-alpaca: exactly the outputs that are whole survive, a near instruction is dropped from 0.7 on, nothing is lost."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_key, hash_uniform
from tilth.recipes.code.code_alpaca import code_alpaca, read_tasks, task_problem
from tilth.recipes.code.programs import program_in
from tilth.select.novelty import rouge_l

SEEDS = [
    {"instruction": f"Write a function that adds {n} to a number.", "output": f"def add(x): return x + {n}"}
    for n in range(40)
]


def words(key: bytes) -> str:
    return " ".join(f"w{int.from_bytes(key[i : i + 2], 'big')}" for i in range(0, 16, 2))


def inventor(broken: float = 0.0, wrong: float = 0.0) -> FunctionModel:
    """Invents tasks of random words; outputs do not compile, or contradict their example, at known rates."""

    def answer(request: Request, draw: int) -> str:
        tasks = []
        for i in range(5):
            key = hash_key(request.text, draw, i)
            n = key[0]
            value = n + 1 if not hash_uniform("wrong", key.hex()) < wrong else n
            output = f'def f(x):\n    """Adds.\n\n    >>> f({n})\n    {n + n}\n    """\n    return x + {value}\n'
            output = output.replace(f"return x + {value}", f"return x + {n if value == n + 1 else n + 1}")
            if hash_uniform("broken", key.hex()) < broken:
                output = output.replace("return", "retrn it")
            tasks.append(
                {"instruction": f"Please do {words(key)}", "input": "", "output": output, "language": "Python"}
            )
        return json.dumps({"tasks": tasks})

    return FunctionModel(answer, f"inventor{broken}{wrong}")


def run(model: object, **settings: object) -> Harvested:
    return run_recipe(code_alpaca, SEEDS, model, **{"target": 60, "execute": False, **settings})  # type: ignore[arg-type]


def test_the_share_that_survives_is_the_planted_share() -> None:
    found = run(inventor(broken=0.3), target=10_000, max_rounds=6)
    assert found.numbers.candidates == 6 * 8 * 5
    broken = sum("retrn" in row["output"] for row, _ in found.dropped)
    assert found.numbers.dropped["code:fail:SyntaxError"] == broken
    assert abs(len(found.kept) - 240 * 0.7) < 4 * (240 * 0.21) ** 0.5
    assert not any("retrn" in row["completion"] for row in found.kept)


@pytest.mark.sandbox
def test_an_output_that_contradicts_its_own_example_is_dropped() -> None:
    found = run(inventor(wrong=0.4), target=10_000, max_rounds=1, batch=4, execute=True)
    wrong = found.numbers.dropped["code:fail:assertion"]
    assert wrong > 0 and wrong + len(found.kept) == 20
    assert all(row.verdicts[-1].passed for row in found.kept)


def test_the_run_ends_at_its_target_or_without_progress() -> None:
    assert len(run(inventor(), target=7).kept) == 7
    one = FunctionModel(lambda r, d: json.dumps({"tasks": [TASK]}))
    found = run(one, batch=1, patience=2)
    assert len(found.kept) == 1 and found.numbers.dropped == {"novelty:fail:similar": 2}


TASK = {"instruction": "Sort the given list", "input": "", "output": "def f(x): return sorted(x)", "language": "Python"}


def test_an_instruction_with_rouge_l_of_exactly_the_threshold_is_dropped() -> None:
    seed = {"instruction": "a b c d e f g h i j", "output": "x"}
    at, under = "a b c d e f g x y z", "a b c d e f w x y z"
    assert rouge_l(seed["instruction"], at) == pytest.approx(0.7) and rouge_l(seed["instruction"], under) < 0.7
    for text, kept in ((at, 0), (under, 1)):
        model = FunctionModel(lambda r, d, t=text: json.dumps([{**TASK, "instruction": t}]))
        found = run_recipe(code_alpaca, [seed], model, batch=1, max_rounds=1, execute=False)
        assert len(found.kept) == kept


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"instruction": "Sort the list"}, "instruction:length"),
        ({"instruction": "w " * 151}, "instruction:length"),
        ({"instruction": "w " * 150}, None),
        ({"output": ""}, "output:empty"),
        ({"input": "x", "output": "x"}, "output:is-input"),
        ({"language": "Rust"}, "language:not-asked"),
        ({"language": "SQL"}, "code:unknown:sql"),
        ({"output": "def f(:"}, "code:fail:SyntaxError"),
        ({"output": "Here:\n```python\ndef f(): pass\n```"}, None),
        ({"output": "Here:\n```python\ndef f(): pass"}, "code:fail:SyntaxError"),
        ({"output": "key = 'AKIA" + "ABCDEFGH12345678'"}, "secret:aws-key"),
    ],
)
def test_each_filter_has_a_case_and_a_near_miss(change: dict[str, str], reason: str | None) -> None:
    assert task_problem({**TASK, **change}, frozenset({"python", "sql"}), unchecked=False) == reason


def test_a_language_that_cannot_be_checked_is_kept_only_when_asked() -> None:
    task = {**TASK, "language": "SQL", "output": "SELECT 1"}
    assert task_problem(task, frozenset({"sql"}), unchecked=True) is None


def test_a_list_that_was_cut_off_or_is_no_list_gives_no_task() -> None:
    whole = json.dumps({"tasks": [TASK]})
    assert read_tasks(Reply(whole)) == [TASK] == read_tasks(Reply(f"Sure:\n```json\n{whole}\n```"))
    for reply in (
        Reply(whole, finish_reason="length"),
        Reply(whole[:-9]),
        Reply("{}"),
        Reply('{"tasks": []}'),
        Reply("no"),
    ):
        assert read_tasks(reply) is None


def test_items_that_are_no_tasks_are_dropped_one_by_one() -> None:
    model = FunctionModel(lambda r, d: json.dumps({"tasks": [TASK, 3, {"instruction": ["x"]}, {}]}))
    found = run(model, batch=1, max_rounds=1)
    reasons = Counter(reason for _, reason in found.dropped)
    assert len(found.kept) == 1 and reasons == {"parse:unknown:fields": 2, "instruction:length": 1}


def test_the_program_is_the_block_that_defines_the_function() -> None:
    text = "Use:\n```python\nprint(g(1))\n```\n```python\ndef g(x): return x\n```"
    assert program_in(text, "g") == "def g(x): return x" and program_in("nothing here, you see") is None


def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run(open_model("hostile"), max_rounds=4).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) >= 24
    journal, model = Journal(":memory:"), inventor(0.3)
    first = run(model, journal=journal)
    sent = model.sent
    again = run(model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
