from __future__ import annotations

import asyncio
import json
import random
import re

import pytest

from tilth.errors import UsageError
from tilth.models.base import Reply
from tilth.rows.row import Row
from tilth.verify.attributes import ATTRIBUTES, AttributesVerifier, attributes
from tilth.verify.bias import bias, without_length
from tilth.verify.judging import Asking
from tilth.verify.ranking import rank


class Says:
    """A judge that is a function of what it is asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    async def __call__(self, role, messages, *, schema=None, **sampling):
        self.asked.append(messages)
        return Reply(self.answer(messages))


FULL = json.dumps(dict.fromkeys(ATTRIBUTES, 3))


def rated(text, **settings):
    row = Row({"prompt": "2+2?", "completion": "4", "reference": "four"}, "r")
    return asyncio.run(AttributesVerifier(retries=0, **settings).verify_rows([row], Says(lambda m: text)))[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (FULL, "attributes:pass"),
        (json.dumps({**json.loads(FULL), "correctness": 2}), "attributes:fail:correctness"),
        (json.dumps({**json.loads(FULL), "verbosity": 5}), "attributes:unknown:unparsed"),
        (json.dumps({**json.loads(FULL), "verbosity": True}), "attributes:unknown:unparsed"),
        (json.dumps({"correctness": 4}), "attributes:unknown:unparsed"),
        ("all good", "attributes:unknown:unparsed"),
        (FULL[:-3], "attributes:unknown:unparsed"),
    ],
)
def test_attributes_are_read_strictly(text, reason):
    assert rated(text).reason == reason


def test_a_reference_is_shown_to_the_judge():
    judge = Says(lambda m: FULL)
    asyncio.run(attributes(judge, "2+2?", "4", reference="it is FOUR"))
    asyncio.run(attributes(judge, "2+2?", "4"))
    assert "it is FOUR" in judge.asked[0]
    assert "known to be right" not in judge.asked[1]
    with pytest.raises(UsageError):
        AttributesVerifier(least={"charm": 1})


def test_k_answers_are_ranked_in_turned_orders_so_that_position_cancels():
    answers = ["aaa", "b", "cc"]

    def by_length(words):
        shown = re.findall(r"Answer \d+:\n-+ \w+ -+\n(\w+)\n", words)
        return " > ".join(str(i + 1) for i in sorted(range(3), key=lambda i: -len(shown[i])))

    assert asyncio.run(rank(Says(by_length), "p", answers)) == [0, 2, 1]
    assert asyncio.run(rank(Says(lambda m: "1 > 2 > 3"), "p", answers)) == [1, 1, 1]
    assert asyncio.run(rank(Says(lambda m: "no"), "p", answers, how=Asking(retries=0))) is None


def test_planted_doubles_show_a_judge_that_follows_position_or_length():
    rows = [{"prompt": f"{i}?", "completion": f"answer {i}"} for i in range(4)]
    first = asyncio.run(bias(Says(lambda m: "Better: A"), rows))
    assert (first.first, first.longer, first.turned, first.read) == (1, 0.5, 1, 1)

    def longest(words):
        a, b = (part.split("-----")[2] for part in re.split(r"Answer [AB]:", words)[1:3])
        return "Better: equal" if len(a) == len(b) else f"Better: {'A' if len(a) > len(b) else 'B'}"

    long = asyncio.run(bias(Says(longest), rows))
    assert (long.first, long.longer, long.turned) == (0.5, 1, 0)
    mute = asyncio.run(bias(Says(lambda m: "hm"), rows))
    assert (mute.read, mute.first) == (0, 0.5)


def test_the_planted_effect_of_length_is_taken_out():
    rng = random.Random(0)
    lengths = [(rng.randrange(100, 900), rng.randrange(50, 500)) for _ in range(3000)]
    preferred = [float(rng.random() < 0.5 + 0.4 * ((a - b) / 900)) for a, b in lengths]
    share, coefficient = without_length(preferred, lengths)
    assert sum(preferred) / len(preferred) > 0.57
    assert share == pytest.approx(0.5, abs=0.03)
    assert coefficient > 0.3
