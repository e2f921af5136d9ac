"""self-instruct: its filters, parsers and calibrations, and the pool that grows."""

from __future__ import annotations

import json
import random
from itertools import combinations
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
from tilth.recipes.instruct import layouts
from tilth.recipes.instruct.self_instruct import LAST_NUMBER, seed_figures, self_instruct
from tilth.recipes.instruct.tasks import (
    instance_problems,
    instruction_problem,
    is_classification,
    listed_instructions,
    parse_instances,
    parse_labelled,
    plain_input,
    yes_or_no,
)
from tilth.select.novelty import Novelty, rouge_l

WORDS = [a + b for a in ("ka", "lo", "mi", "ru", "te", "vo", "si", "du") for b in ("ben", "dor", "fin", "gal", "hup")]
SEEDS = [
    {"instruction": f"Describe the {name} of a small harbour town.", "is_classification": False}
    for name in ("weather", "market", "church", "school", "people", "music", "boats", "food", "winter")
]


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "self_instruct" / name).read_text().splitlines()]


def fresh(rng: random.Random) -> str:
    return f"Tell {' '.join(rng.sample(WORDS, 7))} again."


def grower(request: Request, draw: int) -> str:
    """A model that invents tasks, says of three in ten that they are classification, and works them out."""
    text = request.text
    rng = random.Random(f"{text}{draw}")
    if "Classification?" in text:
        return "Yes" if rng.random() < 0.3 else "No"
    if "Class label:" in text:
        return "Class label: good\nWord: fine\nClass label: bad\nWord: foul"
    if "Example 1" in text:
        task = text.rsplit("Task:", 1)[1].strip()
        return f"Example 1\nInput: {task[5:12]}\nOutput: done\nExample 2\nInput: other\nOutput: {rng.random()}"
    first = int(text.rsplit("\n", 1)[1].rstrip("."))
    return "\n".join(f"{n}. {fresh(rng)}" for n in range(first, LAST_NUMBER + 1))


def grown(model: Any = None, rows: Any = SEEDS, **settings: Any) -> Harvested:
    settings = {"target": 37, **settings}
    return run_recipe(self_instruct, rows, model or FunctionModel(grower), **settings)


def instructions(harvest: Harvested) -> list[str]:
    return list(dict.fromkeys(c["instruction"] for c in harvest.kept))


class TestCalibrations:
    def test_172_of_the_175_seeds_pass_the_filters_and_26_are_classification(self, data_dir: Path) -> None:
        rows = read(data_dir, "seed_tasks.jsonl")
        assert seed_figures(rows) == {"seeds": 175, "classification": 26, "passing": 172, "distinct": 173}
        problems = sorted(p for r in rows if (p := instruction_problem(r["instruction"])))
        assert problems == ["program", "short", "short"]

    def test_247_of_the_252_expert_instructions_pass_the_filters(self, data_dir: Path) -> None:
        rows = read(data_dir, "user_oriented_instructions.jsonl")
        problems = sorted(p for r in rows if (p := instruction_problem(r["instruction"])))
        assert problems == ["keyword:draw", "keyword:files", "keyword:plot", "keyword:plot", "short"]

    def test_three_expert_instructions_are_closer_than_the_threshold_to_a_seed(self, data_dir: Path) -> None:
        pool = Novelty()
        for row in read(data_dir, "seed_tasks.jsonl"):
            pool.add(row["instruction"])
        near = [pool.check(r["instruction"])[0] for r in read(data_dir, "user_oriented_instructions.jsonl")]
        assert sorted(round(f, 4) for f in near if f > 0.7) == [0.75, 1.0, 1.0]

    def test_base_models_that_run_on_into_further_outputs_are_stopped_at_the_first(self, data_dir: Path) -> None:
        rows = read(data_dir, "davinci_predictions.jsonl")
        running = [r for r in rows if "Output:" in r["response"]]
        assert (len(rows), len(running)) == (252, 193)
        for row in running:
            for _, output in parse_instances(f"Input: {row['input']}\nOutput:{row['response']}"):
                assert "\nOutput:" not in output and "\nInput:" not in output

    def test_real_seeds_grow_into_novel_instructions(self, data_dir: Path) -> None:
        harvest = grown(rows=read(data_dir, "seed_tasks.jsonl"), target=30)
        seeds = [r["instruction"] for r in read(data_dir, "seed_tasks.jsonl")]
        new = instructions(harvest)
        assert 25 <= len(new) <= 30
        assert max(rouge_l(a, b) for a in new for b in [*seeds, *(n for n in new if n != a)]) <= 0.7


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Name three rivers", "short"),
        ("Name three long rivers", None),
        (" ".join(["word"] * 150), None),
        (" ".join(["word"] * 151), "long"),
        ("Describe the Image in words", "keyword:image"),
        ("Describe the imagery in words", None),
        ("Go to the shop and buy", "keyword:go-to"),
        ("Redraw the line between these", None),
        ("Write a program that adds two numbers", "program"),
        ("Please write a program that adds", None),
        ("(Optional) say what you think", "punctuation"),
        ("Élan is what this text lacks", "non-ascii"),
        ("Say what élan means to you", None),
        ("", "short"),
    ],
)
def test_an_instruction_is_dropped_for_one_named_reason(text: str, problem: str | None) -> None:
    assert instruction_problem(text) == problem


@pytest.mark.parametrize(
    ("text", "first", "raw", "items"),
    [
        ("9. one\n10. two", 9, False, ["One", "Two"]),
        (" go to Rome with Anna\n10. two", 9, False, ["Go to Rome with Anna", "Two"]),
        ("Sure, here they are:\n9. one\n10. two", 9, False, ["One", "Two"]),
        ("Sure!\n1. one\n\n2. two", 9, False, ["One", "Two"]),
        ("9. one\n11. skipped\n11. again", 9, False, ["One", "Skipped", "Again"]),
        ("no list at all", 9, False, []),
        ("one item only", 9, True, ["One item only"]),
        ("", 9, True, []),
        ("9.  \n10. two", 9, False, ["Two"]),
    ],
)
def test_a_list_is_read_from_where_the_prompt_left_off(text: str, first: int, raw: bool, items: list[str]) -> None:
    assert listed_instructions(text, first, raw=raw) == items


def test_only_a_bare_yes_or_no_decides_about_classification() -> None:
    assert [yes_or_no(t) for t in (" Yes", "no.", "YES\n", "Yes, it is", "", "maybe")] == [
        True, False, True, None, None, None,
    ]  # fmt: skip
    assert is_classification({"is_classification": "true"}) and not is_classification({})


def test_instances_are_split_at_examples_at_line_start_only() -> None:
    text = "Example 1\nInput: see Example 7 here\nOutput: a\nExample 2\nOutput: b\nInput: more\nOutput: c"
    assert parse_instances(text) == [("see Example 7 here", "a"), ("", "b")]
    assert parse_instances(text, cut=True) == [("see Example 7 here", "a")]
    assert parse_instances("Input: x\nOutput: y\nOutput: z") == [("x", "y")]
    assert parse_instances("just talk") == []
    assert parse_instances("Sure!\n**Example 1**\n**Input:** x\n**Output:** y") == [("x", "y")]


def test_labelled_instances_are_label_first_then_input() -> None:
    text = "Class label: good\nText: fine day\nClass label: bad"
    assert parse_labelled(text) == [("Text: fine day", "good"), ("", "bad")]
    assert parse_labelled(text, cut=True) == [("Text: fine day", "good")]
    assert parse_labelled("nothing") == []


def test_contradictory_instances_drop_all_of_their_task() -> None:
    assert instance_problems([("a", "1"), ("a", "2"), ("b", "3")]) == ["contradiction"] * 3
    assert instance_problems([("", "1"), ("", "2")]) == [None, None]


def test_each_bad_instance_has_its_reason() -> None:
    found = [("a", "1"), ("a", "1"), ("b", ""), ("c", "c"), ("d:", "1"), ("e", "Answer:"), ("f", "2")]
    assert instance_problems(found) == [None, "duplicate", "empty", "echo", "colon", "colon", None]


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b", "c:"]), st.sampled_from(["", "a", "1", "2", "x:"]))))
def test_filtering_instances_twice_changes_nothing(instances: list[tuple[str, str]]) -> None:
    kept = [i for i, p in zip(instances, instance_problems(instances), strict=True) if p is None]
    assert instance_problems(kept) == [None] * len(kept)


def test_half_of_the_inputs_lose_a_lone_label_and_blank_lines() -> None:
    texts = [plain_input("Text: one\n\n\ntwo", random.Random(i)) for i in range(400)]
    assert set(texts) == {"Text: one\n\n\ntwo", "one\ntwo"}
    assert 150 < texts.count("one\ntwo") < 250
    assert {plain_input("A: 1\nB: 2", random.Random(i)) for i in range(20)} == {"A: 1\nB: 2"}


def test_layouts_hold_instruction_input_and_output_whatever_braces_they_have() -> None:
    assert (len(layouts.WITH_INPUT), len(layouts.WITHOUT_INPUT)) == (7, 6)
    assert (len(layouts.CLASSIFICATION), len(layouts.OPEN)) == (12, 19)
    for i in range(30):
        prompt, completion = layouts.lay_out("Fill {input} in", "the {instruction}", "out", random.Random(i))
        assert "Fill {input} in" in prompt and "the {instruction}" in prompt and completion.strip() == "out"


def test_the_pool_grows_to_the_target_and_every_pair_in_it_is_novel() -> None:
    harvest = grown()
    assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped)
    assert len(instructions(harvest)) == 37
    assert "target:reached" in {reason for _, reason in harvest.dropped}
    texts = [*(s["instruction"] for s in SEEDS), *instructions(harvest)]
    new = [p for p in combinations(texts, 2) if p[1] in instructions(harvest)]
    assert max(rouge_l(a, b) for a, b in new) <= 0.7


def test_a_row_carries_its_nearest_instructions_its_parents_and_what_made_it() -> None:
    row = grown(target=20).kept[0]
    verdict = row.verdicts[0]
    assert verdict.verifier == "novelty" and verdict.score <= 0.7
    assert len(verdict.evidence["nearest"]) <= 10 and verdict.evidence["mean"] >= 0
    assert set(row) == {"prompt", "completion", "instruction", "input", "output", "is_classification"}
    assert 6 <= len(row.lineage.parents) <= 8 and len(row.lineage.keys) == 3 and row.lineage.level == 5


def test_prompts_show_eight_instructions_of_which_at_most_two_are_machine_made() -> None:
    shown = []

    def spy(request: Request, draw: int) -> str:
        if "Go on with the list" in request.text:
            shown.append(
                [line.split(". ", 1)[1] for line in request.text.splitlines() if line[:1].isdigit() and ". " in line]
            )
            assert request.sampling == {"temperature": 0.7, "top_p": 0.5, "presence_penalty": 2, "max_tokens": 1024}
        return grower(request, draw)

    grown(FunctionModel(spy), target=60)
    human = {s["instruction"] for s in SEEDS}
    assert all(len(s) == 8 for s in shown)
    assert {sum(t not in human for t in s) for s in shown} == {0, 2}
    assert len({tuple(s) for s in shown}) == len(shown)


def test_a_list_that_was_cut_off_is_discarded_whole() -> None:
    def cut(request: Request, draw: int) -> Reply:
        return Reply(grower(request, draw), finish_reason="length")

    harvest = grown(FunctionModel(cut), patience=2)
    assert harvest.kept == [] and {reason for _, reason in harvest.dropped} == {"reply:cut"}
    assert len(harvest.dropped) == 2 * 5


def test_a_model_that_repeats_itself_ends_the_run_after_patience() -> None:
    def stuck(request: Request, draw: int) -> str:
        return grower(request, draw) if "Go on" not in request.text else "9. " + SEEDS[0]["instruction"]

    harvest = grown(FunctionModel(stuck), patience=3)
    assert harvest.kept == [] and len(harvest.dropped) == 15
    assert {reason for _, reason in harvest.dropped} == {"novelty:fail:similar"}


def test_a_topic_stands_for_the_seeds() -> None:
    asked = []

    def spy(request: Request, draw: int) -> str:
        asked.append(request.text)
        return grower(request, draw)

    harvest = grown(FunctionModel(spy), rows=[{"topic": "keeping bees"}], target=20)
    assert len(instructions(harvest)) == 20
    assert all("keeping bees" in text for text in asked if "Go on with the list" in text)
    assert all(len(c.lineage.parents) == 1 for c in harvest.kept)


def test_seeds_without_text_are_left_out_and_counted() -> None:
    harvest = grown(rows=[*SEEDS, {"instruction": " "}], target=5)
    assert [reason for _, reason in harvest.skipped] == ["seed:empty"]
    assert grown(rows=[{"instruction": ""}]).kept == []


def test_seeds_become_rows_when_asked() -> None:
    seeds = [{**s, "instances": [{"input": "", "output": "x"}, {"input": "y:", "output": "z"}]} for s in SEEDS]
    harvest = grown(rows=seeds, target=5, add_seeds=True)
    own = [c for c in harvest.kept if c["instruction"] in {s["instruction"] for s in SEEDS}]
    assert len(own) == 2 * len(SEEDS) and {c.lineage.level for c in own} == {1}


def test_classification_gets_labels_first_and_its_own_length() -> None:
    limits = {}

    def spy(request: Request, draw: int) -> str:
        if "presence_penalty" in request.sampling and "Go on" not in request.text:
            limits["Class label" in request.text] = request.sampling["max_tokens"]
        return grower(request, draw)

    harvest = grown(FunctionModel(spy))
    assert limits == {True: 300, False: 350}
    assert {c["output"] for c in harvest.kept if c["is_classification"]} == {"good", "bad"}


def test_a_failed_request_costs_one_list_and_not_the_pool() -> None:
    def flaky(request: Request, draw: int) -> str:
        if random.Random(request.text).random() < 0.3:
            raise ModelError("no answer")
        return grower(request, draw)

    harvest = grown(FunctionModel(flaky), target=20)
    assert harvest.failed == [] and len(harvest.kept) > 10
    assert "model:failed" in {reason for _, reason in harvest.dropped}


def test_a_hostile_model_loses_nothing() -> None:
    for seed in range(3):
        harvest = grown(Hostile(seed=seed), max_rounds=6)
        assert harvest.failed == []
        assert harvest.numbers.candidates == len(harvest.kept) + len(harvest.dropped) > 0


def test_the_same_journal_gives_the_same_rows_and_sends_nothing_at_any_concurrency() -> None:
    journal, model = Journal(":memory:"), FunctionModel(grower)
    first = run_recipe(self_instruct, SEEDS, model, journal=journal, target=25, concurrency=1)
    sent = model.sent
    again = run_recipe(self_instruct, SEEDS, model, journal=journal, target=25)
    other = run_recipe(self_instruct, SEEDS, FunctionModel(grower), target=25, concurrency=16)
    assert model.sent == sent
    assert [dict(c) for c in first.kept] == [dict(c) for c in again.kept] == [dict(c) for c in other.kept]
    assert [c.id for c in first.kept] == [c.id for c in other.kept]
