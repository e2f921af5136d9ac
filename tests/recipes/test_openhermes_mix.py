"""openhermes-mix: planted overlaps and leaks are found, rows conserved, and the order of sources does not matter."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.recipes.instruct.openhermes_mix import chat_turns, openhermes_mix, restriction
from tilth.rows.row import Row

WORDS = [a + b for a in ("ka", "lo", "mi", "ru", "te", "vo") for b in ("ben", "dor", "fin", "gal", "hup", "jes")]
LEAK = "A ferry carries twelve lamps across the river on each of its nine trips, how many lamps in all?"


def said(*names: object, n: int = 12) -> str:
    return " ".join(random.Random(str(names)).choices(WORDS, k=n))


def row(source: str, question: str, answer: str = "It is so.", **more: Any) -> dict[str, Any]:
    return {"prompt": question, "completion": answer, "source": source, **more}


def planted() -> list[dict[str, Any]]:
    rows = []
    for source, licence in (("alfa", "mit"), ("beta", "cc-by-nc-4.0"), ("gamma", "apache-2.0")):
        rows += [row(source, said(source, i), licence=licence) for i in range(20)]
        # shared by all three: five exactly but for case, five with one word of twenty changed
        rows += [row(source, said("exact", i).upper() if source == "beta" else said("exact", i), licence=licence)
                 for i in range(5)]  # fmt: skip
        rows += [row(source, f"{said('near', i, n=20)} {source}", licence=licence) for i in range(5)]
    rows += [
        row("beta", "Question?", "I'm sorry, but I can't."),
        row("beta", "What are you?", "I am a language model."),
    ]
    rows += [row("gamma", LEAK), row("gamma", "Alone", "")]
    return rows


def mixed(rows: list[dict[str, Any]], tmp_path: Path, **settings: Any) -> Harvested:
    (tmp_path / "bench.jsonl").write_text(json.dumps({"question": LEAK}) + "\n")
    return run_recipe(openhermes_mix, rows, {}, benchmarks=str(tmp_path / "bench.jsonl"), **settings)


def test_all_that_was_planted_is_found_and_every_row_is_somewhere(tmp_path: Path) -> None:
    rows = planted()
    harvest = mixed(rows, tmp_path, priority="beta")
    assert Counter(r["source"] for r in harvest.kept) == {"alfa": 20, "beta": 30, "gamma": 20}
    assert Counter(reason for _, reason in harvest.dropped) == {
        "duplicate:exact": 10, "duplicate:near": 10, "text:refusal": 1, "text:speaks-as-ai": 1, "chat:one-sided": 1,
        "decontaminate:exact:bench.jsonl": 1,
    }  # fmt: skip
    for source in ("alfa", "beta", "gamma"):
        dropped = sum(r["source"] == source for r, _ in harvest.dropped)
        notes = harvest.numbers.notes
        assert (
            notes[f"source:{source}"] == dropped + notes[f"kept:{source}"] == sum(r["source"] == source for r in rows)
        )


def test_the_result_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    rows = planted()

    def result(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
        seeds = [Row(r, json.dumps(r)) for r in rows]
        kept = mixed(seeds, tmp_path, cap=12, priority="gamma,alfa", valid=0.3).kept  # type: ignore[arg-type]
        return [(r["source"], str(r["messages"]), r["licence"], r["split"]) for r in kept]

    first = result(rows)
    assert len(first) == 36 and Counter(r[0] for r in first) == {"alfa": 12, "beta": 12, "gamma": 12}
    for seed in range(3):
        shuffled = rows.copy()
        random.Random(seed).shuffle(shuffled)
        assert result(shuffled) == first


def test_the_copy_that_stays_carries_the_most_restrictive_licence(tmp_path: Path) -> None:
    harvest = mixed(planted(), tmp_path, priority="alfa")
    shared = [r for r in harvest.kept if r["source"] == "alfa" and r["licence"] != "mit"]
    assert len(shared) == 10 and {r["licence"] for r in shared} == {"cc-by-nc-4.0"}
    order = ["cc0-1.0", "MIT", "Apache 2.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", ""]
    assert sorted(order, key=restriction) == order
    assert restriction("proprietary")[0] == restriction("")[0]


def test_no_cluster_is_on_both_sides_of_the_split(tmp_path: Path) -> None:
    rows = [row("a", f"{said(i // 4, n=12)} {said('own', i, n=4)}") for i in range(160)]
    kept = mixed(rows, tmp_path, valid=0.3).kept
    sides: dict[str, set[str]] = {}
    for r in kept:
        sides.setdefault(r["cluster"], set()).add(r["split"])
    assert len(kept) > len(sides) > 20 and all(len(side) == 1 for side in sides.values())
    assert {r["split"] for r in kept} == {"train", "valid"}


@pytest.mark.parametrize(
    "columns",
    [
        {"messages": [{"role": "user", "content": "Why? "}, {"role": "assistant", "content": "So."}]},
        {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]},
        {"prompt": "Why?", "completion": "So."},
        {"instruction": "Why?", "input": "", "output": "So."},
        {"instruction": "Why?", "response": "So."},
    ],
)
def test_every_common_form_becomes_the_same_chat(columns: dict[str, Any]) -> None:
    assert chat_turns(columns) == [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]


def test_a_system_turn_stays_and_an_input_joins_its_instruction() -> None:
    turns = chat_turns({"instruction": "Add.", "input": "1 2", "output": "3", "system": "Be brief."})
    assert [t["content"] for t in turns] == ["Be brief.", "Add.\n\n1 2", "3"]


def test_listed_boilerplate_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "phrases.txt").write_text("Acme Assistant\n")
    rows = [row("a", "Who?", "I, Acme assistant."), row("a", "Who then?", "Nobody.")]
    harvest = mixed(rows, tmp_path, boilerplate=str(tmp_path / "phrases.txt"))
    assert [reason for _, reason in harvest.dropped] == ["text:boilerplate"] and len(harvest.kept) == 1


def test_no_rows_at_all_are_no_error(tmp_path: Path) -> None:
    assert mixed([row("a", "Alone", "")], tmp_path).kept == []
