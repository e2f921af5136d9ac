from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.cli.main import main
from tilth.errors import InputError, UsageError
from tilth.rows import Row
from tilth.select import Benchmark, Decontaminator, Steps, select_rows, stream
from tilth.select.filters import Heuristics, Language, PersonalData
from tilth.select.stream import Streamed

TEXT = st.sampled_from(
    [
        "the fox ran over the hill", "The fox  ran over the hill", "the fox ran over the long hill", "", "  ", "x",
        "write to ann@example.org about the fox and the hill", "das ist nicht der Hund und die Katze", "a b c d e f g",
        "name the largest planet of all that orbit the sun", "a b c d e f h", "a b c d e f g h",
    ]
)  # fmt: skip
GATE = Decontaminator([Benchmark.of("b", ["Name the largest planet of all that orbit the sun"])], ngrams=[4])
FILTERS = (Heuristics(("gopher",)), Language(("en",)), PersonalData())


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(TEXT, st.integers(0, 3)), min_size=1, max_size=14), st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from([None, "0.3", "0.6"]), st.sampled_from(["first", "longest", "best:score"]), st.integers(1, 5),
    st.booleans(),
)  # fmt: skip
def test_a_streamed_selection_is_the_selection(
    texts: list[tuple[str, int]], gate: bool, exact: bool, quality: bool, near: str | None, keep: str, block: int,
    report: bool,
) -> None:  # fmt: skip
    rows = [Row({"text": text, "score": score}, f"r{i}") for i, (text, score) in enumerate(texts)]
    steps = Steps(
        decontaminate=GATE if gate else None, quality=FILTERS if quality else (), exact=exact, near=near, keep=keep,
        report_only=report,
    )  # fmt: skip
    expected = select_rows(rows, steps)
    before, stream.BLOCK_ROWS = stream.BLOCK_ROWS, block
    try:
        found = Streamed(rows, steps)
    finally:
        stream.BLOCK_ROWS = before
    assert list(found.kept) == expected.kept
    assert list(found.dropped) == expected.dropped
    assert list(found.verdicts) == expected.verdicts
    assert found.certificate == expected.certificate
    assert found.steps == expected.steps
    assert found.examples == expected.examples
    assert found.reasons == expected.reasons
    assert found.counts == expected.counts
    assert found.gates() == expected.gates()


def test_the_command_writes_the_same_folder_streamed_or_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"id": f"n{i}", "text": f"write to a{i}@example.org that number {i // 3} is out"} for i in range(40)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for way in ("true", "false"):
        asked = [
            "--near",
            "0.6",
            "--exact",
            "--set",
            "pii=scrub",
            "--set",
            f"stream={way}",
            "--out",
            f"{tmp_path}/{way}",
        ]
        assert main(["select", str(path), *asked, "--json"]) == 0
        capsys.readouterr()
    found, plain = (json.loads((tmp_path / way / "summary.json").read_text()) for way in ("true", "false"))
    assert found["kept"] + sum(found["dropped"].values()) == found["candidates"] == 40
    assert found["selection"] == plain["selection"]
    assert found["dropped"] == plain["dropped"]
    for table in ("data/kept", "data/dropped", "lineage", "verdicts"):
        a, b = (sorted((tmp_path / way / table).glob("*.parquet")) for way in ("true", "false"))
        assert [p.read_bytes() for p in a] == [p.read_bytes() for p in b]
    assert pl.read_parquet(tmp_path / "true" / "data" / "kept")["id"][0] == "n0"


def test_steps_that_need_all_rows_are_refused_and_errors_name_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row({"text": "a b c"}, "r0"), Row({"text": "d"}, "r1"), Row({"other": 1}, "r2")]
    with pytest.raises(UsageError, match="--novelty"):
        Streamed(rows, Steps(novelty=0.7))
    monkeypatch.setattr(stream, "BLOCK_ROWS", 2)
    with pytest.raises(InputError, match="row 3"):
        Streamed(rows, replace(Steps(), exact=True))


def test_no_more_rows_than_a_block_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BLOCK_ROWS", 8)
    alive: list[int] = []

    class Counted(Row):
        held = 0

        def __init__(self, text: str, id: str) -> None:
            super().__init__({"text": text}, id)
            Counted.held += 1
            alive.append(Counted.held)

        def __del__(self) -> None:
            Counted.held -= 1

    class Source:
        def __iter__(self) -> Iterator[Row]:
            return (Counted(f"text {i // 2}", f"r{i}") for i in range(200))

    found = Streamed(Source(), Steps(exact=True, near="0.9"))
    assert found.counts == (100, 100)
    assert sum(1 for _ in found.kept) == 100
    assert max(alive) <= 2 * 8 + 2
