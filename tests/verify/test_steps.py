from __future__ import annotations

import gzip
import json
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.verify.steps import annotation_right, check_steps, equations, value


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("48/2 = 24", [True]),
        ("Natalia sold 48/2 = <<48/2=24>>24 clips.", [True]),
        ("She has 3 + 4 = 7 apples.", [True]),
        ("5 x 3 = 15", [True]),
        ("5 × $3 = $15", [True]),
        ("20% of 50 = 10", [True]),
        ("100 ÷ 3 = 33.33", [True]),
        ("100 / 3 = 33", [True]),
        ("7 * 8 = 54 dollars", [False]),
        ("$1,000 + $500 = $1,500.", [True]),
        ("(3 + 4) * 2 = 14", [True]),
        ("1. 3 + 4 = 8", [False]),
        ("3 + 4 = 7 = 14/2", [True]),
        ("25/100 = 25%", [True]),
        ("total: 3+4=8", [False]),
        ("1152/ 1/2 = 2304", [True]),
        ("<<11/18*162=99.00000000000001>>", [True]),
        ("y = 2 + 3 = 6", [False]),
        ("3 + 4 ≈ 7", [True]),
        ("2x + 3 = 7", []),
        ("f(3+4) = 9", []),
        ("6:00+48 = 6:48", []),
        ("in 2020 3 + 4 = 8", []),
        ("a + 3 + 4 = 9", []),
        ("x = 5", []),
        ("no numbers", []),
        ("9**9**9 = 3", []),
        ("", []),
        ("2^3 + 1 = 9", []),
        ("3 + 4 = x", []),
        ("1/0 = 5", []),
    ],
)
def test_equations_are_found_and_recomputed(text, right):
    assert [e.right for e in equations(text)] == right


def test_the_first_wrong_step_is_named():
    verdict = check_steps("2 + 2 = 4\n\n3 * 3 = 10\n4 + 4 = 9")
    assert verdict.reason == "steps:fail:arithmetic"
    assert verdict.evidence["first_wrong_step"] == 1
    assert verdict.evidence["equation"] == "3 * 3 = 10"
    assert check_steps("nothing to see").reason == "steps:unknown:no-equation"


@given(st.integers(-999, 999), st.integers(-999, 999), st.sampled_from("+-*"))
def test_right_equations_pass_and_wrong_ones_fail(a, b, sign):
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert annotation_right(f"{a}{sign}{b}={result}") is True
    assert annotation_right(f"{a}{sign}{b}={result + 1}") is False


@given(st.text(alphabet="0123456789+-*/(). ,%=<>x$", max_size=60))
def test_no_text_breaks_the_evaluator(text):
    found = value(text)
    assert found is None or isinstance(found, Fraction)
    list(equations(text))


def test_hostile_expressions_are_left_alone():
    for text in (
        "(" * 10**5,
        "-" * 10**5 + "1 = 2",
        "9" * 10**5 + "+1 = 2",
        "1+" * 10**5 + "1 = 2",
        "= " * 10**4,
        "<<" * 10**4,
    ):
        assert list(equations(text)) == []


def test_no_calculator_annotation_of_gsm8k_is_wrong(data_dir):
    found = []
    for part in ("train", "test"):
        with gzip.open(data_dir / "gsm8k" / f"{part}.jsonl.gz", "rt") as file:
            found += [a for line in file for a in re.findall(r"<<(.*?)>>", json.loads(line)["answer"])]
    assert len(found) == 27_998
    verdicts = [annotation_right(a) for a in found]
    assert verdicts.count(False) == 0
    assert [a for a, v in zip(found, verdicts, strict=True) if v is None] == ["560//10=56", "180//3=60"]


def test_a_wrong_shown_equation_nearly_always_means_a_wrong_answer(data_dir):
    wrong, of_those_right = 0, 0
    with gzip.open(data_dir / "gsm8k" / "example_model_solutions.jsonl.gz", "rt") as file:
        for row in map(json.loads, file):
            for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
                if check_steps(row[model]["solution"]).outcome == "fail":
                    wrong += 1
                    of_those_right += row[model]["is_correct"]
    assert wrong > 100
    assert of_those_right / wrong < 0.1
