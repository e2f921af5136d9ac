"""debate: hidden documents, quotations that are checked, and the order of the protocols."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.oversight.debate import answers_of, debate

COLOURS = ("red", "green", "blue", "grey", "brown")


def game(number: int) -> dict[str, Any]:
    colours = [COLOURS[(number + i) % 5] for i in range(3)]
    lines = [f"The {thing} of Norvik is {c}." for thing, c in zip(("lamp", "boat", "door"), colours, strict=True)]
    first, second = colours[1], COLOURS[(number + 4) % 5]
    return {
        "question": f"Which colour has the boat of Norvik {number}?", "document": " ".join(lines),
        "answers": [first, second] if number % 2 else [second, first], "answer": first,
    }  # fmt: skip


GAMES = [game(i) for i in range(60)]


def debater(request: Request, draw: int) -> str:
    """Quotes the line when it helps, makes one up when it does not."""
    text = request.text
    mine = re.search(r"^Your answer: (.*)$", text, re.M)[1]  # type: ignore[index]
    return f"It is {mine}, I am sure: <quote>The boat of Norvik is {mine}.</quote>"


def judge(request: Request, draw: int) -> str:
    """Believes verified quotations; else the one who speaks with nobody against him; else a coin."""
    text = request.text
    answers = re.findall(r"^Answer [12]: (.*)$", text, re.M)
    seen = re.findall(r"<verified>(.*?)</verified>", text) + re.findall(r"^The .*", text, re.M)
    proof = [i for i, a in enumerate(answers) if any(f"boat of Norvik is {a}" in line for line in seen)]
    if len(proof) == 1:
        return f"Seen.\nProbability: {97 if proof == [0] else 3}%"
    speakers = set(re.findall(r"^For answer ([12])", text, re.M))
    if len(speakers) == 1:
        return f"Who knows.\nProbability: {70 if speakers == {'1'} else 30}"
    return f"A coin.\nProbability: {int(100 * hash_uniform(text))}"


def held(models: Any = None, rows: Any = None, **settings: Any) -> Harvested:
    bound = models or {"debater": FunctionModel(debater), "judge": FunctionModel(judge)}
    return run_recipe(debate, rows or GAMES, bound, **settings)


def test_more_access_makes_a_better_judge() -> None:
    notes = held(protocols="unaided,consultancy,debate,full").numbers.notes
    right = {
        name: notes[f"right:{name}"] / notes[f"judged:{name}"] for name in ("unaided", "consultancy", "debate", "full")
    }
    brier = {name: notes[f"brier:{name}"] / notes[f"judged:{name}"] for name in right}
    assert right["full"] == right["debate"] == 1 and right["unaided"] < 0.75
    assert brier["full"] <= brier["debate"] < brier["consultancy"] < brier["unaided"]


def test_swapping_orders_removes_a_judges_leaning_to_the_first_answer() -> None:
    leaning = FunctionModel(lambda r, d: "Always the first.\nProbability: 80")
    harvest = held({"debater": FunctionModel(debater), "judge": leaning})
    assert {row["judge_p"] for row in harvest.kept} == {0.5}
    assert harvest.numbers.notes["right:debate"] == 30


def test_rows_hold_the_transcript_and_only_real_quotations() -> None:
    row = held(rows=GAMES[:1], rounds=2).kept[0]
    assert row["truth"] is False and row["judge_p"] == pytest.approx(0.97) and row["completion"] == "Probability: 0"
    assert [t.count("For answer") for t in row["transcript"]] == [4, 4]
    assert "<not-in-document>The boat of Norvik is brown" in row["transcript"][0]
    for spans in row["evidence_spans"]:
        assert spans and all(GAMES[0]["document"][s["start"] : s["end"]] == s["text"] for s in spans)
    assert GAMES[0]["document"] not in row["prompt"]


def test_the_judge_reads_no_more_than_there_is_room_for() -> None:
    harvest = held(rows=GAMES[:4], room=10)
    assert all(spans == [[], []] for spans in (row["evidence_spans"] for row in harvest.kept))
    assert all("<left-out/>" in row["transcript"][0] for row in harvest.kept)


def test_speeches_that_were_cut_and_judges_that_cannot_be_read_drop_the_protocol() -> None:
    cut = FunctionModel(lambda r, d: Reply("It is", finish_reason="length"))
    harvest = held({"debater": cut, "judge": FunctionModel(judge)}, GAMES[:3], protocols="debate,full")
    assert Counter(reason for _, reason in harvest.dropped) == {"reply:cut": 3} and len(harvest.kept) == 3
    mute = FunctionModel(lambda r, d: "The first, I suppose.")
    harvest = held({"debater": FunctionModel(debater), "judge": mute}, GAMES[:3])
    assert Counter(reason for _, reason in harvest.dropped) == {"judge:unknown:unparsed": 3}
    assert harvest.numbers.notes.get("judged:debate", 0) == 0


def test_answers_are_read_and_unknown_truth_stays_unknown() -> None:
    assert answers_of({"answer": "a", "wrong": "b"}) == ("a", "b", True)
    assert answers_of({"answers": ["a", "b"], "answer": "b"}) == ("a", "b", False)
    assert answers_of({"answers": ["a", "b"]}) == ("a", "b", None)
    assert answers_of({"answers": ["a", "a"]}) is None and answers_of({"answer": "a"}) is None
    row = held(rows=[{k: v for k, v in GAMES[0].items() if k != "answer"}]).kept[0]
    assert row["truth"] is None and row["judge_p"] == pytest.approx(0.03) and row.verdicts == ()
    harvest = held(rows=[{**GAMES[0], "answers": ["a"], "answer": ""}])
    assert [reason for _, reason in harvest.skipped] == ["seed:answers"]
    with pytest.raises(UsageError, match="no protocol 'debates'"):
        held(protocols="debates")


def test_a_hostile_model_loses_nothing() -> None:
    bound = {"debater": Hostile(), "judge": Hostile(seed=1)}
    harvest = held(bound, GAMES[:20], protocols="debate,consultancy,full")
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 60


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, bound = Journal(":memory:"), {"debater": FunctionModel(debater), "judge": FunctionModel(judge)}
    first = held(bound, GAMES[:5], journal=journal)
    sent = [m.sent for m in bound.values()]
    again = held(bound, GAMES[:5], journal=journal)
    assert [m.sent for m in bound.values()] == sent
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
