"""alpaca: blocks are read by content, filtered, and novel."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tilth.engine.memory import Harvested, run_recipe
from tilth.journal.store import Journal
from tilth.models.base import Reply, Request
from tilth.models.doubles import FunctionModel
from tilth.models.hostile import Hostile
from tilth.recipes.instruct.alpaca import KEYWORDS, alpaca, parse_blocks
from tilth.recipes.instruct.tasks import instruction_problem

SEEDS = [
    {"instruction": f"Describe the {name} of a small harbour town.", "input": "", "output": f"The {name} is fine."}
    for name in ("weather", "market", "church", "school", "people")
]
WORDS = [a + b for a in ("ka", "lo", "mi", "ru", "te", "vo") for b in ("ben", "dor", "fin", "gal", "hup", "jes")]


def block(number: int, text: str, given: str = "<none>", output: str = "Done.") -> str:
    return f"{number}. Instruction: {text}\n{number}. Input: {given}\n{number}. Output: {output}"


def fresh(rng: random.Random) -> str:
    return f"Tell {' '.join(rng.sample(WORDS, 7))} again."


def writer(request: Request, draw: int) -> str:
    rng = random.Random(f"{request.text}{draw}")
    listed = "\n###\n".join(block(n, fresh(rng)) for n in range(4, 21))
    return listed.removeprefix("4. Instruction:")


def grown(model: Any = None, **settings: Any) -> Harvested:
    return run_recipe(alpaca, SEEDS, model or FunctionModel(writer), **{"target": 60, **settings})


def test_171_of_the_175_seeds_pass_the_wider_filter(data_dir: Path) -> None:
    lines = (data_dir / "self_instruct" / "seed_tasks.jsonl").read_text().splitlines()
    problems = [instruction_problem(json.loads(line)["instruction"], KEYWORDS) for line in lines]
    assert (len(problems), problems.count(None)) == (175, 171)


@pytest.mark.parametrize(
    ("text", "tasks", "renumbered"),
    [
        (f"{block(4, 'One')[16:]}\n###\n{block(5, 'Two')}", ["One", "Two"], 0),
        (f"{block(4, 'One')}\n###\n{block(5, 'Two')}", ["One", "Two"], 0),
        (f"{block(4, 'One')}\n###\n{block(6, 'Two')}\n###\n{block(7, 'Three')}", ["One", "Two", "Three"], 2),
        (f"{block(4, 'One')}\n###\n5. Instruction: no more\n###\n{block(6, 'Three')}", ["One", None, "Three"], 0),
        ("Here is nothing of the kind.", [None], 0),
        ("###\n###\n", [], 0),
    ],
)
def test_a_wrong_number_costs_nothing_and_a_missing_field_one_block(
    text: str, tasks: list[str | None], renumbered: int
) -> None:
    blocks = parse_blocks(text, 4)
    assert [b.task and b.task[0] for b in blocks] == tasks
    assert sum(b.renumbered for b in blocks) == renumbered


def test_a_cut_reply_loses_its_last_block_and_the_count_of_blocks_is_conserved() -> None:
    text = "\n###\n".join(block(n, f"Do thing number {n} well.") for n in range(4, 10))
    whole, cut = parse_blocks(text, 4), parse_blocks(text[:-4], 4, cut=True)
    assert len(whole) == 6 and cut == whole[:-1]


def test_tasks_are_filtered_novel_and_laid_out() -> None:
    harvest = grown()
    kept = harvest.kept
    assert len(kept) == 60 and len({row["instruction"] for row in kept}) == 60
    for row in kept:
        assert row["instruction"] in row["prompt"] and row["output"] in row["completion"]
        assert len(row["most_similar_instructions"]) <= 10 and 0 <= row["avg_similarity"] < 0.7
        assert len(row.lineage.parents) == 3 and row.verdicts[0].passed
    assert harvest.numbers.candidates == len(kept) + len(harvest.dropped) == 85


def test_every_problem_has_its_reason() -> None:
    blocks = [
        block(4, "Paint a picture of the sea"),
        block(5, "Hum some music for me"),
        block(6, "Too short"),
        block(7, SEEDS[0]["instruction"]),
        block(8, "Name four rivers of Asia.", output=""),
        block(9, "Repeat what I say now.", given="hey", output="hey"),
        "nothing",
        block(11, "Name four rivers of Africa."),
    ]
    text = "\n###\n".join(blocks)
    harvest = grown(FunctionModel(lambda request, draw: text), batch=1, max_rounds=1)
    assert [row["instruction"] for row in harvest.kept] == ["Name four rivers of Africa."]
    assert Counter(reason for _, reason in harvest.dropped) == {
        "instruction:keyword:picture": 1, "instruction:keyword:music": 1, "instruction:short": 1,
        "novelty:fail:similar": 1, "instance:empty": 1, "instance:echo": 1, "parse:unknown": 1,
    }  # fmt: skip


def test_it_stops_when_nothing_new_comes_and_only_seeds_are_shown() -> None:
    seen: list[str] = []

    def same(request: Request, draw: int) -> Reply:
        seen.append(request.text)
        return Reply(block(4, "Name four rivers of Africa."))

    harvest = grown(FunctionModel(same), batch=2)
    assert len(harvest.kept) == 1 and len(seen) == 8
    assert not any("rivers" in text for text in seen)


def test_a_hostile_model_loses_nothing() -> None:
    harvest = grown(Hostile())
    assert harvest.failed == []
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) > 0


def test_the_same_journal_gives_the_same_rows_and_sends_nothing() -> None:
    journal, model = Journal(":memory:"), FunctionModel(writer)
    first = grown(model, journal=journal)
    sent = model.sent
    again = grown(model, journal=journal)
    assert model.sent == sent == 5
    assert [(c.id, dict(c)) for c in first.kept] == [(c.id, dict(c)) for c in again.kept]
