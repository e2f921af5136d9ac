from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.rows.row import Row
from tilth.verify.math import MathVerifier, canonical, check_answer, equal, final_answer, find_answer

CASES = [json.loads(line) for line in (Path(__file__).parent / "math_cases.jsonl").read_text().splitlines()]
MODELS = {"6b_finetuning": 286, "6b_verification": 515, "175b_finetuning": 458, "175b_verification": 742}


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c['completion'][-30:]} ~ {c['answer'][:15]}".encode("ascii", "replace").decode()
)
def test_the_table_of_answers_is_judged_as_written(case):
    verdict = check_answer(case["completion"], case["answer"])
    assert (verdict.outcome, verdict.detail) == (case["outcome"], case["detail"]), verdict.evidence


def test_the_table_has_at_least_eighty_cases():
    assert len(CASES) >= 80


def test_gsm8k_model_solutions_agree_with_the_shipped_flags_on_all_5276(data_dir):
    right = dict.fromkeys(MODELS, 0)
    seen = 0
    with gzip.open(data_dir / "gsm8k" / "example_model_solutions.jsonl.gz", "rt") as file:
        for row in map(json.loads, file):
            for model in MODELS:
                verdict = check_answer(row[model]["solution"], row["ground_truth"])
                assert verdict.passed == row[model]["is_correct"]
                right[model] += verdict.passed
                seen += 1
    assert right == MODELS
    assert seen == 5276


@pytest.mark.parametrize(("part", "rows"), [("train", 7473), ("test", 1319)])
def test_every_gsm8k_reference_answer_equals_itself(data_dir, part, rows):
    with gzip.open(data_dir / "gsm8k" / f"{part}.jsonl.gz", "rt") as file:
        answers = [json.loads(line)["answer"] for line in file]
    assert len(answers) == rows
    assert all(check_answer(a, a).passed for a in answers)


@given(st.text(max_size=300), st.text(max_size=60))
def test_any_text_gets_a_verdict_and_the_comparison_is_symmetric(completion, answer):
    assert check_answer(completion, answer).outcome in ("pass", "fail", "unknown")
    assert equal(completion, answer) == equal(answer, completion)


@given(
    st.fractions(max_denominator=10**6),
    st.sampled_from(["{}", "${}", "{} apples", "\\boxed{{{}}}", "#### {}", "The answer is {}."]),
)
def test_a_number_equals_itself_however_it_is_dressed(number, dress):
    assert check_answer(dress.format(number), str(number)).passed


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_integers_are_equal_exactly_when_they_are(a, b):
    assert equal(f"{a:,}", str(b)) == (a == b)


@given(st.integers(0, 10**9), st.integers(0, 6))
def test_trailing_zeros_do_not_matter(number, zeros):
    assert equal(f"{number}.{'0' * (zeros + 1)}", str(number)) is True
    assert canonical(f"{number}.{'0' * (zeros + 1)}") == canonical(f"{number:,}")


def test_long_hostile_answers_are_unknown_and_quick():
    for text in (
        "9" * 10**6,
        "(" * 10**5,
        "1" + ",000" * 10**5,
        "-" * 10**5 + "1",
        "1 " * 10**5,
        "\\frac" * 10**4,
        "{" * 10**5,
    ):
        assert check_answer(f"#### {text}", "7").outcome in ("unknown", "fail")
        assert check_answer(text, "7").outcome in ("unknown", "fail")
        find_answer("\\boxed{" + text)


def test_the_final_answer_is_text_or_none():
    assert final_answer("so x = 3\n#### 3 apples") == "3 apples"
    assert final_answer("I do not know") is None


def test_a_row_with_turns_is_read_like_one_with_a_completion():
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "#### 2"}]
    assert MathVerifier().verify(Row({"messages": turns, "answer": 2}, "r")).passed
    assert MathVerifier().verify(Row({"completion": None, "answer": 2}, "r")).reason == "math:unknown:no-answer"
    assert (
        MathVerifier().verify(Row({"completion": "#### 2", "answer": None}, "r")).reason == "math:unknown:no-reference"
    )
    assert MathVerifier().missing({"completion": "x"}) == "answer"
