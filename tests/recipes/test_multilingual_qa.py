"""multilingual-qa between invented languages: spans are carried exactly, and lost or wrong ones are found."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.engine.memory import Harvested, run_recipe
from tilth.errors import UsageError
from tilth.journal.store import Journal
from tilth.models.base import ModelError, Request
from tilth.models.doubles import FunctionModel, hash_uniform
from tilth.models.hostile import Hostile
from tilth.recipes.multilingual.multilingual_qa import Asked, asked_of, marked, multilingual_qa, shares, unmarked
from tilth.worlds.tongues import NOUNS, VERBS

NOUN_LIST, VERB_LIST = list(NOUNS), list(VERBS)
AA_OF = {bb: pair[0] for bb, pair in {**NOUNS, **VERBS}.items()}
BB_OF = {aa: bb for bb, aa in AA_OF.items()}


def word_for_word(text: str, to: str) -> str:
    """Every known word replaced, everything else as it was: an exact translation that keeps the order."""
    table = AA_OF if to == "aa" else BB_OF
    return re.sub(r"\w+", lambda m: table.get(m[0], m[0]), text)


def question(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    nouns, verbs = rng.sample(NOUN_LIST, 8), rng.sample(VERB_LIST, 4)
    sentences = [f"{nouns[2 * i]} {verbs[i]} {nouns[2 * i + 1]}." for i in range(4)]
    return {"context": " ".join(sentences), "question": f"{nouns[2]} {verbs[1]} xx xx ?", "answer": nouns[3]}


ROWS = [question(i) for i in range(80)]


def translator(keeps: float = 1.0, wrong: float = 0.0) -> FunctionModel:
    """Exact; loses the marks, or puts them around another word, at known rates."""

    def answer(request: Request, draw: int) -> str:
        text, to = re.findall(r"<text>\n(.*?)\n</text>", request.text, re.S)[-1], request.text.split(" into ")[1][:2]
        found = word_for_word(text, to)
        if "⟦" in found and hash_uniform("keeps", text) >= keeps:
            found = found.replace("⟦", "").replace("⟧", "")
        if "⟦" in found and hash_uniform("wrong", text) < wrong:
            found = re.sub(r"^(\w+)", r"⟦\1⟧", found.replace("⟦", "").replace("⟧", ""))
        return found

    return FunctionModel(answer, f"translator?{keeps}&{wrong}")


def reader(request: Request, draw: int) -> str:
    """Finds the sentence that begins as the question does, in either language."""
    context = request.text.split("Passage:\n")[1].split("\n\nQuestion:")[0]
    first = request.text.split("Question: ")[1].split()[0]
    same = {first, AA_OF.get(first), BB_OF.get(first)}
    sentence = next((s for s in context.split(".") if s.split() and s.split()[0] in same), "")
    return sentence.split()[2] if len(sentence.split()) == 3 else "NONE"


def carried(model: Any = None, rows: Any = None, says: Any = reader, **settings: Any) -> Harvested:
    bound = {"translator": model or translator(), "reader": says if hasattr(says, "send") else FunctionModel(says)}
    return run_recipe(multilingual_qa, rows or ROWS, bound, **{"languages": "aa", "source": "bb", **settings})


def test_every_span_is_carried_exactly() -> None:
    harvest = carried()
    new = [row for row in harvest.kept if row["ctx_lang"] == "aa"]
    assert len(new) == 80 and not harvest.dropped and len(harvest.kept) == 160
    for row in harvest.kept:
        assert row["context"][row["start"] : row["start"] + len(row["answer"])] == row["answer"] == row["completion"]
    for row, old in zip(new, ROWS, strict=True):
        assert row["answer"] == AA_OF[old["answer"]] and row["route"] == "marks" and row["roundtrip_f1"] == 1


def test_lost_marks_are_looked_up_and_misplaced_ones_fail_the_round_trip() -> None:
    harvest = carried(translator(0.5))
    routes = Counter(row["route"] for row in harvest.kept if row["ctx_lang"] == "aa")
    assert set(routes) == {"marks", "looked-up"} and routes.total() == 80
    harvest = carried(translator(wrong=0.3))
    planted = sum(hash_uniform("wrong", marked(asked_of(row))) < 0.3 for row in ROWS)  # type: ignore[arg-type]
    assert Counter(reason for _, reason in harvest.dropped) == {"round-trip:fail:other": planted} and planted > 12


@given(
    st.text(alphabet="ab c.é漢", max_size=20),
    st.text(alphabet="xyz漢", min_size=1, max_size=5),
    st.text(alphabet="ab c", max_size=9),
)
def test_marks_come_off_as_they_went_on(before: str, answer: str, after: str) -> None:
    asked = Asked(before + answer + after, "?", answer, len(before))
    assert unmarked(marked(asked)) == (asked.context, answer, len(before))


@pytest.mark.parametrize("text", ["a b", "a ⟦b", "a b⟧", "⟧a⟦", "⟦a⟧ ⟦b⟧", "⟦ ⟧", "⟦⟦a⟧⟧"])
def test_marks_that_are_not_one_good_pair_are_lost(text: str) -> None:
    assert unmarked(text) is None


def test_spans_of_seeds_are_checked() -> None:
    good = {"context": "a mill here, a mill there", "question": "What?", "answer": "mill"}
    assert asked_of(good).start == 2  # type: ignore[union-attr]
    assert asked_of({**good, "start": 15}).start == 15  # type: ignore[union-attr]
    assert asked_of({**good, "start": 3}) is None and asked_of({**good, "answer": "lamp"}) is None
    squad = {"context": "a mill", "question": "What?", "answers": {"text": ["mill"], "answer_start": [2]}}
    assert asked_of(squad) == Asked("a mill", "What?", "mill", 2)
    harvest = carried(rows=[{**good, "answer": "lamp"}])
    assert [reason for _, reason in harvest.skipped] == ["seed:span"]


def test_languages_are_balanced_by_their_size_to_the_power_of_alpha() -> None:
    assert shares({"a": 900, "b": 100}, 0.5) == pytest.approx({"a": 0.75, "b": 0.25})
    assert shares({"a": 900, "b": 100}, 0.0) == {"a": 0.5, "b": 0.5} and shares({"a": 0, "b": 0}, 0.3) == {
        "a": 0.5,
        "b": 0.5,
    }
    harvest = carried(languages="aa,cc", sizes="aa=900,cc=100", alpha=0.5, originals=False)
    made = Counter(row["ctx_lang"] for row in [*harvest.kept, *(row for row, _ in harvest.dropped)])
    assert made == {"aa": 80, "cc": 27}
    with pytest.raises(UsageError, match="sizes and languages differ"):
        carried(languages="aa,cc", sizes="aa=900")


def test_passage_and_question_can_differ_in_language() -> None:
    harvest = carried(cross=True, originals=False)
    assert len(harvest.kept) == 80 and {(r["ctx_lang"], r["q_lang"]) for r in harvest.kept} == {("aa", "bb")}
    assert [row["question"] for row in harvest.kept] == [row["question"] for row in ROWS]


def test_faults_have_their_reasons() -> None:
    def bad(request: Request, draw: int) -> str:
        text = re.findall(r"<text>\n(.*?)\n</text>", request.text, re.S)[-1]
        which = next(
            i
            for i, row in enumerate(ROWS)
            if text.replace("⟦", "").replace("⟧", "") in (row["context"], row["question"], row["answer"])
        )
        if which == 0:
            raise ModelError("no answer")
        if which == 1:
            return text if "⟦" in text else word_for_word(text, "aa")
        if which == 2 and "⟦" in text:
            return word_for_word(text.replace("⟦", "").replace("⟧", ""), "aa")
        return "nowhere" if which == 2 else word_for_word(text, "aa")

    harvest = carried(FunctionModel(bad), ROWS[:4], lambda r, d: "NONE", originals=False)
    assert [reason for _, reason in harvest.dropped] == [
        "model:failed", "translation:copy", "span:lost", "round-trip:fail:unanswerable",
    ]  # fmt: skip


def test_a_hostile_model_loses_nothing() -> None:
    harvest = carried(Hostile(), says=Hostile(seed=1), languages="aa,de")
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) == 240


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model, says = Journal(":memory:"), translator(0.8, 0.1), FunctionModel(reader)
    first = carried(model, ROWS[:20], says, journal=journal)
    sent = model.sent, says.sent
    again = carried(model, ROWS[:20], says, journal=journal)
    assert (model.sent, says.sent) == sent
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
