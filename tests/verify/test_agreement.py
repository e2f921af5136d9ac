from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.errors import UsageError
from tilth.rows.row import Row
from tilth.verify.agreement import AgreementVerifier, majority, semantic_entropy


def verdicts(completions, **settings):
    rows = [Row({"prompt": "q", "completion": c}, str(i)) for i, c in enumerate(completions)]
    return [v.reason for v in asyncio.run(AgreementVerifier(**settings).verify_rows(rows))]


def test_spellings_of_one_number_vote_together():
    vote = majority(["1,000", "1000.0", "$1000", "7", None])
    assert (vote.answer, vote.key, vote.share, vote.tie, vote.voters) == ("1,000", "1000", 3 / 5, False, 5)


def test_a_tie_names_no_answer():
    assert majority(["1", "2"]).tie
    assert majority(["1", "2"]).answer is None
    assert majority([]).share == 0
    assert majority([None, " "]).answer is None


@given(st.lists(st.sampled_from(["1", "2", "3", None]), max_size=12))
def test_a_vote_counts_every_voter_once(answers):
    vote = majority(answers)
    assert sum(n for _, n in vote.counts) == sum(a is not None for a in answers)
    assert vote.voters == len(answers)
    if vote.answer is not None:
        assert vote.share == answers.count(vote.answer) / len(answers)


def test_rows_pass_with_the_majority_of_their_prompt():
    assert verdicts(["#### 5", "#### 5.0", "#### 6"]) == ["agreement:pass", "agreement:pass", "agreement:fail"]
    assert verdicts(["#### 5", "#### 6"]) == ["agreement:unknown:tie"] * 2
    assert verdicts(["#### 5"]) == ["agreement:unknown:few-voters"]
    assert verdicts(["#### 5", "#### 5", "#### 6", "", "none"]) == [
        "agreement:unknown:weak",
        "agreement:unknown:weak",
        "agreement:unknown:weak",
        "agreement:unknown:no-answer",
        "agreement:unknown:no-answer",
    ]
    assert verdicts(["#### 5", "#### 5", "#### 6", "", ""], least=0.4)[0] == "agreement:pass"


def test_prompts_vote_apart():
    rows = [
        Row({"prompt": p, "completion": c}, p + c)
        for p, c in [("a", "1"), ("b", "2"), ("a", "1"), ("b", "2"), ("a", "2")]
    ]
    got = asyncio.run(AgreementVerifier().verify_rows(rows))
    assert [v.outcome for v in got] == ["pass", "pass", "pass", "pass", "fail"]


def test_entropy_of_four_four_one_one_is_the_published_threshold():
    assert semantic_entropy([4, 4, 1, 1]) == pytest.approx(1.1935, abs=1e-4)
    assert semantic_entropy([10]) == 0
    assert semantic_entropy([]) == 0
    assert semantic_entropy([1] * 8) == pytest.approx(math.log(8))


def test_a_share_beyond_one_is_refused():
    with pytest.raises(UsageError, match="not a share"):
        AgreementVerifier(least=5)
