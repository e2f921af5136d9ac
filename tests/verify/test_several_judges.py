from __future__ import annotations

import asyncio
import re

import pytest

from tilth.errors import UsageError
from tilth.models.base import Reply
from tilth.rows.row import Row
from tilth.verify.panel import PanelVerifier
from tilth.verify.ranking import RankingVerifier


class Roles:
    """Judges by role, each a function of what it is asked."""

    def __init__(self, **roles):
        self.roles = roles

    async def __call__(self, role, messages, *, schema=None, **sampling):
        return Reply(self.roles[role](messages))


def scores(n):
    return lambda words: f"Score: {n}"


def panel(ask, *, pair=False, **settings):
    columns = {"chosen": "4", "rejected": "5"} if pair else {"completion": "4"}
    verifier = PanelVerifier(judges=("a", "b", "c"), retries=0, **settings)
    return asyncio.run(verifier.verify_rows([Row({"prompt": "2+2?", **columns}, "r")], ask))[0]


@pytest.mark.parametrize(
    ("said", "settings", "reason", "score"),
    [
        ((5, 4, 1), {}, "panel:pass", 2 / 3),
        ((5, 1, 1), {}, "panel:fail", 1 / 3),
        ((5, 1, "?"), {}, "panel:unknown:tie", 0.5),
        (("?", "?", "?"), {}, "panel:unknown:unparsed", None),
        ((5, "?", "?"), {}, "panel:unknown:unparsed", 1.0),
        ((5, 5, "?"), {}, "panel:pass", 1.0),
        ((5, 5, 1), {"join": "mean"}, "panel:fail", 11 / 3),
        ((5, 4, 3), {"join": "mean"}, "panel:pass", 4),
        ((5, "?", "?"), {"join": "mean"}, "panel:unknown:unparsed", None),
    ],
)
def test_a_panel_is_joined_by_votes_or_by_the_mean(said, settings, reason, score):
    verdict = panel(Roles(**{r: scores(n) for r, n in zip("abc", said, strict=True)}), **settings)
    assert verdict.reason == reason
    assert verdict.score == (None if score is None else pytest.approx(score))
    assert verdict.evidence["replies"] == 3


def test_pairs_are_judged_in_both_orders_by_each_judge():
    def right(words):
        return "Better: A" if words.index("-\n4\n-") < words.index("-\n5\n-") else "Better: B"

    def always_first(words):
        return "Better: A"

    verdict = panel(Roles(a=right, b=right, c=always_first), pair=True)
    assert verdict.reason == "panel:pass"
    assert verdict.evidence["judges"] == {"a": 1.0, "b": 1.0, "c": 0.5}


def test_dawid_and_skene_listen_to_the_judge_that_can_be_trusted():
    truth = [bool(i % 2) for i in range(40)]
    rows = [Row({"prompt": f"{i}?", "completion": "x"}, str(i)) for i in range(40)]

    def judge(wrong_at):
        def say(words):
            n = int(re.search(r"(\d+)\?", words)[1])
            return f"Score: {5 if truth[n] != (n in wrong_at) else 1}"

        return say

    ask = Roles(
        a=judge(()), b=judge((1, 5)), c=judge((7,)), d=judge(range(0, 40, 3)), e=judge([*range(1, 40, 3), 5, 7])
    )
    verifier = PanelVerifier(judges=tuple("abcde"), join="dawid-skene")
    found = asyncio.run(verifier.verify_rows(rows, ask))
    assert [v.passed for v in found] == truth
    with pytest.raises(UsageError, match="3 judges"):
        PanelVerifier(judges=("a", "b"), join="dawid-skene")


def by_length(words):
    shown = re.findall(r"Answer \d+:\n-+ \w+ -+\n(\w+)\n", words)
    return " > ".join(str(i + 1) for i in sorted(range(len(shown)), key=lambda i: -len(shown[i])))


def ranked(say, answers, **settings):
    rows = [Row({"prompt": p, "completion": c}, f"{p}{i}") for p, cs in answers.items() for i, c in enumerate(cs)]
    verifier = RankingVerifier(retries=0, **settings)
    return [v.reason for v in asyncio.run(verifier.verify_rows(rows, Roles(judge=say)))]


def test_the_best_of_each_prompts_completions_pass():
    passed, failed = "ranking:pass", "ranking:fail"
    assert ranked(by_length, {"p": ["aa", "a", "aaa"], "q": ["bbb", "b"]}) == [failed, failed, passed, passed, failed]
    assert ranked(by_length, {"p": ["aa", "a", "aaa"]}, keep=2) == [passed, failed, passed]


def test_places_that_hang_on_the_order_shown_are_a_tie():
    assert ranked(lambda words: "1 > 2", {"p": ["a", "b"]}) == ["ranking:unknown:tie"] * 2
    assert ranked(lambda words: "?", {"p": ["a", "b"]}) == ["ranking:unknown:unparsed"] * 2
    assert ranked(by_length, {"p": ["a"], "q": ["a" * i for i in range(1, 14)]})[:2] == [
        "ranking:unknown:alone", "ranking:unknown:many",
    ]  # fmt: skip
    assert ranked(by_length, {"p": ["a", " ", "bb"]}) == ["ranking:fail", "ranking:unknown:no-answer", "ranking:pass"]
