from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.errors import InputError, UsageError
from tilth.select import Benchmark, Decontaminator, open_embedder
from tilth.select.words import words

WORD = st.sampled_from(["a", "b", "c", "É", "é", "4", "d,"])
TEXTS = st.lists(st.lists(WORD, max_size=14).map(" ".join), min_size=1, max_size=8)


def grams(text: str, n: int) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}


@given(TEXTS, TEXTS, st.sampled_from([2, 3, 5, 8]))
@settings(max_examples=120, deadline=None)
def test_ngram_hits_are_exactly_the_shared_ngrams(bench: list[str], texts: list[str], n: int) -> None:
    gate = Decontaminator([Benchmark.of("b", bench)], exact=False, ngrams=[n])
    plain = gate.check(texts, compiled=False)
    known = set().union(*(grams(text, n) for text in bench))
    assert [hit is not None for hit in plain] == [bool(grams(text, n) & known) for text in texts]
    assert gate.check(texts, compiled=True) == plain
    for text, hit in zip(texts, plain, strict=True):
        if hit is not None:
            assert tuple(hit.matched.split()) in grams(text, n) & grams(bench[hit.row], n)


LETTERS = st.text(st.sampled_from("aB_9éß日"), min_size=1, max_size=18)
BETWEEN = st.sampled_from([*map(chr, range(128)), "，", "\u2003", "\u0301", "\U0001f600", "\ud800"])


@given(
    st.lists(st.tuples(LETTERS, BETWEEN), max_size=12), st.lists(st.tuples(LETTERS, BETWEEN), max_size=12), st.data()
)
@settings(max_examples=120, deadline=None)
def test_words_of_any_length_between_any_characters_are_cut_alike(
    a: list[tuple[str, str]], b: list[tuple[str, str]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(a)))
    bench, text = ("".join(map("".join, part)) for part in (a, b[: len(b) // 2] + a[cut:] + b[len(b) // 2 :]))
    gate = Decontaminator([Benchmark.of("b", [bench])], exact=False, ngrams=[2])
    assert gate.check([text, text.upper()], compiled=True) == gate.check([text, text.upper()], compiled=False)


def test_long_random_texts_give_the_same_hits_on_both_paths() -> None:
    rng = random.Random(0)
    bench = [" ".join(rng.choices("abcdefgh", k=60)) for _ in range(40)]
    texts = [" ".join(rng.choices("abcdefghz", k=rng.randint(1, 200))) for _ in range(300)]
    for n in (4, 5, 6):
        gate = Decontaminator([Benchmark.of("b", bench)], exact=False, ngrams=[n])
        found = gate.check(texts, compiled=True)
        assert found == gate.check(texts, compiled=False)
        assert 0 < sum(hit is not None for hit in found) < len(texts)


def test_methods_are_tried_in_order_and_counted_in_the_certificate() -> None:
    problem = "Anna buys 12 red apples and 7 green pears at the market on Monday and eats 3 of them before lunch"
    bench = Benchmark.of("school", [problem, "Name the largest planet that orbits the sun."])
    gate = Decontaminator([bench], ngrams=[8, 13], fuzzy=0.4, rouge=0.7)
    assert gate.methods == ["exact", "13-gram", "8-gram", "fuzzy", "rouge-l"]
    changed = problem.split()
    for place in (4, 9, 14):
        changed[place] = "other"
    texts = [
        problem.upper(),
        "Solve this. " + problem,
        "Anna buys 12 red apples and 7 green plums",
        " ".join(changed),
        "Name the very largest planet that orbits the sun.",
        "Nothing of the kind stands here.",
    ]
    hits = gate.check(texts)
    assert [hit.method if hit else None for hit in hits] == ["exact", "13-gram", "8-gram", "fuzzy", "rouge-l", None]
    assert [hit.row for hit in hits if hit] == [0, 0, 0, 0, 1]
    certificate = gate.certificate(hits)
    assert certificate["rows_checked"] == 6
    assert certificate["rows_dropped"] == 5
    assert {m["name"]: m["hits"] for m in certificate["methods"]} == dict.fromkeys(gate.methods, 1)
    assert certificate["benchmarks"] == [{"name": "school", "hash": "", "rows": 2, "texts": 2, "hits": 5}]
    json.dumps(certificate)


def test_a_prompt_alone_counts_for_exact_matches() -> None:
    gate = Decontaminator([Benchmark.of("b", ["What is the capital of France?"])])
    text = "What is the capital of France?\nIt is Paris."
    assert gate.check([text]) == [None]
    (hit,) = gate.check([text], [["What is the capital of France?"]])
    assert hit is not None
    assert hit.method == "exact"


def test_each_string_of_a_benchmark_row_counts_but_labels_do_not(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    rows = [
        {
            "question": "Which river runs through Cairo?",
            "label": "The Nile",
            "meta": {"hints": ["It is a very long river"]},
        },
        {"text": "Short one", "label": "b"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench = Benchmark.read(path)
    assert bench.texts == (
        (0, "Which river runs through Cairo?"),
        (0, "It is a very long river"),
        (1, "Short one"),
    )
    assert (bench.name, bench.rows, len(bench.hash)) == ("bench.jsonl", 2, 32)
    with pytest.raises(InputError, match="no column 'question'"):
        Benchmark.read(path, ["question"])


def test_every_fifth_word_replaced_is_found_by_containment_and_not_by_ngrams() -> None:
    rng = random.Random(1)
    vocabulary = [f"v{i}" for i in range(5_000)]
    bench = [" ".join(rng.choices(vocabulary, k=40)) for _ in range(100)]
    replaced = [[f"new{i}" if i % 5 == 4 else word for i, word in enumerate(text.split())] for text in bench]
    copies = [" ".join(found) for found in replaced]
    clean = [" ".join(rng.choices(vocabulary, k=40)) for _ in range(100)]
    gate = Decontaminator([Benchmark.of("b", bench)], ngrams=[8], fuzzy="0.4")
    assert {hit.method for hit in gate.check(copies) if hit} == {"fuzzy"}
    assert sum(hit is not None for hit in gate.check(copies)) >= 75
    assert not any(gate.check(clean))


def test_no_benchmark_or_no_method_is_refused() -> None:
    with pytest.raises(UsageError, match="no benchmark"):
        Decontaminator([])
    with pytest.raises(UsageError, match="every method"):
        Decontaminator([Benchmark.of("b", ["a"])], exact=False, ngrams=[])
    with pytest.raises(UsageError, match="n-grams of 1"):
        Decontaminator([Benchmark.of("b", ["a"])], ngrams=[1])


@given(TEXTS, TEXTS, st.sampled_from(["0.3", "0.5", "1"]))
@settings(max_examples=80, deadline=None)
def test_containment_is_the_same_on_both_paths(bench: list[str], texts: list[str], least: str) -> None:
    gate = Decontaminator([Benchmark.of("b", bench)], exact=False, ngrams=(), fuzzy=least)
    assert gate.check(texts, compiled=True) == gate.check(texts, compiled=False)


def test_many_blocks_on_many_threads_give_the_hits_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    bench = [" ".join(rng.choices("abcdefgh", k=30)) for _ in range(30)]
    texts = [" ".join(rng.choices("ABCdefghÄz", k=rng.randint(0, 60))) for _ in range(400)]
    gate = Decontaminator([Benchmark.of("b", bench)], exact=False, ngrams=[5], fuzzy="0.3")
    whole = gate.check(texts, compiled=True)
    monkeypatch.setattr("tilth.select.grams.BLOCK_CHARACTERS", 700)
    assert gate.check(texts, compiled=True) == whole == gate.check(texts, compiled=False)
    assert {"5-gram", "fuzzy"} == {hit.method for hit in whole if hit}


def test_other_numbers_and_backward_questions_are_found_by_the_masked_method() -> None:
    problem = "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting. How much?"
    gate = Decontaminator([Benchmark.of("b", [problem])], masked=13)
    changed = problem.replace("12", "1,250").replace("50", "7.5")
    backward = problem.replace("50", "x") + " The answer is 10. What is the value of x?"
    hits = gate.check([changed, backward, "Weng earns a lot by the hour for babysitting, she said yesterday at noon."])
    assert [hit.method if hit else None for hit in hits] == ["masked-13-gram", "masked-13-gram", None]
    assert gate.check([changed], compiled=True) == gate.check([changed], compiled=False)


def test_the_same_words_in_another_order_are_found_by_embeddings() -> None:
    problem = "Which river runs through the old town of Cairo before it reaches the sea"
    others = [f"Describe the {a} of a {b} in few words" for a in ("colour", "size") for b in ("cat", "tree", "boat")]
    gate = Decontaminator([Benchmark.of("b", [problem])], embedder=open_embedder("hashed"), cosine=0.6)
    hits = gate.check(["Before it reaches the sea, which river runs through the old town of Cairo?", *others])
    assert [hit.method if hit else None for hit in hits] == ["embedding"] + [None] * len(others)


def test_named_sets_are_looked_up_in_the_users_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text('{"question": "How many clips did Natalia sell?"}\n')
    monkeypatch.setenv("TILTH_BENCHMARKS", str(tmp_path))
    assert Benchmark.read("gsm8k/test").rows == 1
    assert Benchmark.read("gsm8k").rows == 1
    with pytest.raises(InputError, match="did you mean 'gsm8k'"):
        Benchmark.read("gsm8")
