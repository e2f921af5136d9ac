from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.cli.main import main
from tilth.rows import Row
from tilth.select import Benchmark, Decontaminator, Steps, exact_groups, near_groups, select_rows
from tilth.select.filters import Heuristics, Language, PersonalData
from tilth.select.partition import Here, Partitions

WORD = st.sampled_from(["a", "b", "c", "É", "é", "1", "日本", "-"])
TEXTS = st.lists(st.lists(WORD, max_size=9).map(" ".join), max_size=14)
GATE = Decontaminator([Benchmark.of("b", ["a b c 1"])], ngrams=[3], fuzzy="0.9")


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from(["0.25", "0.5", "0.7", "1"]), st.integers(2, 5), st.sampled_from(["word", "char"]))
def test_partitions_find_the_groups_of_one_machine(texts: list[str], threshold: str, count: int, unit: str) -> None:
    found = Partitions(count).near_groups(texts, threshold, n=2, unit=unit)
    assert found == near_groups(texts, threshold, n=2, unit=unit, compiled=False)
    order = [len(text) for text in texts]
    assert Partitions(count).exact_groups(texts, order) == exact_groups(texts, order)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(WORD, max_size=7).map(" ".join), st.integers(0, 3)), max_size=12), st.integers(2, 4),
    st.integers(0, 4), st.sampled_from(["first", "longest", "best:score"]),
)  # fmt: skip
def test_a_selection_in_partitions_is_the_selection(
    texts: list[tuple[str, int]], count: int, pool: int, keep: str
) -> None:
    rows = [Row({"text": text, "score": score}, f"r{i}") for i, (text, score) in enumerate(texts)]
    steps = Steps(
        decontaminate=GATE, quality=(Heuristics(("gopher",)), Language(("en",)), PersonalData()), exact=True,
        novelty=0.9, near="0.6", keep=keep,
    )  # fmt: skip
    known, fresh = rows[:pool], rows[pool:]
    assert select_rows(fresh, steps, known, Partitions(count)) == select_rows(fresh, steps, known)


@pytest.mark.parametrize("threshold", ["0.3", "0.7", "0.95"])
def test_many_texts_are_grouped_alike_in_any_number_of_partitions(threshold: str) -> None:
    rng = random.Random(3)
    texts: list[str] = []
    while len(texts) < 2_000:
        found = rng.choice(texts).split() if texts and rng.random() < 0.5 else rng.choices("abcdefghijklmnop", k=30)
        for _ in range(rng.randint(0, 3)):
            found[rng.randrange(len(found))] = str(rng.randrange(50))
        texts.append(" ".join(found))
    expected = near_groups(texts, threshold, compiled=True)
    assert Partitions(7).near_groups(texts, threshold) == expected
    assert len(expected.kept) < len(texts)


def test_no_partition_is_given_all_sets() -> None:
    seen: list[int] = []

    class Watched(Here):
        def start(self, function: object, *arguments: object, outputs: int | None = None) -> object:
            if getattr(function, "__name__", "") == "_near":
                seen.append(sum(len(piece[0]) for piece in arguments[1:]))  # type: ignore[index]
            return super().start(function, *arguments, outputs=outputs)  # type: ignore[arg-type]

    rng = random.Random(1)
    texts = [" ".join(str(rng.randrange(10**6)) for _ in range(20)) for _ in range(400)]
    texts += [text + " more" for text in texts[:100]]
    Partitions(4, Watched()).near_groups(texts, "0.7")
    assert len(seen) == 4
    assert max(seen) < 250


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_the_command_gives_the_same_tables_in_partitions(engine: str, tmp_path: Path) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="Ray is not installed")
    rng = random.Random(2)
    texts = [" ".join(rng.choices("abcdefghijklmnop", k=12)) for _ in range(60)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"{t} {'more' * (i % 2)}"}) + "\n" for i, t in enumerate(texts * 2)))
    asked = ["select", str(path), "--exact", "--near", "0.7", "--quality", "gopher", "--json", "--out"]
    assert main([*asked, str(tmp_path / "plain")]) == 0
    assert main([*asked, str(tmp_path / "parts"), "--engine", engine, "--partitions", "3"]) == 0
    for table in ("data/kept", "data/dropped", "verdicts"):
        a, b = (sorted((tmp_path / way / table).glob("*.parquet")) for way in ("plain", "parts"))
        assert [p.read_bytes() for p in a] == [p.read_bytes() for p in b]
    kept = json.loads((tmp_path / "parts" / "summary.json").read_text())["kept"]
    assert kept < len(set(texts)) * 2
