"""qa-from-documents, over an invented encyclopedia: quotations are exact, missing facts are abstained from, conflicts flagged."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.models.base import ModelError, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.text.bm25 import BM25
from tilth.recipes.text.qa_from_documents import ABSTAIN
from tilth.recipes.text.quotations import f1, locate

QA = load_recipe("qa-from-documents")
FACTS = {f"Tarn{n}": (f"mill{n}", f"goat{n}") for n in range(16)}
DOCUMENTS = [
    {
        "text": f"The village of {who} lies in a valley. The pride of {who} is\n  the {mill}. People of {who} keep a {goat}. "
        + "Wind blows. " * 9
    }
    for who, (mill, goat) in FACTS.items()
]


def reader(false_quotes: float = 0.0, wrong: float = 0.0, invents: float = 0.0, by_heart: bool = False) -> Any:
    """Knows nothing but what it is shown; quotes falsely, answers wrongly or answers what is not there at these rates."""

    def answer(request: Request, draw: int) -> str:
        text = request.text
        if text.startswith("Write "):
            who, mill, goat = re.search(r"pride of (\w+) is\s+the (\w+)\. People of \w+ keep a (\w+)\.", text).groups()  # type: ignore[union-attr]
            pride = {"question": f"What is the pride of {who}?", "answer": f"the {mill}"}
            return json.dumps(
                {"questions": [pride, {"question": f"What do people of {who} keep?", "answer": f"a {goat}"}]}
            )
        if text.startswith("Answer the question from"):
            who = re.search(r"Question: .* (Tarn\d+)", text)[1]  # type: ignore[index]
            sources = [s for s in text.split("Source ")[1:]]
            pride = "pride" in text.rpartition("Question:")[2]
            pattern = rf"The pride of {who} is\s+(the \w+)" if pride else rf"People of {who} keep (a \w+)"
            found = [(k, m) for k, s in enumerate(sources, 1) if (m := re.search(pattern, s))]
            if not found:
                made_up = hash_uniform("invent", text) < invents
                return json.dumps(
                    {
                        "found": made_up,
                        "answer": "the moon",
                        "quotes": [{"source": 1, "quote": "Wind blows."}] if made_up else [],
                    }
                )
            said = "an otter or so" if hash_uniform("wrong", text) < wrong else found[0][1][1]
            falsely = hash_uniform("quote", text) < false_quotes
            quotes = [{"source": k, "quote": " ".join(m[0].split()) + (" of old" if falsely else "")} for k, m in found]
            return json.dumps({"found": True, "answer": said, "quotes": quotes})
        if "Do the quotations" in text:
            claims = {m for m in re.findall(r"(?:is\s+the|keep a) (\w+)", text.partition("Quotations")[2])}
            return "conflicting" if len(claims) > 1 else "supported"
        who = re.search(r"Tarn\d+", text)[0]  # type: ignore[index]
        return f"the {FACTS[who][0]}" if by_heart and "pride" in text else "I have never heard of it."

    return answer


def run(answer: Any = None, rows: Any = DOCUMENTS, **settings: Any) -> Any:
    return run_recipe(QA, rows, FunctionModel(answer or reader()), **{"unanswerable": 0.0, **settings})


def test_every_quotation_stands_where_its_citation_says() -> None:
    found = run()
    texts = {row.lineage.parents[0]: None for row in found.kept}
    assert len(found.kept) == 32 and len(texts) == 16
    for row in found.kept:
        (citation,) = row["citations"]
        who = re.search(r"Tarn\d+", row["question"])[0]  # type: ignore[index]
        document = next(d["text"] for d in DOCUMENTS if f"{who} " in d["text"])
        assert (
            document[citation["start"] : citation["end"]] == citation["quote"]
            and row["answer"].split()[-1] in citation["quote"]
        )
        assert row["supported"] and not row["conflict"] and row["closed_book"] < 0.5 and len(row["contexts"]) == 3
        assert row["contexts"][citation["source"] - 1].startswith(f"The village of {who} ")


@pytest.mark.parametrize("rate", [0.4, 1.0])
def test_quotations_that_are_not_there_drop_the_row(rate: float) -> None:
    found = run(reader(false_quotes=rate))
    assert abs(found.numbers.dropped["citation:fail:not-in-source"] - 32 * rate) <= 4 * math.sqrt(
        32 * rate * (1 - rate)
    )


def test_answers_that_are_not_the_writers_fail_the_round_trip() -> None:
    found = run(reader(wrong=0.5))
    assert abs(found.numbers.dropped["round-trip:fail"] - 16) <= 4 * math.sqrt(8)
    assert all("otter" not in r["answer"] for r in found.kept)


@pytest.mark.parametrize("invents", [0.0, 0.5, 1.0])
def test_where_the_documents_are_silent_only_abstaining_is_kept(invents: float) -> None:
    found = run(reader(invents=invents), unanswerable=1.0)
    assert abs(found.numbers.kept - 32 * (1 - invents)) <= 4 * math.sqrt(32 * invents * (1 - invents))
    assert all(r["completion"] == ABSTAIN and not r["answerable"] and not r["citations"] for r in found.kept)
    assert set(found.numbers.dropped) <= {"abstain:fail:answered"}


def test_contradicting_documents_are_flagged_not_hidden() -> None:
    rows = [*DOCUMENTS[:1], {"text": DOCUMENTS[0]["text"].replace("mill0", "church0")}]
    found = run(rows=rows, n=1)
    flagged = [r for r in found.kept if r["conflict"]]
    assert flagged and all(
        len(r["citations"]) == 2 and len({c["document"] for c in r["citations"]}) == 2 for r in flagged
    )
    assert found.numbers.dropped.get("question:fail:repeated", 0) == 1


def test_what_the_model_knows_by_heart_can_be_dropped() -> None:
    found = run(reader(by_heart=True), drop_known=True)
    assert found.numbers.dropped == {"closed-book:known": 16} and all("keep" in r["question"] for r in found.kept)
    assert all(r["closed_book"] is None for r in run(closed_book=False).kept)


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("is the mill", "is\n  the mill"),
        ("“is the” ", "is\n  the"),
        ("is a mill", None),
        ("", None),
        (".*", None),
        ("it's", "it’s"),
    ],
)
def test_white_space_and_quotes_may_differ_and_nothing_else(quote: str, found: str | None) -> None:
    text = "The pride is\n  the mill, and it’s old."
    place = locate(quote, text)
    assert (text[place[0] : place[1]] if place else None) == found


def test_bm25_finds_the_rare_word_first_and_leaves_out_what_it_is_told() -> None:
    index = BM25(["the cat sat", "the dog sat on the mat", "a zebra", ""])
    assert (
        index.search("the zebra", 2) == [2, 1]
        and index.search("zebra", 3, without={2}) == []
        and index.search("", 3) == []
    )
    assert f1("the mill", "The  mill!") == 1 and f1("", "a") == 0


def test_questions_that_point_at_the_text_and_unreadable_replies_have_their_own_reasons() -> None:
    def pointing(request: Request, draw: int) -> str:
        if request.text.startswith("Write "):
            return json.dumps({"questions": [{"question": "What does the passage say?", "answer": "a"}]})
        return "x"

    assert run(pointing, DOCUMENTS[:2]).numbers.dropped == {"question:fail:points-at-text": 2}
    assert run(lambda r, d: "x", DOCUMENTS[:2]).numbers.dropped == {"questions:unknown:unparsed": 2}
    mute = run(lambda r, d: "x" if r.text.startswith("Answer the q") else reader()(r, d), DOCUMENTS[:1])
    assert mute.numbers.dropped == {"answer:unknown:unparsed": 2}

    def down(request: Request, draw: int) -> str:
        if "Do the quotations" in request.text:
            raise ModelError("down")
        return reader()(request, draw)

    assert run(down, [*DOCUMENTS[:1], {"text": " "}]).numbers.dropped == {"support:unknown:unparsed": 2}


def test_qa_from_documents_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(QA, DOCUMENTS[:6], reader(false_quotes=0.3), unanswerable=0.3).kept
