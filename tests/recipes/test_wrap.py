"""wrap: chunks are the document again, the mixture is exact in words, and planted errors of fact are found by kind."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tilth.engine import run_recipe
from tilth.errors import UsageError
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.recipes import load_recipe
from tilth.recipes.text.wrap import compare, names, numbers, without_lead_in
from tilth.select.words import words

WRAP = load_recipe("wrap")
FACT = "In the year {n}1 the village of Lower Tarn had {n}5 goats and a mill. The miller, old Brannoc, never sold the black goat. "
DOCUMENTS = [{"text": "".join(FACT.format(n=n + 10 * d) for n in range(1, 6)), "doc": d} for d in range(6)]
SYNONYMS = {"village": "hamlet", "had": "owned", "old": "aged", "sold": "parted with", "black": "dark"}


def say(text: str) -> str:
    return re.sub(r"\b\w+\b", lambda m: SYNONYMS.get(m[0], m[0]), text.strip())


def rephraser(error: str = "", rate: float = 1.0) -> Any:
    """Says a chunk in synonyms, with one kind of planted error at a rate."""

    def answer(request: Request, draw: int) -> str:
        text = re.search(r"(-{5} \w+ -{5})\n(.*)\n\1", request.text.partition("\n\n")[2], re.S)[2]  # type: ignore[index]
        said = say(text)
        if hash_uniform("slip", request.text) < rate:
            said = {
                "": said, "number": re.sub(r"\b(\d+)5\b", r"\g<1>6", said, count=1), "negation": said.replace("never ", ""),
                "name": said.replace("Brannoc", "Wilfred"), "copy": text, "other": "Rivers run to the sea, never back. " * 8,
                "question": said + " Is that so?", "short": said[:40] + ".", "midway": said[:-2] + " and",
                "lost": re.sub(r"\d+", "some", said),
            }[error]  # fmt: skip
        if "Question:" in request.text:
            return f"Question: What is told?\nAnswer: {said}"
        return f"Here is the text again:\n\n{said}"

    return answer


def run(answer: Any = None, rows: Any = DOCUMENTS, **settings: Any) -> Any:
    return run_recipe(WRAP, rows, FunctionModel(answer or rephraser()), **{"styles": "child,scholar", **settings})


def test_real_chunks_joined_are_the_document() -> None:
    for d, document in enumerate(DOCUMENTS):
        pieces = [r for r in run(chunk_tokens=40).kept if r["kind"] == "real" and r["doc"] == d]
        assert "".join(r["text"] for r in pieces) == document["text"] and len(pieces) > 2
        assert all(document["text"][r["start"] : r["end"]] == r["text"] and len(r["text"]) <= 160 for r in pieces)


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_the_mixture_is_exact_in_words_within_each_document(ratio: float) -> None:
    found = run(ratio=ratio, styles="child,scholar,questions")
    for d in range(6):
        weigh = {
            kind: sum(
                r["mix_weight"] * len(words(r["text"])) for r in found.kept if r["doc"] == d and r["kind"] == kind
            )
            for kind in ("real", "synthetic")
        }
        assert weigh["synthetic"] == pytest.approx(ratio * weigh["real"])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("number", "facts:fail:new-number"), ("negation", "facts:fail:negation"), ("name", "facts:fail:new-name"),
        ("copy", "likeness:fail:copy"), ("other", "likeness:fail:other-text"), ("question", "questions:fail:added"),
        ("short", "length:fail"), ("midway", "reply:unfinished"), ("lost", "facts:fail:lost-numbers"),
    ],
)  # fmt: skip
def test_planted_errors_are_all_found_and_clean_rephrasings_all_kept(error: str, reason: str) -> None:
    found = run(rephraser(error, 0.5))
    planted = sum(1 for r, _ in found.dropped)
    assert set(found.numbers.dropped) == {reason} and 0 < planted < 12
    assert planted + sum(r["kind"] == "synthetic" for r in found.kept) == 12
    for row in found.kept:
        if row["kind"] == "synthetic":
            assert (
                "never parted with the dark goat" in row["text"]
                and row["number_recall"] == 1
                and 0.3 < row["cosine"] < 0.99
            )


def test_answers_of_the_question_style_must_stand_in_the_source() -> None:
    source = "The mill of Tarn has two wheels and was built by a miller named Brannoc in 1712."
    good = "Question: Who built the mill?\nAnswer: Brannoc built it in 1712.\nQuestion: What has it?\nAnswer: Two wheels, the mill of Tarn."
    assert compare(source, good, questions=True).problem == ""
    bad = good.replace("Two wheels, the mill of Tarn.", "A golden weathercock from faraway lands.")
    assert compare(source, bad, questions=True).problem == "questions:fail:unfounded"
    assert (
        compare(source, "The mill of Tarn was built by Brannoc in 1712 with two wheels.", questions=True).problem
        == "questions:unknown:unparsed"
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Here is the text again:\n\nA mill.", "A mill."), ("Sure, here you go:\nA mill.", "A mill."),
        ("Rephrased text: A mill.", "A mill."),
        ("Here is a mill. It is old.", "Here is a mill. It is old."), ("A mill: here is one.", "A mill: here is one."), ("", ""),
    ],
)  # fmt: skip
def test_words_that_announce_the_text_are_stripped_and_the_text_is_not(text: str, left: str) -> None:
    assert without_lead_in(text) == left


def test_numbers_and_names_are_read_as_what_they_are() -> None:
    assert numbers("In 1,712 and 3.5, or 7.") == {"1712", "3.5", "7"}
    assert names("The miller Brannoc of Lower Tarn. Then he went. He saw Ada.") == {"brannoc", "lower", "tarn", "ada"}


def test_an_unknown_style_is_named_and_an_empty_document_left_out() -> None:
    with pytest.raises(UsageError, match="no style"):
        run(styles="child,scholr")
    assert [r for _, r in run(rows=[{"text": " \n "}]).skipped] == ["a text without words"]
    cut = run(lambda r, d: Reply("Lower", finish_reason="length"), DOCUMENTS[:1])
    assert cut.numbers.dropped == {"reply:cut": 2} and [r["kind"] for r in cut.kept] == ["real"]


def test_wrap_keeps_its_promises(keeps_its_promises: Any) -> None:
    assert keeps_its_promises(WRAP, DOCUMENTS[:3], rephraser("number", 0.3)).kept
