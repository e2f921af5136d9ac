"""tests-for-code: wrong asserts go, the largest agreeing block wins, and tests that notice nothing are no tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models import open_model
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.recipes.code.tests_for_code import largest_block, mutation_verdict, tests_for_code
from tilth.rows.verdict import FAIL, PASS, UNKNOWN, Verdict
from tilth.verify.mutate import Mutant

SIGN = "def sign(x):\n    if x > 0:\n        return 1\n    if x < 0:\n        return -1\n    return 0\n"
ROW = {"prompt": "Write sign(x): 1, -1 or 0.", "completion": SIGN, "entry_point": "sign"}
GOOD = [
    "assert sign(5) == 1",
    "assert sign(-5) == -1",
    "assert sign(0) == 0",
    "assert sign(1) == 1",
    "assert sign(-1) == -1",
]


def writer(tests: list[str], programs: list[str] | None = None) -> FunctionModel:
    def answer(request: Request, draw: int) -> str:
        text = (
            "\n".join(tests) if "edge cases" in request.text else (programs or [SIGN])[draw % len(programs or [SIGN])]
        )
        return f"```python\n{text}\n```"

    return FunctionModel(answer, f"writer{tests}{programs}")


def run(
    tests: list[str], rows: list[dict] | None = None, programs: list[str] | None = None, **settings: object
) -> Harvested:
    return run_recipe(tests_for_code, rows or [ROW], writer(tests, programs), **settings)  # type: ignore[arg-type]


@pytest.mark.sandbox
def test_tests_that_notice_every_fault_have_a_mutation_score_of_one() -> None:
    found = run(GOOD)
    row = found.kept[0]
    assert row["tests"] == GOOD and row["mutation_score"] == 1.0 and row["mutants_missed"] == []
    assert row["mutants_noticed"] >= 8 and row["completion"] == SIGN
    assert row.lineage.level == 6


@pytest.mark.sandbox
def test_a_wrong_assert_is_left_out_and_counted() -> None:
    row = run([*GOOD, "assert sign(7) == -1", "assert other(1)", "assert sign(("]).kept[0]
    assert row["tests"] == GOOD and row["tests_written"] == 6


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        (["assert sign(5) == sign(5)"], "mutation:fail:stub"),
        (["assert sign(5) == 1"], "mutation:fail:score"),
        (["assert sign(7) == -1"], "tests:no-program-passes"),
        (["assert other(1) == 1"], "tests:none"),
        (["nothing at all to run"], "tests:none"),
    ],
)
def test_tests_that_say_too_little_are_dropped(tests: list[str], reason: str) -> None:
    assert run(tests, least=0.75).numbers.dropped == {reason: 1}


@pytest.mark.sandbox
def test_a_program_that_changes_its_mind_is_unstable() -> None:
    coin = "import os\ndef sign(x):\n    return 1 if int.from_bytes(os.urandom(8), 'big') % 2 else 0\n"
    rows = [{**ROW, "prompt": f"Write sign(x). {n}", "completion": coin} for n in range(12)]
    found = run(["assert sign(5) == 1"], rows)
    assert not found.kept or all(v.passed for r in found.kept for v in r.verdicts[:1])
    assert "tests:unstable" in found.numbers.dropped


@pytest.mark.sandbox
def test_without_a_known_program_the_largest_agreeing_block_wins() -> None:
    wrong = ["def sign(x):\n    return 1", "def sign(x):\n    return x", SIGN, SIGN, SIGN.replace("> 0", "> 1")]
    row = run(GOOD, [{"prompt": ROW["prompt"], "entry_point": "sign"}], wrong).kept[0]
    assert row["programs_agreeing"] == 2 and row["tests"] == GOOD and "return 0" in row["completion"]


@pytest.mark.sandbox
def test_the_entry_point_is_found_in_the_program_and_a_prompt_of_code_goes_with_it() -> None:
    row = run(GOOD, [{"prompt": ROW["prompt"], "completion": SIGN}]).kept[0]
    assert row["entry_point"] == "sign"
    head, body = SIGN.split("\n", 1)
    row = run(GOOD, [{"prompt": f'{head}\n    """1, -1 or 0."""\n', "completion": body}]).kept[0]
    assert row["entry_point"] == "sign" and row["mutation_score"] == 1.0


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=6))
def test_the_block_has_the_largest_product_and_all_its_programs_pass_exactly_its_tests(
    passes: list[list[bool]],
) -> None:
    programs, tests = largest_block(passes)
    for i in programs:
        assert [t for t, p in enumerate(passes[i]) if p] == tests
    for row in passes:
        same = [other for other in passes if other == row]
        assert sum(row) * len(same) <= len(programs) * len(tests)


def said(outcome: str) -> Verdict:
    return Verdict("code", outcome)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stub", "told", "least", "reason", "score"),
    [
        (FAIL, [FAIL, PASS], 0.5, "mutation:pass", 0.5),
        (FAIL, [FAIL, PASS], 0.51, "mutation:fail:score", 0.5),
        (FAIL, [FAIL, UNKNOWN, UNKNOWN], 0.9, "mutation:pass", 1.0),
        (FAIL, [PASS], 0.0, "mutation:fail", 0.0),
        (PASS, [FAIL], 0.5, "mutation:fail:stub", None),
        (UNKNOWN, [FAIL], 0.5, "mutation:unknown:stub", None),
        (FAIL, [], 0.5, "mutation:unknown:no-mutants", None),
        (FAIL, [UNKNOWN], 0.5, "mutation:unknown:no-mutants", None),
    ],
)
def test_the_verdict_at_its_edges(stub: str, told: list[str], least: float, reason: str, score: float | None) -> None:
    verdict = mutation_verdict(said(stub), [(Mutant("number", 1, "x"), said(o)) for o in told], least)
    assert verdict.reason == reason and verdict.score == score


@pytest.mark.sandbox
def test_hostile_replies_lose_nothing_and_a_second_run_sends_nothing() -> None:
    rows = [{"prompt": f"Write sign(x). {n}", "entry_point": "sign"} for n in range(8)]
    n = run_recipe(tests_for_code, rows, open_model("hostile")).numbers
    assert n.candidates == n.kept + sum(n.dropped.values()) == 8 and not n.failed
    cut = FunctionModel(lambda r, d: Reply("\n".join(GOOD), finish_reason="length"), "cut")
    assert run_recipe(tests_for_code, [ROW], cut).numbers.dropped == {"reply:cut": 1}
    journal, model = Journal(":memory:"), writer(GOOD)
    first = run_recipe(tests_for_code, [ROW], model, journal=journal)
    sent = model.sent
    again = run_recipe(tests_for_code, [ROW], model, journal=journal)
    assert model.sent == sent and [dict(r) for r in again.kept] == [dict(r) for r in first.kept]
