"""critique: real flaws are quoted, helpful critiques kept, and the judge is measured with and without them."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.oversight.critique import critique, critique_problem, helped, truth_of

_SUM = re.compile(r"(\d+) \+ (\d+) = (\d+)")


def claim(number: int) -> dict[str, Any]:
    """A sum of four in three steps, the second of which is off by one in every other claim."""
    a, b, c, d = 10 + number, 3 + number % 7, 5, 8
    second = a + b + c + (number % 2)
    steps = [f"{a} + {b} = {a + b}", f"{a + b} + {c} = {second}", f"{second} + {d} = {second + d}"]
    return {
        "prompt": f"How much is {a} + {b} + {c} + {d}?", "completion": "\n".join(steps) + f"\n#### {second + d}",
        "answer": str(a + b + c + d),
    }  # fmt: skip


CLAIMS = [claim(i) for i in range(200)]


def critic(finds: float = 1.0) -> FunctionModel:
    """Quotes the false step when it finds it; otherwise accuses a right one, or sees nothing wrong."""

    def write(request: Request, draw: int) -> str:
        answer = request.text.split("Answer:\n")[1]
        steps = [m for m in _SUM.finditer(answer)]
        wrong = [m for m in steps if int(m[1]) + int(m[2]) != int(m[3])]
        if wrong and hash_uniform(request.text, draw) < finds:
            return f"<quote>{wrong[0][0]}</quote> is off."
        return "No flaw: I added again." if not wrong else f"<quote>{steps[0][0]}</quote> looks odd."

    return FunctionModel(write, f"critic?{finds}")


def judge(request: Request, draw: int) -> str:
    """Checks the one step that a critique quotes; without one it is a coin."""
    text = request.text
    quoted = re.search(r"Critique:\n.*?<quote>(.*?)</quote>", text, re.S)
    if quoted:
        a, b, c = map(int, _SUM.search(quoted[1]).groups())  # type: ignore[union-attr]
        return f"I checked.\nProbability: {5 if a + b != c else 75}"
    if "Critique:" in text:
        return "Probability: 90"
    return f"Probability: {30 + int(40 * hash_uniform(text))}"


def criticised(model: Any = None, rows: Any = None, says: Any = judge, **settings: Any) -> Harvested:
    bound = {"critic": model or critic(), "judge": says if hasattr(says, "send") else FunctionModel(says)}
    return run_recipe(critique, rows or CLAIMS, bound, **settings)


def test_a_judge_with_critiques_is_better_than_without() -> None:
    harvest = criticised(n=1)
    notes = harvest.numbers.notes
    assert notes["judged"] == 200 and notes["right:with"] == 200
    assert abs(notes["right:without"] / 200 - 0.5) < 4 * math.sqrt(0.25 / 200)
    assert len(harvest.kept) == 200 and all(row["gain"] >= 0.05 for row in harvest.kept)


def test_a_critic_that_finds_a_share_of_the_flaws_gives_that_share_of_right_judgements() -> None:
    found = 0.7
    harvest = criticised(critic(found), n=1)
    # right claims are always confirmed; false ones are seen when the critic finds the step
    expected = 0.5 + 0.5 * found
    assert abs(harvest.numbers.notes["right:with"] / 200 - expected) < 4 * math.sqrt(0.25 * found * (1 - found) / 200)
    reasons = Counter(reason for _, reason in harvest.dropped)
    assert set(reasons) <= {"critique:fail:misleading", "critique:fail:unhelpful"}
    assert all(row["judge_with"] == 0.05 for row in harvest.kept if row["truth"] is False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<quote>3 + 4 = 8</quote> is off.", None),
        ("<quote>3 + 4 = 9</quote> is off.", "critique:not-in-answer"),
        ("<quote>3 + 4 = 8</quote> and <quote>more</quote>", "critique:not-in-answer"),
        ("No flaw, I added again.", None),
        ("It is bad.", "critique:no-quote"),
        ("", "critique:no-quote"),
    ],
)
def test_a_critique_quotes_the_answer_or_finds_no_flaw(text: str, problem: str | None) -> None:
    assert critique_problem(text, "First 3 + 4 = 8.\n#### 8") == problem


def test_the_gain_decides_at_its_edge() -> None:
    assert helped(0.05, 0.05).passed
    assert helped(0.049, 0.05).reason == "critique:fail:unhelpful"
    assert helped(-0.05, 0.05).reason == "critique:fail:misleading"
    assert helped(None, 0.05).reason == "critique:unknown:judge-unparsed"


def test_truth_is_a_column_or_the_answer_or_unknown() -> None:
    assert truth_of({"correct": False, "answer": "8"}, "#### 8") is False
    assert truth_of({"answer": "8"}, "#### 8") is True and truth_of({"answer": "9"}, "#### 8") is False
    assert truth_of({}, "#### 8") is None and truth_of({"answer": "8"}, "it depends") is None


def test_unknown_truth_keeps_all_that_can_be_read() -> None:
    rows = [{k: v for k, v in row.items() if k != "answer"} for row in CLAIMS[:10]]
    harvest = criticised(rows=rows)
    assert len(harvest.kept) == 20 and all(r["gain"] is None and r["truth"] is None for r in harvest.kept)


def test_faults_have_their_reasons() -> None:
    replies = [
        Reply("It is"),
        Reply("<quote>nowhere</quote>"),
        Reply("No flaw", finish_reason="length"),
        Reply("No flaw"),
    ]
    mute = FunctionModel(lambda r, d: "Who knows." if "Critique:" in r.text else "Probability: 50")
    harvest = criticised(FunctionModel(lambda r, d: replies[d]), CLAIMS[:1], mute, n=4)
    assert [reason for _, reason in harvest.dropped] == [
        "critique:no-quote", "critique:not-in-answer", "reply:cut", "judge:unknown:unparsed",
    ]  # fmt: skip
    harvest = criticised(rows=[{"prompt": "Why?", "completion": ""}])
    assert [reason for _, reason in harvest.skipped] == ["seed:empty"]


def test_a_hostile_model_loses_nothing() -> None:
    harvest = criticised(Hostile(), CLAIMS[:30], Hostile(seed=1))
    assert harvest.failed == [] and harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 60


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model, said = Journal(":memory:"), critic(0.5), FunctionModel(judge)
    first = criticised(model, CLAIMS[:20], said, journal=journal)
    sent = model.sent, said.sent
    again = criticised(model, CLAIMS[:20], said, journal=journal)
    assert (model.sent, said.sent) == sent
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
