"""instruction-backtranslation: segments, anchored scores, bounded retries, and what iterations show the judge."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import ModelError, Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.backtranslation import (
    SEED_TAG,
    SEGMENT,
    WEB_TAG,
    instruction_backtranslation,
    instruction_problem,
    parse_instruction,
    parse_score,
    segment_problem,
    segments,
)

TOPICS = [f"topic{n:02d}" for n in range(40)]
DOCUMENTS = [{"text": f"All about {topic}. " + f"One more thing on {topic} is known. " * 40} for topic in TOPICS]
PAIRS = [{"prompt": f"What of seed {n}?", "completion": f"Seed {n} is a fine thing to know."} for n in range(5)]


def topic_of(text: str) -> str:
    return re.findall(r"topic\d\d", text)[-1]


def oracle(request: Request, draw: int, error: float = 0.3) -> str:
    """Writes the instruction that a document answers, wrong for three in ten; the judge knows which."""
    if request.role == "backward":
        topic = topic_of(request.text)
        wrong = random.Random(topic).random() < error
        return f"Request: What is there to know about {'something else' if wrong else topic}?"
    pair = request.text.rsplit("<request>", 1)[1]
    instruction, reply = pair.split("</request>", 1)
    return f"Looked at it.\nScore: {5 if topic_of(reply) in instruction else 2}"


def translated(answer: Any = oracle, rows: Any = DOCUMENTS, **settings: Any) -> Harvested:
    return run_recipe(instruction_backtranslation, rows, FunctionModel(answer), **settings)


def reasons(harvest: Harvested) -> Counter[str]:
    return Counter(reason for _, reason in harvest.dropped)


def web(harvest: Harvested) -> list[Any]:
    return [row for row in harvest.kept if row["source"] == "web"]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Reasons.\nScore: 4", 4),
        ("Reasons.\n**Score: 5**", 5),
        ("Reasons.\nScore: 3/5", 3),
        ("Reasons.\n2", 2),
        ("Score: 4\nBut on reflection it is weak.", None),
        ("Score: 91", None),
        ("Score: 10502", None),
        ("Score: 0", None),
        ("Score: 6", None),
        ("Score: 4.5", None),
        ("Score: 4/10", None),
        ("I would say 4 or 5", None),
        ("", None),
    ],
)
def test_a_score_counts_on_the_last_line_and_in_range_only(text: str, score: int | None) -> None:
    assert parse_score(text) == score


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a" * 999, "short"),
        ("a" * 1000, None),
        ("a" * 2200, None),
        ("a" * 2201, "long"),
        ("a" * 1000 + "\nfour\n", "line"),
        ("a" * 1000 + "\nfives\n", None),
        ("a" * 600 + "\n\n" + "b" * 600, None),
    ],
)
def test_segments_have_a_window_of_lengths_and_no_stubs_of_lines(text: str, problem: str | None) -> None:
    assert segment_problem(text) == problem


def test_documents_are_cut_at_headings_and_long_passages_at_blank_lines() -> None:
    text = "intro\n\n# One\n" + "x" * 1500 + "\n\nTwo\n===\n" + "\n\n".join(["y" * 900] * 4)
    found = segments(text)
    assert [s[:5] for s in found] == ["intro", "# One", "Two\n=", "yyyyy"]
    assert [len(s) for s in found] == [5, 1506, 8 + 900 * 2 + 2, 1802]
    assert segments("") == [] and segments(" \n ") == []


@given(st.text(alphabet="ab #=\n-", max_size=300), st.integers(0, 30))
def test_cutting_a_document_loses_no_word(text: str, stretch: int) -> None:
    text = text * (stretch + 1)
    assert "".join("".join(segments(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(("size", "problem"), [(9, "short"), (10, None), (800, None), (801, "long")])
def test_instructions_have_a_window_of_lengths(size: int, problem: str | None) -> None:
    expected = problem and f"instruction:{problem}"
    assert instruction_problem("x" * size, Reply("x")) == expected
    assert instruction_problem("x" * size, Reply("x", finish_reason="length")) == "reply:cut"
    assert parse_instruction(" **Instruction:** Say it.\n") == "Say it."


def test_curation_keeps_the_pairs_that_belong_together() -> None:
    harvest = translated()
    right = [t for t in TOPICS if random.Random(t).random() >= 0.3]
    assert [topic_of(row["instruction"]) for row in web(harvest)] == right
    assert reasons(harvest) == {"curation:fail:score-2": 40 - len(right)}
    for row in web(harvest):
        assert row["completion"][0]["content"] in {d["text"].strip() for d in DOCUMENTS}
        assert row["scores"] == [5, 5] and row["score"] == 5
        assert row.verdicts[0].evidence["parse_rate"] == [1.0, 1.0]


def test_a_higher_threshold_never_adds_rows() -> None:
    def mixed(request: Request, draw: int) -> str:
        if request.role == "backward":
            return oracle(request, draw)
        return f"Hm.\nScore: {random.Random(request.text).randint(1, 5)}"

    kept = [{row["instruction"] + row["completion"][0]["content"] for row in web(translated(
        mixed, threshold=t, iterations=1))} for t in (1, 3, 4, 5)]  # fmt: skip
    assert kept[3] < kept[2] < kept[1] < kept[0] and len(kept[0]) == 40


def test_seed_and_web_rows_carry_different_system_messages() -> None:
    harvest = translated(rows=[*PAIRS, *DOCUMENTS])
    tags = {row["source"]: row["prompt"][0]["content"] for row in harvest.kept}
    assert tags == {"seed": SEED_TAG, "web": WEB_TAG} and SEED_TAG != WEB_TAG
    assert sum(row["source"] == "seed" for row in harvest.kept) == 5
    assert {row["source"] for row in translated(rows=[*PAIRS, *DOCUMENTS], add_seeds=False).kept} == {"web"}


def test_seed_pairs_are_shown_reversed_from_rows_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(p) + "\n" for p in PAIRS))
    asked: list[str] = []

    def spy(request: Request, draw: int) -> str:
        asked.append(request.text if request.role == "backward" else "")
        return oracle(request, draw)

    translated(spy, pairs=str(file), shots=2)
    assert all(text.count("is a fine thing") == 2 for text in asked if text)
    asked.clear()
    translated(spy, rows=[*PAIRS, *DOCUMENTS])
    assert all(text.count("is a fine thing") == 3 for text in asked if text)
    asked.clear()
    translated(spy)
    assert not any("is a fine thing" in text for text in asked)


def test_from_the_second_iteration_the_judge_is_shown_kept_pairs_but_never_the_one_it_judges() -> None:
    shown: list[int] = []

    def spy(request: Request, draw: int) -> str:
        if request.role == "judge":
            parts = request.text.split("<reply>")
            shown.append(len(parts) - 2)
            judged = topic_of(parts[-1])
            assert all(judged not in part.split("</reply>")[0] for part in parts[1:-1])
        return oracle(request, draw)

    translated(spy, iterations=3)
    assert shown == [0] * 40 + [3] * 80


def test_nothing_kept_ends_the_iterations() -> None:
    model = FunctionModel(lambda r, d: oracle(r, d) if r.role == "backward" else "Score: 1")
    harvest = run_recipe(instruction_backtranslation, DOCUMENTS, model, iterations=4)
    assert harvest.kept == [] and model.sent == 80


def test_a_score_that_cannot_be_read_is_drawn_again_a_bounded_number_of_times_and_then_unknown() -> None:
    def late(request: Request, draw: int) -> str:
        if request.role == "backward":
            return oracle(request, draw, 0)
        topic = topic_of(request.text.rsplit("<reply>", 1)[1])
        readable = {0: 0, 1: 1, 2: 2, 3: 9}[int(topic[-1]) % 4]
        first = request.sampling["temperature"] == 0
        return "Reasons.\nScore: 5" if readable <= (0 if first else draw + 1) else "Somewhere between 4 and 5."

    model = FunctionModel(late)
    harvest = run_recipe(instruction_backtranslation, DOCUMENTS, model, iterations=1)
    assert reasons(harvest) == {"curation:unknown:unparsed": 8}
    assert Counter(row.verdicts[0].evidence["draws"] for row in harvest.kept) == {1: 12, 2: 12, 3: 8}
    assert harvest.dropped[0][0].verdicts[0].evidence["draws"] == 3
    assert harvest.kept[0].verdicts[0].evidence["parse_rate"] == [0.8]
    assert model.sent == 40 + 12 + 2 * 12 + 3 * 8 + 3 * 8


def test_segments_and_rows_that_are_no_use_are_put_aside_with_their_reason() -> None:
    rows = [*DOCUMENTS[:2], DOCUMENTS[0], {"text": "short"}, {"text": " "}, {"text": "", "prompt": "only half"}]
    harvest = translated(rows=rows)
    assert {"segment:duplicate", "segment:short"} <= set(reasons(harvest))
    assert Counter(reason for _, reason in harvest.skipped) == {"seed:empty": 2}
    assert SEGMENT == (1000, 2200)


def test_a_failed_request_costs_one_row() -> None:
    def flaky(request: Request, draw: int) -> str:
        if random.Random(request.text).random() < 0.2:
            raise ModelError("no answer")
        return oracle(request, draw)

    harvest = translated(flaky)
    assert harvest.failed == [] and reasons(harvest)["model:failed"] > 3 and len(harvest.kept) > 5
    assert harvest.numbers.candidates == 40


def test_a_hostile_model_loses_nothing() -> None:
    for seed in range(3):
        harvest = run_recipe(instruction_backtranslation, [*PAIRS, *DOCUMENTS], Hostile(seed=seed))
        assert harvest.failed == [] and len(harvest.kept) + len(harvest.dropped) == 45


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), FunctionModel(oracle)
    first = run_recipe(instruction_backtranslation, DOCUMENTS, model, journal=journal)
    sent = model.sent
    again = run_recipe(instruction_backtranslation, DOCUMENTS, model, journal=journal)
    assert model.sent == sent == 40 * 3
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
