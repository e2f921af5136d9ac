from __future__ import annotations

import asyncio

import pytest

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.verify.code import CodeVerifier, check_code
from tilth.verify.suites import Block, consensus, cross, single_tests

pytestmark = pytest.mark.sandbox
BIGGER = "def bigger(a, b):\n    if a > b:\n        return a\n    return b\n"


def reason(completion, tests, **settings):
    row = Row({"completion": completion, "tests": tests}, "r")
    return asyncio.run(CodeVerifier(**settings).verify_rows([row]))[0]


def test_tests_that_faulty_programs_pass_make_the_verdict_unknown():
    strong = ["assert bigger(1, 2) == 2", "assert bigger(3, 2) == 3", "assert bigger(2, 2) == 2"]
    assert reason(BIGGER, strong, mutants=8).reason == "code:pass"
    weak = reason(BIGGER, ["assert bigger(1, 2) != 7"], mutants=8)
    assert (weak.reason, weak.evidence["stub_passes"]) == ("code:unknown:weak-tests", True)
    assert reason(BIGGER, ["assert bigger(1, 2) != 7"]).reason == "code:pass"


def test_a_program_that_depends_on_the_order_of_a_set_is_flaky():
    order = "def f():\n    return list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})\n"
    first = check_code({"completion": order + "FIRST = f()", "tests": "assert f() == FIRST"})
    assert first.passed
    hashed = "def f():\n    return hash('tilth') % 1000003\n"
    import subprocess
    import sys

    told = subprocess.run(
        [sys.executable, "-c", "print(hash('tilth') % 1000003)"], env={"PYTHONHASHSEED": "0"}, capture_output=True
    )
    verdict = reason(hashed, [f"assert f() == {int(told.stdout)}"], twice=True)
    assert verdict.reason == "code:unknown:flaky"
    assert reason(BIGGER, ["assert bigger(1, 2) == 2"], twice=True).reason == "code:pass"


def test_the_largest_block_of_programs_and_tests_wins():
    table = [[True, True, False], [True, True, False], [False, False, True], [True, False, False]]
    assert consensus(table)[0] == Block((0, 1), (0, 1))
    programs = ["def f(x): return x * 2", "def f(x): return x + x", "def f(x): return x"]
    tests = single_tests("assert f(2) == 4\nassert f(3) == 6\nassert f(3) == 3")
    best = consensus(cross(programs, tests, check_code))[0]
    assert (best.programs, best.tests) == ((0, 1), (0, 1))


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"language": "bash", "completion": "```bash\nread n\necho $((n * 2))\n```", "inputs": ["4"], "outputs": ["8"]}, "code:pass"),
        ({"language": "bash", "completion": "read n; echo $n", "inputs": ["4"], "outputs": ["8"]}, "code:fail:assertion"),
        ({"language": "sh", "completion": "exit 3", "inputs": ["4"], "outputs": ["8"]}, "code:fail:exit"),
        ({"language": "bash", "completion": "while true; do :; done", "inputs": ["4"], "outputs": ["8"]}, "code:unknown:timeout"),
        ({"language": "bash", "completion": "echo 1", "tests": "x"}, "code:unknown:no-tests"),
        (
            {"language": "js", "completion": "function add(a, b) { console.log('x'); return a + b; }", "entry_point": "add",
             "inputs": [[1, 2], [3, 4]], "outputs": [3, 7]}, "code:pass",
        ),
        (
            {"language": "js", "completion": "const f = a => a.map(x => x + 1);", "entry_point": "f", "inputs": [[[1, 2]]],
             "outputs": [[2, 4]]}, "code:fail:assertion",
        ),
        ({"language": "javascript", "completion": "process.exit(0)", "entry_point": "f", "inputs": [1], "outputs": [1]},
         "code:fail:protocol"),
        ({"language": "javascript", "completion": "require('fs').readFileSync('/etc/passwd'); console.log(1)", "inputs": [""],
          "outputs": ["1"]}, "code:fail:exit"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock"])
def test_other_languages_are_judged_by_cases(row, wanted, isolation):
    from tilth.verify.languages import language_of
    from tilth.verify.sandbox.host import Limits

    try:
        language_of(row)
    except UsageError:
        pytest.skip("the language is not installed")
    assert check_code(row, Limits(cpu=1, wall=10), isolation).reason == wanted


def test_an_unknown_language_is_named_with_the_nearest_one():
    with pytest.raises(UsageError, match="javascrip"):
        check_code({"language": "javascrip", "completion": "1", "inputs": [""], "outputs": [""]})
