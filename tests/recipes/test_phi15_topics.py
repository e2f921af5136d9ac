"""phi15-topics: readers are drawn evenly, snippets lend variety and no sentence, drift and repeats are found."""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import ModelError, Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.text.phi15_topics import READERS

PHI = load_recipe("phi15-topics")
TOPICS = [{"topic": t} for t in ("the tides", "levers", "yeast", "rainbows", "compound interest", "magnets")]
SNIPPETS = [
    {"text": f"On the quay number {n} an old sailor told me of the winter he spent alone at sea."} for n in range(9)
]
NAMES = "Ada Bo Cem Dua Eli Fay Gus Hao Ida Jon Kim Lea".split()


def author(copies: float = 0.0, drifts: float = 0.0, same: bool = False) -> Any:
    """Writes of the topic; copies the snippet or forgets the topic at these rates; or always the same passage."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if "narrower topics" in text:
            subject = text.rpartition("alike: ")[2].partition(".")[0]
            return "\n".join(f"{i}. {subject} part {'one' if i < 3 else i}" for i in range(1, 6))
        topic = re.search(r"textbook on (.*?), for", text)[1]  # type: ignore[index]
        rng = random.Random(0 if same else text)
        filler = " ".join(
            f"{rng.choice(NAMES)} and {rng.choice(NAMES)} ask why {rng.choice(NAMES)} is so." for _ in range(16)
        )
        snippet = text.rpartition("sentences:\n")[2].partition("\n")[0]
        stolen = snippet if hash_uniform("copy", text) < copies else ""
        about = "something else" if hash_uniform("drift", text) < drifts else topic
        return f"This is a page on {about}. {filler} {stolen}".strip()

    return answer


def run(answer: Any = None, rows: Any = (*TOPICS, *SNIPPETS), **settings: Any) -> Any:
    return run_recipe(PHI, rows, FunctionModel(answer or author()), **settings)


def test_every_topic_gets_its_passages_and_readers_are_drawn_evenly() -> None:
    found = run(n=6)
    assert Counter(r["topic"] for r in found.kept) == {t["topic"]: 6 for t in TOPICS}
    assert Counter(r["reader"] for r in found.kept) == dict.fromkeys(READERS, 6)
    assert {len(r.lineage.parents) for r in found.kept} == {2} and not found.skipped


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_passages_that_borrow_a_sentence_of_the_snippet_are_dropped_at_the_planted_rate(rate: float) -> None:
    found = run(author(copies=rate), n=20)
    assert abs(found.numbers.dropped["snippet:fail:copied"] - 120 * rate) <= 4 * math.sqrt(120 * rate * (1 - rate))
    assert not any("sailor told me of the winter" in r["text"] for r in found.kept)


def test_passages_that_forget_their_topic_are_dropped() -> None:
    found = run(author(drifts=0.4), n=20)
    assert abs(found.numbers.dropped["topic:fail:not-mentioned"] - 48) <= 4 * math.sqrt(120 * 0.24)
    assert all(r["topic"].split()[-1] in r["text"] for r in found.kept)


def test_a_topic_that_collapses_shows_in_repeats_and_in_the_notes() -> None:
    found = run(author(same=True), n=3)
    assert found.numbers.dropped == {"near:duplicate": 17} and found.numbers.kept == 1
    assert found.numbers.notes["topics wanted"] == 6 and found.numbers.notes["topics with a passage"] == 1


def test_topics_are_broken_into_narrower_ones_each_once() -> None:
    found = run(subtopics=5, n=1, rows=TOPICS)
    assert Counter(r["subject"] for r in found.kept) == {t["topic"]: 4 for t in TOPICS}
    assert found.numbers.notes["topics found twice"] == 6
    mute = run(lambda r, d: "no list", subtopics=5, rows=TOPICS[:2])
    assert mute.numbers.dropped == {"topics:unknown:unparsed": 2}


def test_a_benchmark_that_comes_back_is_dropped_with_its_name(tmp_path: Path) -> None:
    question = "How many goats did the miller of Lower Tarn sell in the wet spring of that year in all?"
    (tmp_path / "goats.jsonl").write_text(json.dumps({"prompt": question}) + "\n")
    found = run(lambda r, d: author()(r, d) + f" {question}", n=1, benchmarks=str(tmp_path / "goats.jsonl"))
    assert found.numbers.dropped == {"decontaminate:10-gram:goats.jsonl": 6}


def test_unfinished_short_cut_and_failed_passages_have_their_own_reasons() -> None:
    texts = [
        "Short.",
        Reply("levers " * 99, finish_reason="length"),
        "I'm sorry, I can't.",
        "levers " * 99 + "and",
        "levers " * 999 + ".",
    ]

    def answer(request: Request, draw: int) -> Any:
        number = int(hash_uniform(request.text) * 1e9) % 6
        if number == 5:
            raise ModelError("down")
        return texts[number]

    found = run(answer, [{"topic": "levers"}, *SNIPPETS, {"topic": " "}], n=60)
    assert set(found.numbers.dropped) == {
        "length:fail:short",
        "length:fail:long",
        "reply:cut",
        "reply:refusal",
        "reply:unfinished",
        "model:failed",
    }
    assert [r for _, r in found.skipped] == ["seed:empty"]


def test_phi15_topics_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(PHI, [*TOPICS, *SNIPPETS], author(copies=0.3), subtopics=3).kept
