"""Figures of real data that the filters must reproduce."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from itertools import combinations
from pathlib import Path

import pytest

from tilth.select import Benchmark, Decontaminator, Novelty, novelty_pass, rouge_l

pytestmark = pytest.mark.skipif("TILTH_DATA" not in os.environ, reason="TILTH_DATA is not set")


def column(path: str, name: str) -> list[str]:
    file = Path(os.environ["TILTH_DATA"]) / path
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [json.loads(line)[name] for line in content.splitlines()]


def test_two_of_the_15225_seed_pairs_exceed_rouge_l_of_point_seven() -> None:
    seeds = column("self_instruct/seed_tasks.jsonl", "instruction")
    scores = [rouge_l(a, b) for a, b in combinations(seeds, 2)]
    assert len(scores) == 15_225
    assert sum(score > 0.7 for score in scores) == 2
    assert round(max(scores), 4) == 0.8235
    assert round(sum(scores) / len(scores), 4) == 0.1024
    for compiled in (False, True):
        assert len(novelty_pass(seeds, 0.7, compiled=compiled).kept) == 173


def test_three_expert_instructions_leak_from_the_seeds_by_rouge_l_and_none_by_ngrams() -> None:
    seeds = column("self_instruct/seed_tasks.jsonl", "instruction")
    expert = column("self_instruct/user_oriented_instructions.jsonl", "instruction")
    bench = Benchmark.of("seeds", seeds)
    hits = Decontaminator([bench], exact=False, ngrams=(), rouge=0.7).check(expert)
    assert sorted(hit.score for hit in hits if hit) == [0.75, 1.0, 1.0]
    assert not any(Decontaminator([bench], exact=False, ngrams=(8, 13)).check(expert))
    pool = Novelty()
    for seed in seeds:
        pool.add(seed)
    assert sum(not pool.is_novel(text) for text in expert) == 3


@pytest.mark.parametrize(("n", "rows"), [(5, 3035), (8, 94), (13, 4)])
def test_gsm8k_train_questions_hit_test_questions_at_the_known_rates(n: int, rows: int) -> None:
    train, test = column("gsm8k/train.jsonl.gz", "question"), column("gsm8k/test.jsonl.gz", "question")
    gate = Decontaminator([Benchmark.of("gsm8k", test)], exact=False, ngrams=[n])
    hits = gate.check(train)
    assert sum(hit is not None for hit in hits) == rows
    if n == 8:
        assert gate.check(train, compiled=False) == hits


def test_test_questions_with_every_fifth_word_replaced_are_found_by_containment_and_train_questions_are_not() -> None:
    train, test = column("gsm8k/train.jsonl.gz", "question"), column("gsm8k/test.jsonl.gz", "question")
    rng, vocabulary = random.Random(0), " ".join(train).split()
    altered = [" ".join(rng.choice(vocabulary) if i % 5 == 4 else w for i, w in enumerate(t.split())) for t in test]
    bench = Benchmark.of("gsm8k", test)
    fuzzy = Decontaminator([bench], exact=False, ngrams=(), fuzzy="0.4")
    assert sum(hit is not None for hit in fuzzy.check(altered)) >= 0.95 * len(test)
    # five train questions do copy a test question, with other names and numbers
    assert sum(hit is not None for hit in fuzzy.check(train)) == 5
    grams = Decontaminator([bench], exact=False, ngrams=(13,))
    assert sum(hit is not None for hit in grams.check(altered)) < 0.01 * len(test)


def test_backward_questions_of_the_test_set_are_found_with_masked_numbers() -> None:
    test = column("gsm8k/test.jsonl.gz", "question")
    backward = []
    for text in test:
        numbers = list(re.finditer(r"\d[\d,]*", text))
        if numbers:
            middle = numbers[len(numbers) // 2]
            hidden = text[: middle.start()] + "x" + text[middle.end() :]
            backward.append(re.sub(r"\d+", lambda m: str(int(m[0]) + 7), hidden) + " What is the value of x?")
    bench = Benchmark.of("gsm8k", test)
    plain, masked = (Decontaminator([bench], exact=False, ngrams=n, masked=m) for n, m in (((13,), None), ((), 13)))
    found = [sum(hit is not None for hit in gate.check(backward)) / len(backward) for gate in (plain, masked)]
    assert found[0] < 0.8
    assert found[1] > 0.97


def test_human_eval_and_mbpp_share_one_phrase_of_eight_words_and_no_prompt() -> None:
    human, mbpp = column("humaneval/HumanEval.jsonl.gz", "prompt"), column("mbpp/mbpp.jsonl.gz", "text")
    gate = Decontaminator([Benchmark.of("HumanEval", human)], ngrams=(8, 13))
    hits = [hit for hit in gate.check(mbpp) if hit]
    assert {hit.method for hit in hits} <= {"8-gram"}
    assert [hit.matched for hit in hits] == ["in ascending order according to the sum of"]
    assert all(gate.check(human))
