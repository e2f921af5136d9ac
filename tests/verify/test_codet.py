from __future__ import annotations

import asyncio
import json

import pytest

from tilth.cli.main import main
from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.verify.codet import CodetVerifier

pytestmark = pytest.mark.sandbox
DOUBLE = ["def f(x): return x * 2", "def f(x): return x + x", "def f(x): return x", "def f(x): return x << 1"]


def rows(programs, tests, prompt="Double a number."):
    return [Row({"prompt": prompt, "completion": p, "tests": tests}, str(i)) for i, p in enumerate(programs)]


def verdicts(given, **settings):
    return asyncio.run(CodetVerifier(**settings).verify_rows(given))


def test_programs_that_agree_on_most_tests_pass_although_some_tests_are_wrong():
    tests = ["assert f(2) == 4", "assert f(3) == 6", "assert f(3) == 3", "assert f(0) == 1"]
    got = verdicts(rows(DOUBLE, tests))
    assert [v.reason for v in got] == ["codet:pass", "codet:pass", "codet:fail", "codet:pass"]
    assert (got[0].evidence["agree"], got[0].evidence["passed"], got[2].score) == (3, 2, 1 / 6)
    assert got[0].tier == "A"


def test_the_tests_of_all_rows_of_a_prompt_are_used_and_prompts_do_not_mix():
    one = rows(DOUBLE[:2], ["assert f(2) == 4"])
    two = rows(DOUBLE[2:3] * 2, ["assert f(2) == 2"], "Keep a number.")
    got = verdicts([one[0], two[0], one[1], two[1]])
    assert [v.reason for v in got] == ["codet:pass"] * 4
    assert {v.evidence["tests"] for v in got} == {1}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (rows(DOUBLE[:1], ["assert f(1) == 2"]), "codet:unknown:few-voters"),
        (rows(DOUBLE[:2], ["assert f(1) == 7"]), "codet:unknown:no-tests"),
        (rows(DOUBLE[1:3], ["assert f(1) == 2", "assert f(1) == 1"]), "codet:unknown:tie"),
        (rows(DOUBLE[:2], []), "codet:unknown:no-tests"),
    ],
)
def test_a_vote_that_says_nothing_is_unknown(given, reason):
    assert {v.reason for v in verdicts(given)} == {reason}


def test_the_verb_runs_the_vote_on_a_file(tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    tests = ["assert f(2) == 4", "assert f(3) == 6"]
    file.write_text("".join(json.dumps({"prompt": "Double.", "completion": p, "tests": tests}) + "\n" for p in DOUBLE))
    assert main(["verify", str(file), "--with", "codet", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "codet:pass" in told
    assert "75.00%" in told


def test_settings_that_are_not_counts_are_refused():
    with pytest.raises(UsageError, match="voters=0"):
        CodetVerifier(voters=0)
