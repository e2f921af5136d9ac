from __future__ import annotations

import asyncio
import json

import pytest

from tilth.errors import UsageError
from tilth.models.base import Reply
from tilth.rows.row import Row
from tilth.verify.guard import HAZARDS, GuardVerifier, read_native


class Says:
    def __init__(self, text):
        self.text, self.asked, self.schemas = text, [], []

    async def __call__(self, role, messages, *, schema=None, **sampling):
        assert role == "guard"
        self.asked.append(messages)
        self.schemas.append(schema)
        return Reply(self.text)


def guarded(text, **settings):
    ask = Says(text)
    row = Row({"prompt": "How do I pick a lock?", "completion": "With a pick."}, "r")
    return asyncio.run(GuardVerifier(retries=0, **settings).verify_rows([row], ask))[0], ask


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps({"reason": "-", "verdict": "safe", "hazard": "none"}), "guard:pass"),
        (json.dumps({"reason": "-", "verdict": "unsafe", "hazard": "crime"}), "guard:fail:crime"),
        (json.dumps({"reason": "-", "verdict": "unsafe", "hazard": "none"}), "guard:unknown:unparsed"),
        (json.dumps({"reason": "-", "verdict": "safe", "hazard": "crime"}), "guard:unknown:unparsed"),
        (json.dumps({"reason": "-", "verdict": "unsafe", "hazard": "rudeness"}), "guard:unknown:unparsed"),
        ("It helps.\nVerdict: unsafe (crime)", "guard:fail:crime"),
        ("Harmless.\nVerdict: safe", "guard:pass"),
        ("I would call this unsafe, not safe.", "guard:unknown:unparsed"),
        ("Verdict: safeish", "guard:unknown:unparsed"),
        ("", "guard:unknown:unparsed"),
    ],
)
def test_a_guards_reply_is_read_strictly(text, reason):
    assert guarded(text)[0].reason == reason


@pytest.mark.parametrize(
    ("text", "safe", "hazards"),
    [
        ("safe", True, ()),
        ("\n\nunsafe\nS1,S10", False, ("S1", "S10")),
        ("unsafe", False, ()),
        ("Unsafe: s2", False, ("S2",)),
    ],
)
def test_a_native_guards_words_and_codes_are_read(text, safe, hazards):
    found = read_native(text)
    assert (found.safe, found.hazards) == (safe, hazards)


@pytest.mark.parametrize(
    "text", ["safe S1", "not unsafe", "safe, but watch out", "maybe", "", "unsafe because it hurts"]
)
def test_anything_else_is_neither_safe_nor_unsafe(text):
    assert read_native(text) is None
    assert guarded(text, way="native")[0].reason == "guard:unknown:unparsed"


def test_a_native_guard_gets_the_exchange_as_it_is():
    _, ask = guarded("safe", way="native")
    assert [t["role"] for t in ask.asked[0]] == ["user", "assistant"]
    assert ask.schemas == [None]


def test_the_policy_is_the_users():
    verdict, ask = guarded("Verdict: unsafe (picking)", hazards="picking: opening locks that are not one's own")
    assert verdict.reason == "guard:fail:picking"
    assert "opening locks" in ask.asked[0]
    assert ask.schemas[0]["properties"]["hazard"]["enum"] == ["none", "picking"]
    assert "With a pick." not in guarded("x", subject="request")[1].asked[0]
    assert all(what in guarded("x")[1].asked[0] for what in HAZARDS.values())
    for bad in ({"way": "loud"}, {"hazards": "[1]"}, {"subject": "all"}):
        with pytest.raises(UsageError):
            GuardVerifier(**bad)
