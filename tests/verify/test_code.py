from __future__ import annotations

import asyncio
import gzip
import json
import zipfile
from collections import Counter

import pytest

from tilth.errors import SandboxError, UsageError
from tilth.rows.row import Row
from tilth.verify.assemble import UnreadyError, assemble
from tilth.verify.code import CodeVerifier, check_code
from tilth.verify.sandbox import host
from tilth.verify.sandbox.host import Limits

pytestmark = pytest.mark.sandbox
PROMPT = 'import math\n\n\ndef area(r):\n    """Area of a circle."""\n'
CHECK = "def check(candidate):\n    assert abs(candidate(1) - 3.14159) < 1e-4\n"


def load(path):
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def humaneval(data_dir, solution):
    return [
        Row(
            {"prompt": r["prompt"], "completion": solution(r), "tests": r["test"], "entry_point": r["entry_point"]},
            r["task_id"],
        )
        for r in load(data_dir / "humaneval" / "HumanEval.jsonl.gz")
    ]


def verified(rows, **settings):
    return asyncio.run(CodeVerifier(**settings).verify_rows(rows))


@pytest.mark.parametrize(
    ("completion", "form"),
    [
        ("    return math.pi * r * r\n", "prompt+completion"),
        ("return math.pi * r * r", "prompt+indented"),
        ("x = r * r\nreturn math.pi * x", "prompt+indented"),
        ("x = r * r\n    return math.pi * x", "prompt+indented"),
        ("def area(r):\n    return math.pi * r * r", "prompt+completion"),
        ("Here:\n```python\ndef area(r):\n    return math.pi * r * r\n```\nDone.", "prompt+completion"),
        (
            "```python\nprint(area(2))\n```\n```python\ndef area(r):\n    return math.pi * r * r\n```",
            "prompt+completion",
        ),
        (PROMPT + "    return math.pi * r * r\n", "prompt+completion"),
    ],
)
def test_a_completion_is_joined_to_its_prompt_whatever_form_it_has(completion, form):
    row = {"prompt": PROMPT, "completion": completion, "tests": CHECK, "entry_point": "area"}
    assert assemble(row).form == form
    verdict = check_code(row)
    assert (verdict.reason, verdict.tier) == ("code:pass", "A"), verdict


def test_a_prompt_in_words_is_not_code():
    row = {"prompt": "Write a function.", "completion": "def f(x):\n    return x", "tests": ["assert f(1) == 1"]}
    assert assemble(row).form == "completion"
    assert check_code(row).passed


@pytest.mark.parametrize(
    ("completion", "tests", "reason"),
    [
        ("def f(x): return x", "assert f(1) == 1", "code:pass"),
        ("def f(x): return x", "assert f(1) == 2", "code:fail:assertion"),
        ("def f(x): return x[0]", "assert f(1) == 2", "code:fail:TypeError"),
        ("def g(x): return x", "assert f(1) == 2", "code:fail:NameError"),
        ("def f(x: return x", "assert f(1) == 2", "code:fail:SyntaxError"),
        ("def f(x): raise KeyError(x)", "try:\n    f(1)\nexcept KeyError:\n    assert f", "code:pass"),
        ("", "assert f(1) == 2", "code:unknown:no-answer"),
        ("def f(x): return x", "f(1)", "code:unknown:no-tests"),
        ("def f(x): return x", "assert f", "code:unknown:unsupported"),
        ("LIMIT = [1, 2]", "assert LIMIT == [1, 2]", "code:pass"),
        ("def f(x): return x", "assert (", "code:unknown:unsupported"),
        ("def f(x): x.append(1)", "a = [0]\nf(a)\nassert a == [0, 1]", "code:pass"),
        ("def f(g): return g(2)", "assert f(lambda x: x + 1) == 3", "code:pass"),
        ("def f():\n    yield 1\n    yield 2", "assert list(f()) == [1, 2]", "code:pass"),
        ("def f(): return {1: (2, [3.5, None, {4}])}", "assert f() == {1: (2, [3.5, None, {4}])}", "code:pass"),
        ("def f(): return 2 ** 5000", "assert f() == 2 ** 5000", "code:pass"),
        ("def f(x): return x", "def test_it():\n    assert f(1) == 2", "code:fail:assertion"),
        (
            "def f(x): return x",
            "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f(1), 1)",
            "code:pass",
        ),
        ("class P:\n    def __init__(self): self.x = 1", "p = P()\np.x = 3\nassert p.x == 3", "code:pass"),
        ("class P:\n    def __eq__(self, o): return True", "assert P() == P()", "code:unknown:unsupported"),
        ("def sum(a, b): return a - b", "assert sum(3, 1) == 2", "code:pass"),
        ("from math import isclose\ndef f(x): return x", "assert isclose(f(1), 1.0)", "code:pass"),
        (
            "def isclose(a, b): return True\ndef abs(x): return 0\ndef f(x): return x",
            "assert abs(f(1) - 9) < 1",
            "code:fail:assertion",
        ),
        ("def f(x):\n    while True: pass", "assert f(1) == 1", "code:unknown:timeout"),
        ("def f(x): raise StopIteration", "assert all(map(lambda x: f(x) == 7, [1, 2]))", "code:fail:StopIteration"),
        ("import os\ndef f(x): os._exit(0)", "try:\n    f(1)\nexcept:\n    pass\nassert True", "code:fail:exit"),
    ],
)
def test_outcomes_are_told_apart(completion, tests, reason):
    verdict = check_code({"completion": completion, "tests": tests}, Limits(cpu=1, wall=8))
    assert verdict.reason == reason, verdict


def test_cases_of_arguments_and_of_standard_input_are_run():
    row = {
        "completion": "def add(a, b): return a + b",
        "inputs": [[1, 2], [3, 4]],
        "outputs": [3, 7],
        "entry_point": "add",
    }
    assert check_code(row).passed
    assert check_code({**row, "outputs": [3, 8]}).reason == "code:fail:assertion"
    script = {
        "completion": "if __name__ == '__main__':\n    print(int(input()) * 2)",
        "inputs": ["1\n", "4\n"],
        "outputs": ["2", "8\n"],
    }
    assert check_code(script).passed
    assert check_code({**script, "outputs": ["2", "9"]}).reason == "code:fail:assertion"
    assert check_code({**script, "completion": "import sys\nsys.exit(3)"}).reason == "code:fail:exit"
    assert check_code({**script, "inputs": [], "outputs": []}).reason == "code:unknown:no-tests"


def test_a_row_without_tests_is_told_so():
    with pytest.raises(UnreadyError):
        assemble({"completion": "def f(): pass", "tests": None})
    assert CodeVerifier().missing({"completion": "x"}) == "tests"


def test_evidence_is_the_same_on_every_run():
    row = {
        "completion": "class A: pass\nprint(A())\ndef f(x): raise ValueError(repr(A()))",
        "tests": "assert f(1) == 1",
    }
    first = check_code(row)
    assert first == check_code(row)
    assert "0x7" not in json.dumps(first.as_dict())


def test_without_a_sandbox_nothing_runs(monkeypatch):
    def refuse(isolation):
        raise SandboxError(f"no {isolation}")

    monkeypatch.setattr(host, "require", refuse)
    host.best_isolation.cache_clear()
    try:
        with pytest.raises(SandboxError, match="bubblewrap") as caught:
            check_code({"completion": "def f(x): return x", "tests": "assert f(1) == 1"})
        assert caught.value.exit_code == 2
        assert "apt-get install bubblewrap" in caught.value.todo
    finally:
        host.best_isolation.cache_clear()


def test_no_isolation_has_to_be_asked_for_and_marks_the_verdict():
    row = Row({"completion": "def f(x): return x", "tests": "assert f(1) == 1"}, "r")
    assert [(v.reason, v.tier) for v in verified([row], isolation="none")] == [("code:pass", "none")]
    with pytest.raises(UsageError, match="isolation"):
        CodeVerifier(isolation="chroot")


def test_humaneval_references_pass(data_dir):
    assert Counter(v.reason for v in verified(humaneval(data_dir, lambda r: r["canonical_solution"]))) == {
        "code:pass": 164
    }


def mbpp(data_dir):
    rows = [r for r in load(data_dir / "mbpp" / "mbpp.jsonl.gz") if 11 <= r["task_id"] <= 510]
    return [
        Row(
            {"prompt": r["text"], "completion": r["code"], "tests": r["test_list"], "setup": r["test_setup_code"]},
            str(r["task_id"]),
        )
        for r in rows
    ]


def cruxeval(data_dir):
    rows = load(data_dir / "cruxeval" / "cruxeval.jsonl.gz")
    return [Row({"completion": r["code"], "tests": f"assert f({r['input']}) == {r['output']}"}, r["id"]) for r in rows]


@pytest.mark.parametrize("benchmark", [mbpp, cruxeval])
def test_a_tenth_of_the_references_pass(data_dir, benchmark):
    rows = benchmark(data_dir)[::10]
    assert Counter(v.reason for v in verified(rows)) == {"code:pass": len(rows)}


@pytest.mark.long
@pytest.mark.parametrize(("benchmark", "size"), [(mbpp, 500), (cruxeval, 800)])
def test_all_references_pass(data_dir, benchmark, size):
    assert Counter(v.reason for v in verified(benchmark(data_dir))) == {"code:pass": size}


@pytest.mark.long
def test_wavecoder_solutions_agree_with_the_shipped_status_on_all_164(data_dir):
    with zipfile.ZipFile(data_dir / "wavecoder" / "humaneval.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith("eval_results.json"))
        shipped = json.loads(archive.read(name))["eval"]
    rows = humaneval(data_dir, lambda r: shipped[r["task_id"]][0]["solution"])
    got = verified(rows)
    assert [v.passed for v in got] == [shipped[r.id][0]["base_status"] == "pass" for r in rows]
    assert sum(v.passed for v in got) == 131
