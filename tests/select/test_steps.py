from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.errors import InputError, UsageError
from tilth.rows import Row
from tilth.select import Benchmark, Decontaminator, Steps, rouge_l, select_rows


def rows_of(*texts: str) -> list[Row]:
    return [Row({"text": text}, f"r{i}") for i, text in enumerate(texts)]


def test_steps_run_in_the_one_order_and_each_dropped_row_has_reason_and_evidence() -> None:
    rows = rows_of(
        "the quick brown fox jumps over the lazy dog again and again today",
        "The quick  brown fox jumps over the lazy dog again and again today",
        "the quick brown fox jumps over the lazy dog again and again tonight",
        "a benchmark question that nobody may train on",
        "one two three four five six seven eight nine ten",
        "ten nine eight seven six five four three two one",
    )
    gate = Decontaminator([Benchmark.of("bench", ["A benchmark question that nobody may train on"])])
    found = select_rows(rows, Steps(decontaminate=gate, exact=True, novelty=0.95, near="0.7"))
    assert [row.id for row in found.kept] == ["r0", "r4", "r5"]
    assert [(row.id, reason) for row, reason in found.dropped] == [
        ("r1", "exact:duplicate"),
        ("r2", "near:duplicate"),
        ("r3", "decontaminate:exact"),
    ]
    evidence = {id: verdict for id, verdict in found.verdicts}
    assert evidence["r1"].evidence == {"survivor": "r0", "similarity": 1.0}
    assert evidence["r2"].evidence["survivor"] == "r0"
    assert 0.7 <= (evidence["r2"].score or 0) < 1
    assert evidence["r3"].evidence["benchmark"] == "bench"
    assert {verdict.outcome for verdict in evidence.values()} == {"fail"}
    assert [(s["step"], s["rows"], s["dropped"]) for s in found.steps] == [
        ("decontaminate", 6, 1),
        ("exact", 5, 1),
        ("novelty", 4, 0),
        ("near", 4, 1),
    ]
    assert found.certificate is not None
    assert found.certificate["rows_dropped"] == 1


def test_novelty_names_the_accepted_row() -> None:
    found = select_rows(rows_of("x", "a b c d e", "a b c d f"), Steps(novelty=0.7))
    ((row, reason),) = found.dropped
    assert (row.id, reason) == ("r2", "novelty:rouge-l")
    assert found.verdicts[0][1].evidence == {"survivor": "r1", "similarity": pytest.approx(0.8), "threshold": 0.7}


@given(st.lists(st.sampled_from(["a b c d", "A b c d", "a b c d e", "z y x", "", "q"]), max_size=12))
@settings(max_examples=60, deadline=None)
def test_rows_are_conserved_and_keep_their_order(texts: list[str]) -> None:
    rows = rows_of(*texts)
    found = select_rows(rows, Steps(exact=True, novelty=0.9, near=0.5))
    place = {row.id: i for i, row in enumerate(rows)}
    kept, dropped = [place[row.id] for row in found.kept], [place[row.id] for row, _ in found.dropped]
    assert sorted(kept + dropped) == list(range(len(rows)))
    assert kept == sorted(kept)
    assert dropped == sorted(dropped)
    assert sum(found.reasons.values()) == len(dropped) == len(found.verdicts)


def test_a_column_can_be_chosen_and_a_row_without_text_is_named() -> None:
    rows = [Row({"instruction": "Sum up", "n": 1}, "p"), Row({"instruction": "sum  UP", "n": 2}, "q")]
    assert [row.id for row in select_rows(rows, Steps(exact=True, on="instruction")).kept] == ["p"]
    assert [row.id for row in select_rows(rows, Steps(exact=True, on="instruction", keep="best:n")).kept] == ["q"]
    with pytest.raises(InputError) as caught:
        select_rows(rows, Steps(exact=True))
    assert "row 1 (id p)" in str(caught.value)
    assert "`prompt` and `completion`" in str(caught.value)
    assert "'instruction', 'n'" in str(caught.value)
    with pytest.raises(InputError, match="no text in column 'n'"):
        select_rows(rows, Steps(exact=True, on="n"))


def test_survivors_can_be_the_longest_and_unknown_rules_are_refused() -> None:
    rows = rows_of("a b c d e f g h", "a b c d e f g h i")
    assert [row.id for row in select_rows(rows, Steps(near="0.7", keep="longest")).kept] == ["r1"]
    with pytest.raises(UsageError, match="keep=shortest is no rule"):
        select_rows(rows, Steps(near="0.7", keep="shortest"))
    with pytest.raises(InputError, match="no number in column 'score'"):
        select_rows(rows, Steps(near="0.7", keep="best:score"))


def test_accepted_rows_can_tell_what_they_are_most_like() -> None:
    texts = ["a b c d e", "v w x y z", "a b c y z", "a b c d f"]
    found = select_rows(rows_of(*texts), Steps(novelty=0.7, similar=True))
    assert [row.id for row in found.kept] == ["r0", "r1", "r2"]
    last = found.kept[2]
    assert [near["id"] for near in last["most_similar"]] == ["r0", "r1"]
    scores = [rouge_l(texts[2], texts[k]) for k in (0, 1)]
    assert [near["rouge_l"] for near in last["most_similar"]] == scores
    assert last["mean_similarity"] == pytest.approx(sum(scores) / 2)
    assert found.kept[0]["most_similar"] == []


def test_a_gate_that_was_not_passed_is_not_opened_by_a_weaker_check() -> None:
    text = "name the largest of all the planets that move around the sun and say how far it is"
    bench = Benchmark.of("b", [text])
    rows = rows_of(text.replace("largest", "biggest").replace("move", "turn"), "something that is not like it at all")
    strong = Decontaminator([bench], fuzzy="0.4")
    reported = select_rows(rows, Steps(decontaminate=strong, report_only=True)).gates()
    assert reported["decontaminate"]["passed"] is False
    weak = select_rows(rows, Steps(decontaminate=Decontaminator([bench])))
    assert weak.gates()["decontaminate"]["passed"] is True
    after = weak.gates(reported)["decontaminate"]
    assert after["passed"] is False
    assert "fuzzy from 0.4" in after["why"]
    assert after["checked"] == reported["decontaminate"]["checked"]
    clean = select_rows(rows, Steps(decontaminate=strong))
    assert [row.id for row in clean.kept] == ["r1"]
    assert clean.gates(reported)["decontaminate"]["passed"] is True
