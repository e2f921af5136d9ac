from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tilth.cli.main import main
from tilth.errors import UsageError
from tilth.rows import Row
from tilth.select import Steps, pool_index, select_rows
from tilth.select.pool_index import PoolIndex

WORD = st.sampled_from(["a", "b", "c", "d", "É", "é", "1", "日本", "-"])
TEXT = st.one_of(st.lists(WORD, max_size=8).map(" ".join), st.sampled_from(["", "a b c d e f", "A b  c d e f"]))
STEPS = st.sampled_from(
    [
        Steps(exact=True), Steps(near="0.5"), Steps(near="0.3", shingle="char-2", exact=True), Steps(novelty=0.6),
        Steps(exact=True, novelty=0.8, near="0.6"), Steps(near="0.4", keep="longest"), Steps(novelty=0.0),
        Steps(exact=True, near="0.6", keep="best:score"),
    ]
)  # fmt: skip


def rows_of(texts: list[str], start: int) -> list[Row]:
    return [Row({"text": text, "score": len(text) % 3}, f"r{start + i}") for i, text in enumerate(texts)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT, max_size=8), st.lists(st.lists(TEXT, max_size=6), max_size=4), STEPS, st.integers(2, 16))
def test_batches_beside_an_index_are_selected_as_beside_the_whole_pool(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], batches: list[list[str]], steps: Steps, most: int
) -> None:
    folder = tmp_path_factory.mktemp("index")
    before, pool_index.MOST_SEGMENTS = pool_index.MOST_SEGMENTS, most
    try:
        pool = rows_of(first, 0)
        PoolIndex(folder, steps).add_pool(pool)
        start = 100
        for texts in batches:
            rows = rows_of(texts, start)
            start += 100
            index = PoolIndex(folder, steps)
            assert len(index) == len(pool)
            relevant = index.relevant(rows)
            expected = select_rows(rows, steps, pool)
            assert select_rows(rows, steps, relevant.rows, chained=relevant.chained) == expected
            index.add(expected.kept)
            pool += expected.kept
    finally:
        pool_index.MOST_SEGMENTS = before


def test_only_rows_that_matter_are_brought_back(tmp_path: Path) -> None:
    steps = Steps(exact=True, near="0.7")
    pool = rows_of([" ".join(f"w{i}x{k}" for k in range(12)) for i in range(300)], 0)
    PoolIndex(tmp_path, steps).add_pool(pool)
    batch = rows_of([f"{pool[7]['text']} more", "something else that is new here"], 1000)
    assert [row.id for row in PoolIndex(tmp_path, steps).relevant(batch).rows] == ["r7"]


def test_an_index_serves_the_settings_it_was_made_for(tmp_path: Path) -> None:
    PoolIndex(tmp_path, Steps(near="0.7")).add_pool(rows_of(["a b c"], 0))
    with pytest.raises(UsageError, match="was made for"):
        PoolIndex(tmp_path, Steps(near="0.6"))
    for steps in (Steps(), Steps(exact=True, semantic=0.9)):
        with pytest.raises(UsageError):
            PoolIndex(tmp_path / "other", steps)


def test_the_command_drops_from_a_second_batch_what_the_first_one_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["the first of all the rows here", "the second of all rows there", "The first  of all the rows here", "new"]
    for name, part in (("pool", lines[1:2]), ("one", lines[:2]), ("two", lines[2:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in part))
    found = []
    for name, more in (("one", ["--set", f"pool={tmp_path}/pool.jsonl"]), ("two", [])):
        asked = ["select", f"{tmp_path}/{name}.jsonl", "--exact", "--set", f"index={tmp_path}/idx", *more]
        assert main([*asked, "--out", f"{tmp_path}/out-{name}", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [(f["kept"], f["selection"]["index"]["rows"]) for f in found] == [(1, 1), (1, 2)]
    (example,) = found[1]["selection"]["examples"]["exact:duplicate"]
    assert example["evidence"]["pool"] is True
