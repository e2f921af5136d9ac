"""reflexion: as many attempts as bugs, reflections help, hidden tests decide and never show, false positives are named."""

from __future__ import annotations

import re

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.recipes.code.programs import asserts_in
from tilth.recipes.code.reflexion import reflexion

pytestmark = pytest.mark.sandbox


def row(bugs: int, vacuous: bool = False) -> dict:
    note = " The empty list is easy." if vacuous else ""
    return {
        "prompt": f"Write a function add{bugs}(a, b) that adds.{note}", "entry_point": f"add{bugs}",
        "tests": [f"assert add{bugs}(2, 3) == 5", f"assert add{bugs}(20, 22) == 42"],
    }  # fmt: skip


def coder(needs_reflection: bool = True) -> FunctionModel:
    """Each reflection mends one of the bugs that the function's name counts; without any nothing gets better."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        name, bugs = re.search(r"(add(\d))\(a, b\)", text).groups()  # type: ignore[union-attr]
        if "Write 5 tests" in text:
            easy = f"assert {name}(0, 0) is not None"
            return f"```python\n{easy if 'empty list' in text else f'assert {name}(1, 1) == 2'}\nassert oops(\n```"
        if "Do not write code" in text:
            return f"Lesson {1 + text.count('# bug fixed')} learnt."
        fixed = text.count("# bug fixed") + ("Lesson" in text if needs_reflection else "What was learnt" in text)
        wrong = max(0, int(bugs) - fixed)
        return f"```python\n{'# bug fixed' * fixed}\ndef {name}(a, b):\n    return a + b + {wrong}\n```"

    return FunctionModel(answer, f"coder{needs_reflection}")


def run(rows: list[dict], model: object = None, **settings: object) -> Harvested:
    return run_recipe(reflexion, rows, model or coder(), **settings)  # type: ignore[arg-type]


def test_it_takes_exactly_as_many_attempts_as_there_are_bugs_to_mend() -> None:
    found = run([row(b) for b in range(4)], repairs=False)
    assert [len(r["attempts"]) for r in found.kept] == [1, 2, 3, 4]
    assert [len(r["reflections"]) for r in found.kept] == [0, 1, 2, 3]
    assert all(r["hidden_pass"] and r["internal_pass"][-1] and not any(r["internal_pass"][:-1]) for r in found.kept)


def test_bugs_beyond_the_retries_stay_and_the_row_says_which_test_failed() -> None:
    found = run([row(4)], retries=2)
    assert not found.kept and found.numbers.dropped == {"hidden:code:fail:assertion": 1}


def test_without_reflections_a_coder_that_needs_them_does_not_get_better() -> None:
    assert len(run([row(b) for b in range(4)], memory=0, repairs=False).kept) == 1
    assert len(run([row(b) for b in range(4)], coder(needs_reflection=False), memory=0, repairs=False).kept) == 4


def test_vacuous_own_tests_accept_wrong_programs_at_exactly_their_rate_and_hidden_tests_find_them() -> None:
    rows = [row(1, vacuous=n % 4 == 0) for n in range(12)]
    found = run(rows, repairs=False)
    assert found.numbers.dropped == {"hidden:fail:false-positive": 3} and len(found.kept) == 9


def test_hidden_tests_never_reach_a_prompt() -> None:
    seen: list[str] = []
    inner = coder()

    def spy(request: Request, draw: int) -> object:
        seen.append(request.text)
        return inner.answer(request, draw)

    run([row(2)], FunctionModel(spy, "spy"))  # type: ignore[arg-type]
    assert len(seen) == 6 and not any("42" in text or "20, 22" in text for text in seen)


def test_a_mended_solution_also_makes_a_repair_row() -> None:
    found = run([row(0), row(2)])
    assert [r["kind"] for r in found.kept] == ["solution", "solution", "repair"]
    repair, solution = found.kept[2], found.kept[1]
    assert "Lesson 1 learnt." in repair["prompt"] and "return a + b + 1" in repair["prompt"]
    assert repair["completion"] == solution["completion"] and repair.lineage.parents == (solution.id,)


def test_without_hidden_tests_the_own_tests_decide_and_without_any_nothing_is_kept() -> None:
    task = {k: v for k, v in row(1).items() if k != "tests"}
    found = run([task], repairs=False)
    assert len(found.kept) == 1 and found.kept[0]["hidden_pass"] is None
    mute = FunctionModel(lambda r, d: "```python\ndef add1(a, b):\n    return a + b\n```")
    assert run([task], mute).numbers.dropped == {"own:code:unknown:no-tests": 1}
    assert len(run([row(1)], mute).kept) == 1


def test_a_cut_attempt_is_never_run_and_is_told_as_such() -> None:
    inner = coder()

    def answer(request: Request, draw: int) -> Reply | str:
        text = str(inner.answer(request, draw))
        return (
            Reply(text[:20], finish_reason="length")
            if "def add" in text and "What was learnt" not in request.text
            else text
        )

    found = run([row(1)], FunctionModel(answer, "cutting"), repairs=False)
    assert found.kept[0]["feedback"][0] == "The answer was cut." and len(found.kept[0]["attempts"]) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```python\nassert f(1) == 2\nassert f(1)==2\nassert g(1)\n```", ["assert f(1) == 2"]),
        ("assert f(1) == 2\nassert f(\nso much", ["assert f(1) == 2"]),
        ("```python\ndef test():\n    assert f([1]) == [2]\n```", ["assert f([1]) == [2]"]),
        ("```python\nassert f(1) == 2", ["assert f(1) == 2"]),
        ("assert True", []),
        ("", []),
    ],
)
def test_asserts_are_read_from_blocks_or_lines_each_once(text: str, found: list[str]) -> None:
    assert asserts_in(text, "f") == found


def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    n = run([row(b % 4) for b in range(8)], open_model("hostile"), retries=1).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) and not n.failed
    journal, model = Journal(":memory:"), coder()
    first = run([row(1), row(2)], model, journal=journal)
    sent = model.sent
    again = run([row(1), row(2)], model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
